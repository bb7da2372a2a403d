"""How often somebody may try, and whom the attempts of others lock out: nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from application.happenings import HAPPENINGS
from application.identity import Device, PasswordChange
from application.identity.measures import (
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    PASSWORD_PER_ACCOUNT,
    REGISTER_PER_ADDRESS,
)
from application.limits import Bill, Limits, TooManyAtOnce, charge, with_policies
from application.ports.identity import PasswordHasher
from application.ports.limits import Verdict
from application.principal import Principal
from domain.errors import Exhausted
from domain.identity import AccountRole, InvalidCredentials, WrongPassword
from domain.ids import AccountId
from entrypoints.container import in_memory, offline
from tests.application.front_door import AWAY, HOME, PASSWORD, FrontDoor, Visit

_, PER_ACCOUNT, WINDOW_MS, _ = msgspec.structs.astuple(LOGIN_PER_ACCOUNT_AND_ADDRESS)
PER_ADDRESS = LOGIN_PER_ADDRESS.limit


class CountingHasher(PasswordHasher):
    """Takes a password for its own hash, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def hash(self, password: str) -> str:
        self.asked += 1
        return password

    async def verify(self, password: str, encoded: str | None) -> bool:
        self.asked += 1
        return password == encoded

    def is_outdated(self, encoded: str) -> bool:
        return not encoded


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest_asyncio.fixture
async def door(hasher: CountingHasher) -> AsyncIterator[FrontDoor]:
    door = FrontDoor(hasher=providers.Object(hasher))
    yield door
    door.close()


async def fail(door: FrontDoor, email: str = "ada@example.org", device: Device = HOME) -> None:
    with pytest.raises(InvalidCredentials):
        await door.log_in(email, "wrong", device)


async def test_guessing_one_account_ends_after_ten_attempts(door: FrontDoor) -> None:
    await door.register()
    for _ in range(PER_ACCOUNT):
        await fail(door)
    for password in ("wrong", PASSWORD):
        with pytest.raises(Exhausted) as refused:
            await door.log_in(password=password)
        assert 0 < refused.value.retry_after_seconds <= WINDOW_MS / 1_000
        assert refused.value.code == "rate_limited"


async def test_the_owner_elsewhere_is_not_locked_out(door: FrontDoor) -> None:
    await door.register()
    for _ in range(PER_ACCOUNT):
        await fail(door)
    with pytest.raises(Exhausted):
        await door.log_in()
    await door.log_in(device=AWAY)
    with pytest.raises(Exhausted):
        await door.log_in()


async def test_others_at_the_same_address_are_not_locked_out(door: FrontDoor) -> None:
    await door.register()
    await door.register("bob@example.org")
    for _ in range(PER_ACCOUNT):
        await fail(door)
    await door.log_in("bob@example.org")


async def test_an_unknown_account_is_limited_like_a_known_one(door: FrontDoor) -> None:
    for _ in range(PER_ACCOUNT):
        await fail(door, "eve@example.org")
    with pytest.raises(Exhausted):
        await door.log_in("eve@example.org")


async def test_writing_an_address_otherwise_gives_no_more_attempts(door: FrontDoor) -> None:
    await door.register()
    for attempt in range(PER_ACCOUNT):
        await fail(door, " ADA@example.org" if attempt % 2 else "ada@EXAMPLE.org ")
    with pytest.raises(Exhausted):
        await door.log_in()


async def test_guessing_many_accounts_from_one_address_ends_too(door: FrontDoor) -> None:
    await door.register()
    for number in range(PER_ADDRESS):
        await fail(door, f"guess{number}@example.org")
    with pytest.raises(Exhausted):
        await door.log_in()
    await door.log_in(device=AWAY)


async def test_of_a_hundred_attempts_at_once_ten_are_tried(door: FrontDoor) -> None:
    await door.register()
    outcomes = await asyncio.gather(*(door.log_in(password="wrong") for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == PER_ACCOUNT
    assert sum(isinstance(outcome, Exhausted) for outcome in outcomes) == 100 - PER_ACCOUNT


async def test_a_refused_attempt_costs_no_hash(door: FrontDoor, hasher: CountingHasher) -> None:
    await door.register()
    for _ in range(PER_ACCOUNT):
        await fail(door)
    asked = hasher.asked
    with pytest.raises(Exhausted):
        await door.log_in()
    assert hasher.asked == asked


async def test_a_success_forgets_the_failures_before_it(door: FrontDoor) -> None:
    await door.register()
    for _ in range(3):
        for _ in range(PER_ACCOUNT - 1):
            await fail(door)
        await door.log_in()


async def test_the_attempts_come_back_evenly(door: FrontDoor) -> None:
    await door.register()
    for _ in range(PER_ACCOUNT):
        await fail(door)
    with pytest.raises(Exhausted) as refused:
        await door.log_in()
    door.wait(seconds=refused.value.retry_after_seconds)
    await fail(door)
    with pytest.raises(Exhausted):
        await door.log_in()
    door.wait(milliseconds=WINDOW_MS)
    for _ in range(PER_ACCOUNT):
        await fail(door)


async def test_registrations_are_limited_by_address(door: FrontDoor) -> None:
    limit = REGISTER_PER_ADDRESS.limit
    for number in range(limit):
        await door.register(f"member{number}@example.org")
    with pytest.raises(Exhausted):
        await door.register("one.too.many@example.org")
    await door.register("elsewhere@example.org", AWAY)


async def test_changing_a_password_is_limited_by_account(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org")
    for _ in range(PASSWORD_PER_ACCOUNT.limit):
        with pytest.raises(WrongPassword):
            await door.identity.change_password(ada.actor, PasswordChange("wrong", "an entirely new one"))
    with pytest.raises(Exhausted):
        await door.identity.change_password(ada.actor, PasswordChange(PASSWORD, "an entirely new one"))
    await door.identity.change_password(bob.actor, PasswordChange(PASSWORD, "an entirely new one"))


ADA = Principal(AccountId(UUID(int=1)), UUID(int=2), AccountRole.USER, datetime.max.replace(tzinfo=UTC))


def somebody(door: FrontDoor) -> Principal:
    """A session of an account of their own."""
    return replace(ADA, account_id=AccountId(door.container.ids().new()))


async def counted(limits: Limits, who: Principal | str, cost: float = 1) -> Verdict:
    """What is said of one more request."""
    with limits.bill(who) as bill, suppress(Exhausted):
        await bill.charge(cost)
    assert bill.verdict
    return bill.verdict


async def test_requests_are_counted_for_each_caller(door: FrontDoor) -> None:
    limits, ada, bob = (
        door.container.limits(),
        somebody(door),
        somebody(door),
    )
    for who, other in ((ada, bob), ("192.0.2.1", "192.0.2.2")):
        verdicts = [await counted(limits, who) for _ in range(limits.requests + 1)]
        assert [verdict.allowed for verdict in verdicts] == [True] * limits.requests + [False]
        assert (await counted(limits, other)).remaining == limits.requests - 1


async def test_a_credential_with_a_limit_of_its_own_is_counted_by_itself(door: FrontDoor) -> None:
    limits, ada = door.container.limits(), somebody(door)
    scopes = frozenset({"tasks:read"})
    three, other = [replace(ada, scopes=scopes, credential_id=door.container.ids().new(), a_minute=3) for _ in range(2)]
    plain = replace(three, a_minute=None)
    assert [(await counted(limits, three)).allowed for _ in range(4)] == [True, True, True, False]
    assert (await counted(limits, other)).remaining == 2
    assert (await counted(limits, plain)).remaining == limits.requests - 1
    assert (await counted(limits, ada)).remaining == limits.requests - 2
    door.clock.advance(timedelta(seconds=20))
    assert (await counted(limits, three)).allowed
    await counted(limits, ada, limits.requests)
    assert (await counted(limits, other)).allowed


async def test_what_all_credentials_of_an_account_have_in_hand_is_one_sum(door: FrontDoor) -> None:
    limits, ada = door.container.limits(), somebody(door)
    machine = replace(ada, scopes=frozenset(), credential_id=door.container.ids().new(), a_minute=1_000)
    with ExitStack() as in_hand:
        for number in range(limits.in_hand):
            await in_hand.enter_context(limits.bill(machine if number % 2 else ada)).charge(1)
        for who in (machine, ada):
            with pytest.raises(TooManyAtOnce), limits.bill(who) as bill:
                await bill.charge(1)
    await counted(limits, machine)


async def test_what_a_request_costs_beside_is_charged_before_it_is_done(door: FrontDoor) -> None:
    limits, ada = door.container.limits(), somebody(door)
    with limits.bill(ada) as bill:
        assert bill.verdict is None
        await bill.charge(1)
        await charge(limits.requests / 2)
        assert bill.verdict
        assert bill.verdict.remaining == limits.requests / 2 - 1
        with pytest.raises(Exhausted) as refused:
            await charge(limits.requests / 2)
        assert refused.value.retry_after_seconds == pytest.approx(limits.window_ms / 1_000 / limits.requests)
        assert not bill.verdict.allowed
    await charge(limits.requests)  # for nobody
    assert (await counted(limits, ada)).remaining == limits.requests / 2 - 2


async def test_an_account_has_at_most_so_much_in_hand(door: FrontDoor) -> None:
    limits, ada, bob = (
        door.container.limits(),
        somebody(door),
        somebody(door),
    )
    with ExitStack() as in_hand:
        for _ in range(limits.in_hand):
            await in_hand.enter_context(limits.bill(ada)).charge(1)
        for _ in range(2):
            with pytest.raises(TooManyAtOnce) as refused, limits.bill(ada) as bill:
                await bill.charge(1)
            assert (refused.value.code, refused.value.retry_after_seconds) == ("too_many_at_once", 1)
        await in_hand.enter_context(limits.bill(bob)).charge(1)
        for _ in range(limits.in_hand + 1):
            await in_hand.enter_context(limits.bill("192.0.2.1")).charge(1)
    for _ in range(limits.in_hand + 1):
        with limits.bill(ada) as bill:
            await bill.charge(1)


async def test_a_costly_request_has_as_much_in_hand_as_it_costs_and_fits_alone_whatever_that_is(
    door: FrontDoor,
) -> None:
    limits, ada = door.container.limits(), somebody(door)
    with limits.bill(ada) as one:
        await one.charge(1)
        await one.charge(limits.in_hand - 2.5)
        with pytest.raises(TooManyAtOnce), limits.bill(ada) as other:
            await other.charge(1)
            await other.charge(0.1)
        with limits.bill(ada) as other:
            await other.charge(0.5)
    with limits.bill(ada) as one:
        await one.charge(limits.in_hand * 2)
        await one.charge(1)
        with pytest.raises(TooManyAtOnce), limits.bill(ada) as other:
            await other.charge(0.1)


@given(integers(1, 20), lists(tuples(integers(0, 25), integers(0, 30)), max_size=40))
def test_whatever_is_charged_and_ended_in_any_order_nothing_stays_in_hand(
    in_hand: int, steps: list[tuple[int, int]]
) -> None:
    """Each step charges a new bill so much, or for 0 ends the one at that place."""

    async def play() -> None:
        limits, ada = in_memory().limits(), ADA
        limits.requests, limits.in_hand = 1_000_000, in_hand
        held: list[tuple[Bill, int]] = []
        for cost, place in steps:
            if cost:
                weight = min(cost, in_hand)
                bill = limits.bill(ada).__enter__()
                fits = sum(each for _, each in held) + weight <= in_hand
                with nullcontext() if fits else pytest.raises(TooManyAtOnce):
                    await bill.charge(cost)
                held.append((bill, weight if fits else 0))
            elif held:
                held.pop(place % len(held))[0].__exit__()
        for bill, _ in held:
            bill.__exit__()
        with limits.bill(ada) as bill:
            await bill.charge(in_hand)

    asyncio.run(play())


async def test_switched_off_no_limit_is_left(hasher: CountingHasher) -> None:
    settings = msgspec.structs.replace(offline(), rate_limit_enabled=False)
    door = FrontDoor(settings=providers.Object(settings), hasher=providers.Object(hasher))
    visits: list[Visit] = [await door.register(f"member{number}@example.org") for number in range(40)]
    for _ in range(PER_ADDRESS + 1):
        await fail(door, "member0@example.org")
    for _ in range(PASSWORD_PER_ACCOUNT.limit + 1):
        with pytest.raises(WrongPassword):
            await door.identity.change_password(visits[0].actor, PasswordChange("wrong", "an entirely new one"))
    await door.log_in("member0@example.org")
    limits = door.container.limits()
    with ExitStack() as in_hand:
        for _ in range(limits.requests + limits.in_hand):
            bill = in_hand.enter_context(limits.bill(visits[0].actor))
            await bill.charge(1)
            assert bill.verdict is None
        await charge(limits.requests)
        for _ in range(limits.requests + 1):
            await limits.ticket("192.0.2.1")


def test_two_policies_of_one_name_are_refused_as_they_would_count_together() -> None:
    twice = [LOGIN_PER_ADDRESS, msgspec.structs.replace(LOGIN_PER_ADDRESS, limit=1)]
    with pytest.raises(ValueError, match="login_address"):
        with_policies(HAPPENINGS, twice)
