"""What every `CredentialKind` promises: passes of guests, and badges, which are no part of the product."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

import pytest

from adapters.memory.system import MovableClock
from application.ports.credentials import CredentialKind
from application.scopes import Scope
from domain.errors import Unauthenticated
from domain.ids import AccountId
from tests.contracts.house import House
from tests.support.badges import Badges

READ, WRITE = Scope("read", "Read."), Scope("write", "Write.")
MILLISECOND = timedelta(milliseconds=1)


class Desk(Protocol):
    """Where credentials of a kind are issued and taken back."""

    kind: CredentialKind
    clock: MovableClock

    async def issue(self, *scopes: Scope) -> tuple[str, UUID]:
        """A new credential of somebody with these scopes, and its id."""
        ...

    async def revoke(self, id: UUID) -> None: ...

    async def pass_time(self) -> None:
        """Let some time pass, as the source of `ended_since` counts it."""
        ...


class BadgeDesk:
    """Badges, which are kept in this process."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self._badges = Badges(self.clock)
        self.kind: CredentialKind = self._badges

    async def issue(self, *scopes: Scope) -> tuple[str, UUID]:
        return self._badges.issue(UUID(int=1), *scopes)

    async def revoke(self, id: UUID) -> None:
        self._badges.revoke(id)

    async def pass_time(self) -> None:
        self.clock.advance(MILLISECOND)


class Gate:
    """Passes of guests, on each store."""

    def __init__(self, house: House) -> None:
        self.clock = house.clock
        self.kind: CredentialKind = house.guests
        self._house = house
        self._guests: dict[UUID, AccountId] = {}

    async def issue(self, *scopes: Scope) -> tuple[str, UUID]:
        now = self.clock.now()
        async with self._house.work() as work:
            guest, token = self._house.guests.came(work, "Grace", scopes, now + timedelta(hours=1), now)
        id = (await self.kind.find(token)).credential_id
        self._guests[id] = guest.id
        return token, id

    async def revoke(self, id: UUID) -> None:
        async with self._house.work() as work:
            await self._house.guests.gone(work, [self._guests[id]], None, self.clock.now())

    async def pass_time(self) -> None:
        await self._house.pass_time(10 * MILLISECOND)


@pytest.fixture(params=["badges", "guests in memory", "guests on postgres"])
def desk(request: pytest.FixtureRequest) -> Desk:
    match request.param:
        case "guests in memory":
            return Gate(request.getfixturevalue("memory_house"))
        case "guests on postgres":
            return Gate(request.getfixturevalue("postgres_and_redis_house"))
    return BadgeDesk()


async def test_a_credential_stands_for_its_account_with_its_scopes(desk: Desk) -> None:
    text, id = await desk.issue(READ, WRITE)
    principal = await desk.kind.find(text)
    assert (principal.via, principal.scopes, principal.is_admin) == (id, frozenset({"read", "write"}), False)


async def test_one_without_scopes_is_no_session(desk: Desk) -> None:
    text, id = await desk.issue()
    principal = await desk.kind.find(text)
    assert not principal.is_session
    assert (principal.via, principal.scopes) == (id, frozenset())


async def test_only_what_was_issued_is_recognised_and_stands_for_somebody(desk: Desk) -> None:
    text, _ = await desk.issue()
    assert desk.kind.recognises(text)
    assert not desk.kind.recognises("eyJhbGciOiJIUzI1NiJ9.e30.x")
    with pytest.raises(Unauthenticated):
        await desk.kind.find(text + "x")


async def test_it_stands_for_nobody_once_it_has_run_out(desk: Desk) -> None:
    text, _ = await desk.issue()
    desk.clock.advance((await desk.kind.find(text)).expires_at - desk.clock.now())
    with pytest.raises(Unauthenticated):
        await desk.kind.find(text)


async def test_it_stands_for_nobody_once_it_has_ended_and_its_end_is_told(desk: Desk) -> None:
    (text, id), (other, _) = await desk.issue(), await desk.issue()
    _, before = await desk.kind.ended_since(None)
    await desk.pass_time()
    await desk.revoke(id)
    assert list((await desk.kind.ended_since(before))[0]) == [id]
    await desk.pass_time()
    _, now = await desk.kind.ended_since(None)
    assert list((await desk.kind.ended_since(now))[0]) == []
    with pytest.raises(Unauthenticated):
        await desk.kind.find(text)
    await desk.kind.find(other)
