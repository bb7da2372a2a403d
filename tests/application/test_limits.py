"""How often somebody may try, and whom the attempts of others lock out: nobody."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers

from application.identity import Client, PasswordChange
from application.limits import Limits
from application.ports.identity import PasswordHasher
from domain.errors import Exhausted
from domain.identity import InvalidCredentials, WrongPassword
from entrypoints.container import offline
from tests.application.front_door import AWAY, HOME, PASSWORD, FrontDoor, Visit

PER_ACCOUNT, WINDOW_MS = Limits.LOGIN_PER_ACCOUNT_AND_ADDRESS
PER_ADDRESS = Limits.LOGIN_PER_ADDRESS[0]


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


async def fail(door: FrontDoor, email: str = "ada@example.org", client: Client = HOME) -> None:
    with pytest.raises(InvalidCredentials):
        await door.log_in(email, "wrong", client)


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
    await door.log_in(client=AWAY)
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
    await door.log_in(client=AWAY)


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
    limit = Limits.REGISTER_PER_ADDRESS[0]
    for number in range(limit):
        await door.register(f"member{number}@example.org")
    with pytest.raises(Exhausted):
        await door.register("one.too.many@example.org")
    await door.register("elsewhere@example.org", AWAY)


async def test_changing_a_password_is_limited_by_account(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org")
    for _ in range(Limits.PASSWORD_PER_ACCOUNT[0]):
        with pytest.raises(WrongPassword):
            await door.identity.change_password(ada.actor, PasswordChange("wrong", "an entirely new one"))
    with pytest.raises(Exhausted):
        await door.identity.change_password(ada.actor, PasswordChange(PASSWORD, "an entirely new one"))
    await door.identity.change_password(bob.actor, PasswordChange(PASSWORD, "an entirely new one"))


async def test_requests_are_counted_for_each_caller(door: FrontDoor) -> None:
    limits = door.container.limits()
    verdicts = [await limits.request("ada") for _ in range(limits.requests + 1)]
    assert [verdict.allowed for verdict in verdicts] == [True] * limits.requests + [False]
    assert (await limits.request("bob")).remaining == limits.requests - 1


async def test_switched_off_no_limit_is_left(hasher: CountingHasher) -> None:
    settings = msgspec.structs.replace(offline(), rate_limit_enabled=False)
    door = FrontDoor(settings=providers.Object(settings), hasher=providers.Object(hasher))
    visits: list[Visit] = [await door.register(f"member{number}@example.org") for number in range(40)]
    for _ in range(PER_ADDRESS + 1):
        await fail(door, "member0@example.org")
    for _ in range(Limits.PASSWORD_PER_ACCOUNT[0] + 1):
        with pytest.raises(WrongPassword):
            await door.identity.change_password(visits[0].actor, PasswordChange("wrong", "an entirely new one"))
    await door.log_in("member0@example.org")
