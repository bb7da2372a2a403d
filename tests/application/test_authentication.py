"""Who is behind a token, how soon an ended session is refused, and how much of all that is remembered."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from adapters.security.tokens import JwtAccessTokens, TokenExpired, TokenInvalid
from application.authentication import (
    LOOKED_UP_SECONDS,
    OVERLAP,
    REMEMBERED_MAX,
    Authentication,
    CredentialRevoked,
    SessionEnded,
)
from application.lease import Lease
from application.ports.identity import ENDS_KNOWN, AccessTokens, SessionQueries
from application.principal import Principal
from domain.errors import DomainError, Unavailable
from domain.identity import ACCESS_LIFETIME, AccountRole, EndReason
from domain.ids import AccountId, SessionId
from tests.application.front_door import FrontDoor, Visit
from tests.application.live_house import turns
from tests.support.badges import Badges, BadgeUnknown

MILLISECOND = timedelta(milliseconds=1)


class CountedTokens(AccessTokens):
    """Access tokens that count how often one was read; `cheap` ones are just a number and not signed."""

    def __init__(self, cheap: bool = False) -> None:
        self.reads = 0
        self._signed = None if cheap else JwtAccessTokens("a secret of thirty-two bytes or more", (), "us", "us")

    def issue(self, principal: Principal, now: datetime) -> str:
        return self._signed.issue(principal, now) if self._signed else str(principal.credential_id.int)

    def read(self, token: str, now: datetime) -> Principal:
        self.reads += 1
        if self._signed:
            return self._signed.read(token, now)
        return Principal(
            AccountId(UUID(int=1)), SessionId(UUID(int=int(token))), AccountRole.USER, now + ACCESS_LIFETIME
        )


class SessionList(SessionQueries):
    """The ends of sessions as a store would know them, by a clock that is `ahead` of that of the process."""

    def __init__(self, clock: MovableClock, ahead: timedelta) -> None:
        self.ended: dict[UUID, datetime] = {}
        self.away = False
        self.asked_since: list[datetime | None] = []
        self._clock, self._ahead = clock, ahead

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        self.asked_since.append(since)
        if self.away:
            raise Unavailable("The store is away.")
        first = since or self.now() - ENDS_KNOWN
        return [SessionId(id) for id, at in self.ended.items() if at >= first], self.now()


class Gate:
    """An authentication with everything around it, which knows tokens and badges."""

    def __init__(self, cheap: bool = False, ahead: timedelta = timedelta(0)) -> None:
        self.tokens, self.clock = CountedTokens(cheap), MovableClock()
        self.store = SessionList(self.clock, ahead)
        self.observer = MemoryObserver()
        self.badges = Badges(self.clock)
        self.authentication = Authentication(self.tokens, self.store, [self.badges], self.clock, self.observer, Lease())

    def principal(self, session: int = 7) -> Principal:
        expires_at = self.clock.now() + ACCESS_LIFETIME
        return Principal(AccountId(UUID(int=1)), SessionId(UUID(int=session)), AccountRole.USER, expires_at)

    def token(self, session: int = 7) -> str:
        return self.tokens.issue(self.principal(session), self.clock.now())

    def known(self, token: str) -> Principal:
        principal = self.authentication.known(token)
        assert principal is not None
        return principal

    def refused(self, token: str) -> type[DomainError]:
        with pytest.raises(DomainError) as refused:
            self.authentication.known(token)
        return type(refused.value)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_a_token_stands_for_its_principal(gate: Gate) -> None:
    assert gate.known(gate.token()) == gate.principal()


def test_a_token_is_read_once(gate: Gate) -> None:
    token = gate.token()
    for _ in range(5):
        gate.known(token)
    assert gate.tokens.reads == 1


def test_a_remembered_token_expires_like_any_other(gate: Gate) -> None:
    token = gate.token()
    principal = gate.known(token)
    gate.clock.advance(ACCESS_LIFETIME - MILLISECOND)
    assert gate.known(token) == principal
    assert gate.authentication.is_live(principal)
    gate.clock.advance(MILLISECOND)
    assert gate.refused(token) is TokenExpired
    assert not gate.authentication.is_live(principal)


def test_what_is_no_token_is_refused_each_time(gate: Gate) -> None:
    for _ in range(2):
        assert gate.refused("no token") is TokenInvalid
    assert gate.tokens.reads == 2


def test_a_bounded_number_of_tokens_is_remembered_and_the_oldest_forgotten() -> None:
    gate = Gate(cheap=True)
    for session in range(REMEMBERED_MAX):
        gate.known(str(session))
    gate.known("0")
    assert gate.tokens.reads == REMEMBERED_MAX
    gate.known(str(REMEMBERED_MAX))
    gate.known("1")
    assert gate.tokens.reads == REMEMBERED_MAX + 1
    gate.known("0")
    assert gate.tokens.reads == REMEMBERED_MAX + 2


def test_who_ends_a_session_knows_at_once(gate: Gate) -> None:
    known, unknown, other = gate.token(), gate.token(), gate.token(session=8)
    principal = gate.known(known)
    gate.authentication.end([principal.credential_id])
    assert gate.refused(known) is gate.refused(unknown) is SessionEnded
    assert not gate.authentication.is_live(principal)
    assert gate.authentication.is_live(gate.known(other))


async def test_an_end_elsewhere_is_learnt_with_one_look(gate: Gate) -> None:
    token = gate.token()
    principal = gate.known(token)
    await gate.authentication.refresh()
    gate.clock.advance(timedelta(minutes=1))
    gate.store.ended[principal.credential_id] = gate.store.now()
    assert gate.known(token) == principal
    await gate.authentication.refresh()
    assert gate.refused(token) is SessionEnded


@pytest.mark.parametrize("ahead", [20, -20, 3_600, -3_600])
async def test_an_end_is_learnt_however_far_the_clock_of_the_process_is_from_the_stores(ahead: int) -> None:
    gate = Gate(ahead=timedelta(seconds=ahead))
    before, after = gate.token(session=7), gate.token(session=8)
    gate.store.ended[SessionId(UUID(int=7))] = gate.store.now()
    await gate.authentication.refresh()
    assert gate.refused(before) is SessionEnded
    gate.clock.advance(timedelta(minutes=1))
    gate.store.ended[SessionId(UUID(int=8))] = gate.store.now()
    await gate.authentication.refresh()
    assert gate.refused(after) is SessionEnded


async def test_an_end_that_committed_late_is_still_found(gate: Gate) -> None:
    token = gate.token()
    await gate.authentication.refresh()
    gate.store.ended[gate.principal().credential_id] = gate.store.now() - OVERLAP
    gate.clock.advance(timedelta(seconds=1))
    gate.store.ended[gate.principal().credential_id] += timedelta(seconds=1)
    await gate.authentication.refresh()
    assert gate.refused(token) is SessionEnded


async def test_a_new_process_learns_every_end_that_a_token_could_have_outlived(gate: Gate) -> None:
    token = gate.token()
    gate.store.ended[gate.principal().credential_id] = gate.store.now()
    gate.clock.advance(ACCESS_LIFETIME - MILLISECOND)
    await gate.authentication.refresh()
    assert gate.refused(token) is SessionEnded


async def test_while_the_store_was_away_nothing_is_overlooked(gate: Gate) -> None:
    token = gate.token()
    await gate.authentication.refresh()
    gate.store.ended[gate.principal().credential_id] = gate.store.now()
    gate.store.away = True
    for _ in range(5):
        gate.clock.advance(timedelta(minutes=1))
        with pytest.raises(Unavailable):
            await gate.authentication.refresh()
    gate.store.away = False
    await gate.authentication.refresh()
    assert gate.refused(token) is SessionEnded


async def test_an_end_is_remembered_as_long_as_a_token_may_last_and_no_longer(gate: Gate) -> None:
    gate.store.ended[gate.principal().credential_id] = gate.store.now()
    token = gate.token()
    until = gate.clock.now() + ACCESS_LIFETIME
    while gate.clock.now() < until:
        await gate.authentication.refresh()
        assert gate.refused(token) is SessionEnded
        gate.clock.advance(timedelta(seconds=30))
    assert gate.refused(token) is TokenExpired
    for _ in range(3):
        gate.clock.advance(ACCESS_LIFETIME)
        await gate.authentication.refresh()
    assert not gate.authentication._ended


async def test_a_look_asks_only_for_what_is_new(gate: Gate) -> None:
    for _ in range(3):
        await gate.authentication.refresh()
        gate.clock.advance(timedelta(minutes=1))
    first, second, third = gate.store.asked_since
    assert first is None
    assert second
    assert third
    assert third - second == timedelta(minutes=1)
    assert gate.store.now() - third == OVERLAP + timedelta(minutes=2)


async def test_the_watch_goes_on_when_the_store_comes_back(gate: Gate) -> None:
    gate.store.away = True
    token = gate.token()
    gate.known(token)
    watch = asyncio.create_task(gate.authentication.run())
    async with asyncio.timeout(20):
        while not gate.store.asked_since:
            await asyncio.sleep(0)
        gate.store.away = False
        gate.store.ended[gate.principal().credential_id] = gate.store.now()
        while gate.authentication.is_live(gate.principal()):
            await asyncio.sleep(0.005)
    assert gate.refused(token) is SessionEnded
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch


async def test_a_token_is_identified_without_asking_anybody(gate: Gate) -> None:
    assert await gate.authentication.identify(gate.token()) == gate.principal()
    with pytest.raises(TokenInvalid):
        await gate.authentication.identify("no token")
    assert gate.badges.asked == 0


async def test_what_has_to_be_looked_up_is_known_for_ten_seconds_afterwards(gate: Gate) -> None:
    text, id = gate.badges.issue(UUID(int=1))
    for asked in (1, 2):
        assert gate.authentication.known(text) is None
        principal = await gate.authentication.identify(text)
        assert (principal.account_id, principal.via) == (UUID(int=1), id)
        gate.clock.advance(timedelta(seconds=LOOKED_UP_SECONDS) - MILLISECOND)
        assert gate.authentication.known(text) == await gate.authentication.identify(text) == principal
        assert gate.badges.asked == asked
        gate.clock.advance(MILLISECOND)
    assert gate.tokens.reads == 0


async def test_what_is_known_runs_out_like_any_other(gate: Gate) -> None:
    text, _ = gate.badges.issue(UUID(int=1))
    gate.clock.advance(timedelta(hours=1) - MILLISECOND)
    principal = await gate.authentication.identify(text)
    gate.clock.advance(MILLISECOND)
    assert not gate.authentication.is_live(principal)
    with pytest.raises(BadgeUnknown):
        await gate.authentication.identify(text)


async def test_what_stands_for_nobody_is_refused_each_time_and_counted(gate: Gate) -> None:
    for _ in range(2):
        with pytest.raises(BadgeUnknown):
            await gate.authentication.identify("badge-of-nobody")
    assert gate.badges.asked == 2
    assert gate.observer.happenings["token_rejected", "other"] == 2


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_end_of_any_credential_is_learnt_with_one_look(gate: Gate, is_known: bool) -> None:
    told: list[UUID] = []
    gate.authentication.listen(told.extend)
    (text, id), token = gate.badges.issue(UUID(int=1)), gate.token()
    principal = await gate.authentication.identify(text)
    if not is_known:
        gate.clock.advance(timedelta(seconds=LOOKED_UP_SECONDS))
    await gate.authentication.refresh()
    gate.badges.revoke(id)
    assert gate.authentication.is_live(principal)
    await gate.authentication.refresh()
    assert told == [id]
    assert not gate.authentication.is_live(principal)
    with pytest.raises(CredentialRevoked):
        await gate.authentication.identify(text)
    gate.known(token)


async def test_what_has_ended_is_refused_for_longer_than_ends_are_remembered(gate: Gate) -> None:
    text, id = gate.badges.issue(UUID(int=1))
    await gate.authentication.identify(text)
    gate.badges.revoke(id)
    await gate.authentication.refresh()
    gate.clock.advance(ENDS_KNOWN + MILLISECOND)
    await gate.authentication.refresh()
    with pytest.raises(CredentialRevoked):
        await gate.authentication.identify(text)


async def test_one_that_is_revoked_while_it_is_looked_up_opens_nothing(gate: Gate) -> None:
    text, id = gate.badges.issue(UUID(int=1))
    gate.badges.is_open.clear()
    asking = asyncio.create_task(gate.authentication.identify(text))
    await turns(3)
    gate.badges.revoke(id)
    await gate.authentication.refresh()
    gate.badges.is_open.set()
    with pytest.raises(CredentialRevoked):
        await asking


async def test_every_way_to_end_a_session_reaches_another_process_with_one_look() -> None:
    door = FrontDoor()
    elsewhere = Authentication(
        door.container.tokens(), door.container.session_queries(), (), door.clock, door.container.observer(), Lease()
    )
    visits = {reason: await door.register(f"{reason}@example.org") for reason in EndReason}

    async def end(visit: Visit, reason: EndReason) -> None:
        if reason is EndReason.LOGGED_OUT:
            await door.identity.log_out(visit.refresh_token)
        elif reason is EndReason.LOGGED_OUT_EVERYWHERE:
            await door.identity.log_out_everywhere(visit.actor)
        elif reason is EndReason.ENDED_BY_OWNER:
            await door.identity.end_session(visit.actor, visit.session_id)
        elif reason is EndReason.DISABLED:
            await door.administration.disable(f"{reason}@example.org")
        elif reason is EndReason.TOKEN_REUSED:
            newest = await door.refresh((await door.refresh(visit.refresh_token)).refresh_token)
            assert newest.session_id == visit.session_id
            with pytest.raises(DomainError):
                await door.refresh(visit.refresh_token)
        else:
            async with door.container.work()() as work:
                session = await work.sessions.get(visit.session_id)
                assert session
                session.end(reason, None, door.clock.now())
                work.sessions.save(session)

    for reason, visit in visits.items():
        assert elsewhere.known(visit.access_token) == visit.actor
        await end(visit, reason)
        assert (await door.session(visit)).ended_because is reason
        await elsewhere.refresh()
        with pytest.raises(SessionEnded):
            elsewhere.known(visit.access_token)
    door.close()
