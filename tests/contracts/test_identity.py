"""What every AccountRepository and SessionRepository promises."""

from datetime import timedelta

import pytest
from msgspec import json

from domain.channels import account_stream
from domain.errors import NotFound
from domain.identity import (
    SESSION_ABSOLUTE,
    SESSION_IDLE,
    Account,
    AccountRole,
    EmailTaken,
    EndReason,
    FailedLogin,
    RefreshToken,
    Session,
)
from domain.ids import AccountId, SessionId
from tests.contracts.house import House
from tests.support.builders import a_session, an_account


async def end(house: House, session: Session, because: EndReason = EndReason.LOGGED_OUT) -> None:
    async with house.work() as work:
        found = await work.sessions.get(session.id)
        assert found
        found.end(because, None, house.clock.now())
        work.sessions.save(found)


async def test_an_account_comes_back_whole_by_its_id_and_by_its_address(house: House) -> None:
    ada = await an_account(house, "Ada Überall 🚀")
    async with house.work() as work:
        assert await work.accounts.get(ada.id) == ada
        assert await work.accounts.find(str(ada.email)) == ada
    assert (ada.version, ada.role, ada.disabled_at) == (1, AccountRole.USER, None)


async def test_every_change_of_an_account_is_kept(house: House) -> None:
    ada = await an_account(house)
    house.clock.advance(timedelta(seconds=1))
    now = house.clock.now()
    async with house.work() as work:
        changed = await work.accounts.get(ada.id)
        changed.change(now, "Countess", "Europe/London", "en-GB")
        changed.change_password("another hash", now)
        changed.make_admin(now)
        changed.disable(now)
        work.accounts.save(changed)
    async with house.work() as work:
        found = await work.accounts.get(ada.id)
        assert await work.accounts.find(str(ada.email)) == found
    assert found == changed
    assert (found.version, found.role, found.disabled_at, found.updated_at) == (5, AccountRole.ADMIN, now, now)
    assert type(found.role) is AccountRole


async def test_a_loaded_account_is_the_callers_own_copy(house: House) -> None:
    ada = await an_account(house)
    async with house.work() as work:
        (await work.accounts.get(ada.id)).display_name = "Mine"
        assert await work.accounts.get(ada.id) == ada


async def test_an_absent_account_is_not_found(house: House) -> None:
    await an_account(house)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.accounts.get(AccountId(house.ids.new()))
        assert await work.accounts.find("nobody@example.org") is None


async def test_an_address_that_is_taken_stays_with_its_account(house: House) -> None:
    ada = await an_account(house)
    twin = Account.register(AccountId(house.ids.new()), str(ada.email).upper(), "Twin", "a hash", house.clock.now())
    with pytest.raises(EmailTaken):
        async with house.work() as work:
            work.accounts.add(twin)
    async with house.work() as work:
        assert await work.accounts.find(str(ada.email)) == ada
        with pytest.raises(NotFound):
            await work.accounts.get(twin.id)


async def test_accounts_come_in_pages_in_the_order_of_their_ids(house: House) -> None:
    made = [await an_account(house) for _ in range(5)]
    async with house.work() as work:
        assert await work.accounts.page(None, 2) == made[:2]
        assert await work.accounts.page(made[1].id, 2) == made[2:4]
        assert await work.accounts.page(made[3].id, 2) == made[4:]
        assert await work.accounts.page(made[4].id, 2) == []


async def test_a_sign_in_that_failed_is_told_and_changes_nothing_of_the_account(house: House) -> None:
    ada = await an_account(house)
    async with house.work() as work:
        work.accounts.tell(FailedLogin.of(house.ids.new(), ada.id, "203.0.113.7", "x" * 1_000, house.clock.now()))
    entry = (await house.journal.read(account_stream(ada.id), 0, 100))[-1]
    event = json.decode(entry.body)
    assert (event["type"], event["actor"], event["resource"]["version"]) == ("login.failed", None, 1)
    assert event["data"] == {"address": "203.0.113.7", "user_agent": "x" * 256}
    async with house.work() as work:
        assert await work.accounts.get(ada.id) == ada


async def test_a_session_comes_back_whole(house: House) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    async with house.work() as work:
        assert await work.sessions.get(session.id) == session
        assert await work.sessions.get(SessionId(house.ids.new())) is None


async def test_every_change_of_a_session_is_kept(house: House) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    house.clock.advance(timedelta(hours=1))
    now = house.clock.now()
    async with house.work() as work:
        changed = await work.sessions.get(session.id)
        assert changed
        changed.signing_key = b"\x00\xff" * 16
        assert changed.refresh(RefreshToken(0, changed.created_at), now, now, "203.0.113.7")
        assert changed.refresh(RefreshToken(1, now), now, now, "203.0.113.7")
        changed.end(EndReason.TOKEN_REUSED, None, now)
        work.sessions.save(changed)
    async with house.work() as work:
        found = await work.sessions.get(session.id)
    assert found is not None
    assert found == changed
    assert (found.rotations, found.used, found.spent) == (2, 1, [0])
    assert (found.rotated_at, found.signing_key) == (now, b"\x00\xff" * 16)
    assert (found.ended_at, found.ended_because, found.version) == (now, EndReason.TOKEN_REUSED, 4)


async def test_a_loaded_session_is_the_callers_own_copy(house: House) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    async with house.work() as work:
        mine = await work.sessions.get(session.id)
        assert mine
        mine.token_digest = b"mine"
        assert await work.sessions.get(session.id) == session
        (listed,) = await work.sessions.live(ada.id, house.clock.now())
        assert listed == session


async def test_live_are_the_sessions_that_are_not_over_oldest_first(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    await a_session(house, bob.id)
    first = await a_session(house, ada.id)
    house.clock.advance(timedelta(seconds=1))
    ended, last = await a_session(house, ada.id), await a_session(house, ada.id)
    await end(house, ended)

    async def live() -> list[SessionId]:
        async with house.work() as work:
            return [session.id for session in await work.sessions.live(ada.id, house.clock.now())]

    assert await live() == [first.id, last.id]
    house.clock.advance(SESSION_IDLE - timedelta(seconds=1, milliseconds=1))
    assert await live() == [first.id, last.id]
    house.clock.advance(timedelta(milliseconds=1))
    assert await live() == [last.id]


async def test_a_session_that_is_used_lives_on_but_not_beyond_its_absolute_end(house: House) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    step = timedelta(days=6)
    for number in range(5):
        if number:
            house.clock.advance(step)
        async with house.work() as work:
            (found,) = await work.sessions.live(ada.id, house.clock.now())
            now = house.clock.now()
            assert found.refresh(RefreshToken(number, now), now, now, "203.0.113.7")
            work.sessions.save(found)
    house.clock.advance(SESSION_ABSOLUTE - 4 * step - timedelta(milliseconds=1))
    async with house.work() as work:
        assert [found.id for found in await work.sessions.live(ada.id, house.clock.now())] == [session.id]
    house.clock.advance(timedelta(milliseconds=1))
    async with house.work() as work:
        assert await work.sessions.live(ada.id, house.clock.now()) == []


async def test_every_process_learns_which_sessions_ended(house: House) -> None:
    ada = await an_account(house)
    early, late, alive = [await a_session(house, ada.id) for _ in range(3)]
    await end(house, early)
    ended, now = await house.session_queries.ended_since(None)
    assert set(ended) == {early.id}
    await house.pass_time(timedelta(milliseconds=10))
    ended, _ = await house.session_queries.ended_since(now + timedelta(milliseconds=1))
    assert list(ended) == []
    await end(house, late, EndReason.PASSWORD_CHANGED)
    assert set((await house.session_queries.ended_since(now))[0]) >= {late.id}
    assert list((await house.session_queries.ended_since(now + timedelta(milliseconds=1)))[0]) == [late.id]
    ended, later = await house.session_queries.ended_since(None)
    assert set(ended) == {early.id, late.id}
    assert later > now
    assert alive.id not in ended


@pytest.mark.parametrize("off", [timedelta(seconds=-20), timedelta(hours=-1), timedelta(seconds=20)])
async def test_an_end_is_learnt_whatever_the_clock_of_the_process_says_that_wrote_it(
    house: House, off: timedelta
) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    _, before = await house.session_queries.ended_since(None)
    async with house.work() as work:
        found = await work.sessions.get(session.id)
        assert found
        found.end(EndReason.LOGGED_OUT, None, before + off)
        work.sessions.save(found)
    assert list((await house.session_queries.ended_since(before))[0]) == [session.id]


async def test_with_a_session_comes_the_time_of_a_clock_that_all_processes_share(house: House) -> None:
    ada = await an_account(house)
    session = await a_session(house, ada.id)
    _, before = await house.session_queries.ended_since(None)
    async with house.work() as work:
        found = await work.sessions.get_with_time(session.id)
        assert await work.sessions.get_with_time(SessionId(house.ids.new())) is None
    _, after = await house.session_queries.ended_since(None)
    assert found is not None
    assert found[0] == session
    assert before <= found[1] <= after


async def test_a_place_is_known_for_as_long_as_a_session_of_it_is_kept_and_young(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    session, since = await a_session(house, ada.id), house.clock.now() - timedelta(days=90)
    async with house.work() as work:
        session.end(EndReason.LOGGED_OUT, ada.id, house.clock.now())
        work.sessions.save(session)
    place = session.address, session.user_agent
    async with house.work() as work:
        used_from = work.sessions.used_from
        assert await used_from(ada.id, *place, since)
        assert not await used_from(ada.id, *place, house.clock.now())
        assert not await used_from(bob.id, *place, since)
        assert not await used_from(ada.id, "192.0.2.99", session.user_agent, since)
        assert not await used_from(ada.id, session.address, "another browser", since)
