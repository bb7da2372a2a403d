"""What every `CredentialKind` promises, checked with badges, which are no part of the product."""

from datetime import timedelta
from uuid import UUID

import pytest

from adapters.memory.system import MovableClock
from application.ports.credentials import CredentialKind
from application.scopes import Scope
from domain.errors import Unauthenticated
from tests.support.badges import Badges

READ, WRITE = Scope("read", "Read."), Scope("write", "Write.")
ADA = UUID(int=1)
MILLISECOND = timedelta(milliseconds=1)


class Desk:
    """Where badges are issued, and the kind that knows them."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.badges = Badges(self.clock)
        self.kind: CredentialKind = self.badges


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_credential_stands_for_its_account_with_its_scopes(desk: Desk) -> None:
    text, id = desk.badges.issue(ADA, READ, WRITE)
    principal = await desk.kind.find(text)
    assert (principal.account_id, principal.via, principal.scopes) == (ADA, id, frozenset({"read", "write"}))


async def test_one_without_scopes_is_no_session(desk: Desk) -> None:
    text, id = desk.badges.issue(ADA)
    principal = await desk.kind.find(text)
    assert not principal.is_session
    assert (principal.via, principal.scopes) == (id, frozenset())


async def test_only_what_was_issued_is_recognised_and_stands_for_somebody(desk: Desk) -> None:
    text, _ = desk.badges.issue(ADA)
    assert desk.kind.recognises(text)
    assert not desk.kind.recognises("eyJhbGciOiJIUzI1NiJ9.e30.x")
    with pytest.raises(Unauthenticated):
        await desk.kind.find("badge-of-nobody")


async def test_it_stands_for_nobody_once_it_has_run_out(desk: Desk) -> None:
    text, _ = desk.badges.issue(ADA)
    desk.clock.advance((await desk.kind.find(text)).expires_at - desk.clock.now())
    with pytest.raises(Unauthenticated):
        await desk.kind.find(text)


async def test_it_stands_for_nobody_once_it_has_ended_and_its_end_is_told(desk: Desk) -> None:
    (text, id), (other, _) = desk.badges.issue(ADA), desk.badges.issue(ADA)
    _, before = await desk.kind.ended_since(None)
    desk.clock.advance(MILLISECOND)
    desk.badges.revoke(id)
    assert (await desk.kind.ended_since(before))[0] == [id]
    desk.clock.advance(MILLISECOND)
    ended, now = await desk.kind.ended_since(desk.clock.now())
    assert (ended, now) == ([], desk.clock.now())
    with pytest.raises(Unauthenticated):
        await desk.kind.find(text)
    await desk.kind.find(other)
