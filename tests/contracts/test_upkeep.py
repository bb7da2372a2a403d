"""What `Upkeep` promises: what is old goes in pieces and leaves no hole, and nobody who works is held up by it."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from application.ports.events import EventFilter, HistoryGone, Span, Survey
from domain.access import Role
from domain.channels import account_stream, workspace_stream
from domain.errors import NotFound
from domain.identity import SESSION_ABSOLUTE, EndReason
from domain.ids import AccountId, InvitationId, SessionId, WorkspaceId
from tests.contracts.house import Follower, House
from tests.support.builders import a_session, a_task, a_team, an_account

KEPT = timedelta(days=30)
LATER = timedelta(days=10)
EVERYTHING = EventFilter()


async def forget(house: House, most: int = 1_000) -> int:
    return await house.upkeep.forget_events(house.clock.now(), KEPT, most)


async def span(house: House, stream: str) -> Span:
    return (await house.journal.survey([stream])).spans[stream]


async def offsets(house: House, stream: str, after: int = 0) -> list[int]:
    return [entry.offset for entry in await house.journal.read(stream, after, 1_000)]


async def test_what_is_old_goes_and_the_head_stays_where_it_was(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    for _ in range(3):
        await a_task(house, mine, ada.id)
    house.clock.advance(LATER)
    task = await a_task(house, mine, ada.id)
    assert await forget(house) == 0
    assert await span(house, stream) == Span(0, 5)
    house.clock.advance(KEPT)
    # At the limit itself the newest is still kept.
    assert await forget(house) == 5
    assert await span(house, stream) == Span(4, 5)
    assert await offsets(house, stream) == await offsets(house, stream, 4) == [5]
    assert await offsets(house, stream, 5) == []
    assert (await house.journal.heads([stream]))[stream] == 5
    assert await span(house, account_stream(ada.id)) == Span(1, 1)
    history = EventFilter(resource_id=task.id)
    assert [view.offset for view in (await house.journal.page(stream, history, True, None, 9)).data] == [5]


async def test_a_stream_of_which_nothing_is_left_goes_on_where_it_was_and_is_dropped_again_in_time(
    house: House,
) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    house.clock.advance(KEPT + LATER)
    assert await forget(house) == 2
    assert await span(house, stream) == Span(1, 1)
    follower = await Follower(house, stream).start()
    await a_task(house, mine, ada.id)
    assert [entry.offset for entry in await follower.hints()] == [2]
    assert await offsets(house, stream) == [2]
    house.clock.advance(LATER)
    await a_task(house, mine, ada.id)
    house.clock.advance(KEPT - LATER / 2)
    assert await forget(house) == 1
    assert await span(house, stream) == Span(2, 3)
    house.clock.advance(LATER)
    assert await forget(house) == 1
    assert await span(house, stream) == Span(3, 3)
    assert await forget(house) == 0


async def test_an_event_stays_as_long_as_one_before_it_whatever_the_clocks_say(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    house.clock.advance(LATER)
    await a_task(house, mine, ada.id)
    house.clock.advance(-LATER)  # a writer whose clock is late
    await a_task(house, mine, ada.id)
    house.clock.advance(KEPT + LATER / 2)
    await forget(house)
    assert await offsets(house, stream) == [2, 3]
    house.clock.advance(LATER)
    await forget(house)
    assert await offsets(house, stream) == []
    assert await span(house, stream) == Span(3, 3)


async def test_what_is_old_goes_in_pieces_over_all_streams_until_nothing_is_left_of_it(house: House) -> None:
    people = [await an_account(house) for _ in range(4)]
    for ada in people:
        for _ in range(5):
            await a_task(house, WorkspaceId(ada.id), ada.id)
    house.clock.advance(KEPT + LATER)
    counts = []
    while (count := await forget(house, 5)) == 5:
        counts.append(count)
        for ada in people:  # at no moment is there a hole
            stream = workspace_stream(WorkspaceId(ada.id))
            kept = await span(house, stream)
            assert await offsets(house, stream) == list(range(kept.tail + 1, kept.head + 1))
    assert sum(counts) + count == 4 * 7


async def test_several_who_drop_at_once_drop_each_event_once_while_others_write(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    for _ in range(40):
        await a_task(house, mine, ada.id)
    house.clock.advance(KEPT + LATER)

    async def drop() -> int:
        return sum([await forget(house, 3) for _ in range(10)])

    async with asyncio.timeout(20):
        *dropped, _ = await asyncio.gather(
            drop(), drop(), drop(), asyncio.gather(*(a_task(house, mine, ada.id) for _ in range(30)))
        )
        rest = await forget(house)
    assert sum(dropped) + rest == 1 + 41
    assert await span(house, stream) == Span(41, 71)
    assert await offsets(house, stream) == list(range(42, 72))


async def test_pages_newest_first_end_at_what_is_kept_and_oldest_first_say_what_they_lost(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    for _ in range(5):
        await a_task(house, mine, ada.id)
    up = (await house.journal.page(stream, EVERYTHING, False, None, 2)).next_cursor
    down = (await house.journal.page(stream, EVERYTHING, True, None, 2)).next_cursor
    house.clock.advance(LATER)
    await a_task(house, mine, ada.id)
    house.clock.advance(KEPT - LATER / 2)
    await forget(house, 5)
    assert await span(house, stream) in (Span(4, 7), Span(5, 7))
    with pytest.raises(HistoryGone):
        await house.journal.page(stream, EVERYTHING, False, up, 2)
    assert [view.offset for view in (await house.journal.page(stream, EVERYTHING, False, None, 9)).data][-1] == 7
    page = await house.journal.page(stream, EVERYTHING, True, down, 9)
    assert [view.offset for view in page.data] in ([], [4], [5], [5, 4])
    assert page.next_cursor is None


async def test_a_cursor_to_what_is_still_kept_leads_on(house: House) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    house.clock.advance(LATER)
    for _ in range(3):
        await a_task(house, mine, ada.id)
    cursor = (await house.journal.page(stream, EVERYTHING, False, None, 1)).next_cursor
    house.clock.advance(KEPT - LATER / 2)
    await forget(house)
    assert await span(house, stream) == Span(1, 4)
    page = await house.journal.page(stream, EVERYTHING, False, cursor, 9)
    assert [view.offset for view in page.data] == [2, 3, 4]


async def test_sessions_go_when_they_have_been_over_for_long_enough(house: House) -> None:
    ada = await an_account(house)
    ended, live, ended_late = [await a_session(house, ada.id) for _ in range(3)]
    await end(house, ended.id)
    house.clock.advance(LATER)
    await end(house, ended_late.id)
    assert await house.upkeep.forget_sessions(house.clock.now(), LATER, 9) == 0
    assert await house.upkeep.forget_sessions(house.clock.now(), LATER / 2, 9) == 1
    assert await kept(house, ended.id, live.id, ended_late.id) == [False, True, True]
    house.clock.advance(SESSION_ABSOLUTE)
    young = await a_session(house, ada.id)
    assert await house.upkeep.forget_sessions(house.clock.now(), LATER * 3, 9) == 0
    assert await house.upkeep.forget_sessions(house.clock.now(), timedelta(), 1) == 1
    assert await house.upkeep.forget_sessions(house.clock.now(), timedelta(), 9) == 1
    assert await kept(house, live.id, ended_late.id, young.id) == [False, False, True]


async def end(house: House, id: SessionId) -> None:
    async with house.work() as work:
        session = await work.sessions.get(id)
        assert session is not None
        session.end(EndReason.LOGGED_OUT, session.account_id, house.clock.now())
        work.sessions.save(session)


async def kept(house: House, *ids: SessionId) -> list[bool]:
    async with house.work() as work:
        return [await work.sessions.get(id) is not None for id in ids]


async def test_invitations_go_when_they_ran_out_long_enough_ago(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    old = await invite(house, team.id, ada.id, timedelta(days=1))
    young = await invite(house, team.id, ada.id, timedelta(days=3))
    house.clock.advance(timedelta(days=2))
    assert await house.upkeep.forget_invitations(house.clock.now(), timedelta(days=1), 9) == 0
    assert await house.upkeep.forget_invitations(house.clock.now(), timedelta(), 9) == 1
    async with house.work() as work:
        assert (await work.workspaces.invitation(young, team.id)).id == young
        with pytest.raises(NotFound):
            await work.workspaces.invitation(old, team.id)


async def invite(house: House, workspace: WorkspaceId, by: AccountId, lifetime: timedelta) -> InvitationId:
    id, now = InvitationId(house.ids.new()), house.clock.now()
    async with house.work() as work:
        found = await work.workspaces.get(workspace)
        work.workspaces.add_invitation(found.invite(id, found.members[by].role, id.bytes, 1, now + lifetime, by, now))
        work.workspaces.save(found)
    return id


async def test_removals_go_when_they_are_old_enough(house: House) -> None:
    ada, bob, cyn = [await an_account(house, name) for name in ("Ada", "Bob", "Cyn")]
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER, cyn.id: Role.MEMBER})

    async def remembered() -> list[bool]:
        async with house.work() as work:
            return [await work.workspaces.removal(team.id, person.id) is not None for person in (bob, cyn)]

    for person in (bob, cyn):
        async with house.work() as work:
            workspace = await work.workspaces.get(team.id)
            removal = workspace.remove(person.id, ada.id, house.clock.now())
            assert removal
            work.workspaces.add_removal(removal)
            work.workspaces.save(workspace)
        house.clock.advance(timedelta(days=1))
    assert await house.upkeep.forget_removals(house.clock.now(), timedelta(days=2), 9) == 0
    assert await house.upkeep.forget_removals(house.clock.now(), timedelta(days=1), 9) == 1
    assert await remembered() == [False, True]


async def test_another_lineage_has_another_epoch_and_the_same_entries(house: House) -> None:
    ada = await an_account(house)
    stream = workspace_stream(WorkspaceId(ada.id))
    before = await house.journal.survey([stream])
    epochs = [await house.upkeep.begin_lineage() for _ in range(2)]
    assert len({before.epoch, *epochs}) == 3
    assert await house.journal.survey([stream]) == Survey(epochs[1], before.spans)


async def test_nobody_waits_for_what_somebody_else_has_locked(
    postgres_and_redis_house: House, database_url: str
) -> None:
    house = postgres_and_redis_house
    ada = await an_account(house)
    busy, idle = await a_session(house, ada.id), await a_session(house, ada.id)
    house.clock.advance(KEPT + LATER)
    now = house.clock.now()
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM sessions WHERE id = $1 FOR UPDATE", busy.id)
            await connection.execute("SELECT FROM streams WHERE name = $1 FOR UPDATE", account_stream(ada.id))
            forgetting = asyncio.create_task(forget(house))
            async with asyncio.timeout(1):
                assert await house.upkeep.forget_sessions(now, timedelta(), 9) == 1
                assert await kept(house, busy.id, idle.id) == [True, False]
                await a_task(house, WorkspaceId(ada.id), ada.id)
        # Of a stream that somebody writes to, the old events go once that is done.
        assert await forgetting == 4
    finally:
        await connection.close()
