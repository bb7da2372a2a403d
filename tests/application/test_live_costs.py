"""What is done over live connections is on the same account as requests."""

from contextlib import suppress

import msgspec
import pytest
from dependency_injector import providers
from msgspec import Struct

from adapters.memory.idempotency import ANSWERS
from adapters.security.secrets import HmacSecrets
from application.principal import Principal
from application.realtime.frames import CloseCode
from domain.errors import Exhausted
from entrypoints.answers import SecretAnswers
from entrypoints.container import Container, in_memory, offline
from entrypoints.websocket.calls import Method
from tests.application.live_house import House
from tests.support.builders import principal

HOUR_MS = 3_600_000


class Asked(Struct, frozen=True):
    """The params of a method that needs none."""


async def a_secret(actor: Principal, asked: Asked) -> str:
    return f"the secret of {actor.account_id}"


SECRET = Method("secret", Asked, a_secret, is_secret=True)
CHEAP = Method("cheap", Asked, a_secret, cost=0.1)


def with_methods(container: Container) -> Container:
    container.calls.add_args(providers.Object([SECRET, CHEAP]))
    return container


async def house_with(**changes: object) -> House:
    """Ten requests an hour and account, or with these changes to the settings."""
    limits = {"rate_limit_max_requests": 10, "rate_limit_window_ms": HOUR_MS} | changes

    def furnished(container: Container) -> Container:
        # Before the house takes anything out of it, which would be made by the settings of before.
        container.settings.override(providers.Object(msgspec.structs.replace(offline(), **limits)))
        return with_methods(container)

    return await House(furnish=furnished).settle()


async def left(house: House, cost: float = 0.01) -> float:
    """How many whole requests Ada may still make; asking costs a hundredth."""
    with house.container.limits().bill(principal(house.ada)) as bill, suppress(Exhausted):
        await bill.charge(cost)
    assert bill.verdict
    return bill.verdict.remaining


async def test_a_call_costs_as_much_as_a_request() -> None:
    house = await house_with()
    task = await house.task()
    async with house.visit(house.ada) as visitor, house.visit(house.ada) as other:
        for n in range(8):
            call = {"method": "task.update", "params": {"id": str(task.id), "patch": {"title": f"title {n}"}}}
            reply = await (visitor, other)[n % 2].say(type="call", id=n, **call)
            assert reply["type"] == "reply"
        for visited in (visitor, other):
            refused = await visited.say(type="call", id=9, **call)
            assert (refused["code"], refused["retry"]) == ("rate_limited", "later")
            assert visited.closed is None
        assert await left(house) == 0
        async with house.visit(house.bob) as bob:
            assert (await bob.say(type="call", id=1, **call))["type"] == "reply"


async def test_a_method_costs_what_its_context_says() -> None:
    house = await house_with()
    async with house.visit(house.ada) as visitor:
        for n in range(10):
            assert (await visitor.say(type="call", id=n, method="cheap"))["type"] == "reply"
        assert await left(house) == 7  # of 7.99
        assert (await visitor.say(type="call", id=10, method="unknown"))["code"] == "not_found"
        assert await left(house) == 6


async def test_an_answer_that_holds_a_secret_is_given_twice_and_kept_in_no_readable_form() -> None:
    house = await house_with()
    async with house.visit(house.ada) as visitor:
        first, again = [await visitor.say(type="call", id=n, method="secret", key="k") for n in range(2)]
        assert first["data"] == again["data"] == f"the secret of {house.ada.id}"
        kept = house.container.database().committed[ANSWERS]
        assert "the secret of" not in repr(kept[house.ada.id, "k"])
        replaced = HmacSecrets("what replaced the secret, long enough")
        house.container.calling()._secret_answers = SecretAnswers(replaced)
        assert (await visitor.say(type="call", id=3, method="secret", key="k"))["code"] == "answer_lost"


def test_two_methods_of_one_name_are_refused() -> None:
    container = in_memory()
    container.calls.add_args(providers.Object([CHEAP, CHEAP]))
    with pytest.raises(ValueError, match="two methods are called cheap"):
        container.calling()


async def test_tenths_are_paid_a_request_at_a_time_and_each_connection_uses_up_its_own() -> None:
    house = await house_with()
    async with house.visit(house.ada) as visitor, house.visit(house.ada) as other:
        assert await left(house) == 7  # of 7.99
        for n in range(10):
            assert (await visitor.say(type="call", id=n, method="cheap"))["type"] == "reply"
            assert await left(house) == 6
        assert (await visitor.say(type="call", id=10, method="cheap"))["type"] == "reply"
        assert await left(house) == 5
        assert await left(house, 5) == 0
        for n in range(9):
            assert (await visitor.say(type="call", id=n, method="cheap"))["type"] == "reply"
        for visited in (visitor, other):
            assert (await visited.say(type="call", id=11, method="cheap"))["code"] == "rate_limited"


async def test_a_word_to_others_costs_a_tenth_of_a_request() -> None:
    house = await house_with()
    typing = f"typing:{house.channel}"
    async with house.visit(house.ada) as visitor:
        await visitor.say(type="subscribe", id=1, channel=typing)
        for n in range(10):
            assert (await visitor.say(type="publish", id=n, channel=typing, data=n))["type"] == "reply"
        before = await left(house)
        while (said := await visitor.say(type="publish", id=11, channel=typing, data=1))["type"] == "reply":
            assert before > 0
        assert (said["code"], said["retry"]) == ("rate_limited", "later")
        assert await left(house) == 0


async def test_a_repeated_call_costs_again_and_does_nothing_more() -> None:
    house = await house_with()
    async with house.visit(house.ada) as visitor:
        for _ in range(3):
            said = await visitor.say(type="call", id=1, method="task.create", params={"title": "once"}, key="k")
            assert said["type"] == "reply"
    assert await left(house) == 10 - 1 - 3 - 1


async def test_connecting_costs_a_request_and_following_a_channel_a_tenth_of_one() -> None:
    house = await house_with()
    async with house.visit(house.ada, connected=False) as visitor:
        await visitor.say(type="connect", id=1, subscribe=["me", house.channel] + ["task:nonsense"] * 8)
        assert await left(house) == 7  # of 7.99
        for n in range(10):
            await visitor.say(type="subscribe", id=n, channel=house.channel)
        await visitor.say(type="presence", id=11, channel=f"presence:{house.channel}")
        await visitor.say(type="unsubscribe", id=12, channel=house.channel)
    assert await left(house) == 5  # of 5.98, and the connection has nine tenths


async def test_who_has_no_request_left_is_not_connected_and_shall_come_back_later() -> None:
    house = await house_with()
    assert await left(house, 9) == 1
    async with house.visit(house.ada):
        pass
    async with house.visit(house.ada, connected=False) as visitor:
        assert await visitor.closed_by(type="connect", id=5) == (CloseCode.RATE_LIMITED, "rate_limited")
        (refused,) = visitor.of("error")
        assert (refused["id"], refused["code"], refused["retry"]) == (5, "rate_limited", "later")
        assert CloseCode.RATE_LIMITED // 100 == 41
    async with house.visit(house.bob) as bob:
        assert bob.closed is None


async def test_without_limits_nothing_costs_anything() -> None:
    house = await house_with(rate_limit_enabled=False)
    async with house.visit(house.ada) as visitor:
        for n in range(50):
            reply = await visitor.say(type="call", id=n, method="task.create", params={"title": str(n)})
            assert reply["type"] == "reply"
