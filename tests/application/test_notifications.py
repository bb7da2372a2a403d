"""Everybody is told once of what concerns them, whoever is killed on the way, and of nothing else."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.mail import MAILS
from adapters.memory.notifications import NOTIFICATIONS, ROUNDS
from application.due import Later
from application.notifications import AllRead, Chosen, Preferences
from application.ports.notices import Notice
from application.rooms import RoomInvitation
from application.tasks import NewComment, NewTask, TaskPatch
from domain.errors import Invalid
from domain.ids import RoomId, TaskId
from domain.rooms import NotInvitable, RoomClosed, Visibility
from domain.tasks import Status
from entrypoints.container import in_memory
from tests.application.told_team import MEMBERS, WORKERS, Team, a_room
from tests.support.builders import an_account, principal
from tests.support.killed_workers import KilledWorkers, fates


@pytest.fixture
async def team() -> Team:
    return await Team().come()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, MEMBERS - 1)),
        st.tuples(st.just("mention"), st.integers(0, MEMBERS - 1)),
        st.tuples(st.just("assign"), st.integers(0, MEMBERS - 1)),
        fates(WORKERS, st.integers(1, 6)),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(steps=STEPS)
def test_everybody_is_told_once_though_workers_are_killed_at_any_await(steps: list[tuple[str, int]]) -> None:
    async def story() -> None:
        team = await Team().come()
        task = await team.open()
        for other in team.members[1:]:
            await team.tasks.watch(principal(other), task)
        expected: list[dict[str, int]] = [{} for _ in team.members]

        def expect(type: str, *whom: int) -> None:
            for number in whom:
                expected[number][type] = expected[number].get(type, 0) + 1

        workers = [team.worker() for _ in range(WORKERS)]
        killed = KilledWorkers(lambda number: workers[number].turn(), team.clock)
        for step, value in steps:
            match step:
                case "say":
                    await team.say(task, value)
                    expect("task.commented", *(number for number in range(MEMBERS) if number != value))
                case "mention":
                    await team.say(task, 0, 0, value)
                    expect("task.mentioned", *{value} - {0})
                    expect("task.commented", *(number for number in range(1, MEMBERS) if number != value))
                case "assign":
                    given = await team.open(0, value)
                    expect("task.assigned", *{value} - {0})
                    await team.tasks.edit(principal(team.members[0]), given, TaskPatch(title="Write it"))
                case _:
                    await killed.meet(step, value)
        await killed.end()
        await team.finish()
        for number in range(MEMBERS):
            assert await team.counts(number) == expected[number]
            # Each is an event of its account, so devices hear of it as often.
            assert len(await team.heard(number)) == sum(expected[number].values())
        # A letter is written with each notification that is told by mail too, and with none that is counted up.
        made = team.house.database().committed
        mailed = [each for each in made[NOTIFICATIONS].values() if each.type != "task.commented"]
        assert len(made[MAILS]) == len(mailed)

    asyncio.run(story())


async def test_nobody_is_told_of_their_own_act(team: Team) -> None:
    task = await team.open(1, 1)
    await team.say(task, 1, 1)
    await team.tasks.claim(principal(team.members[1]), await team.open(1))
    await team.finish()
    assert [await team.told(number) for number in range(MEMBERS)] == [[]] * MEMBERS


async def test_what_concerns_nobody_makes_no_work(team: Team) -> None:
    ada, task = principal(team.members[0]), await team.open(0, 0)
    await team.tasks.edit(ada, task, TaskPatch(title="Write it"))
    mine = await team.tasks.open(ada, NewTask("Water the plants", due_at=team.clock.now() + timedelta(days=3)))
    await team.say(TaskId(mine.id), 0, 0)
    assert await team.house.cursors().backlog() == []


async def test_nobody_is_told_what_they_may_not_read_by_then(team: Team) -> None:
    task = await team.open(0, 1, 2, 3)
    await team.say(task, 0)
    async with team.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.remove(team.members[1].id, team.members[0].id, team.clock.now())
        work.workspaces.save(workspace)
        found = await work.accounts.get(team.members[2].id)
        found.disable(team.clock.now())
        work.accounts.save(found)
    await team.finish()
    assert [await team.counts(number) for number in (1, 2)] == [{}, {}]
    assert await team.counts(3) == {"task.assigned": 1, "task.commented": 1}


async def test_what_is_deleted_by_then_is_told_to_nobody(team: Team) -> None:
    task = await team.open(0, 1)
    await team.tasks.delete(principal(team.members[0]), task)
    await team.finish()
    assert await team.told(1) == []


async def test_what_happens_to_a_thing_within_ten_minutes_is_one_notification(team: Team) -> None:
    task = await team.open(0)
    ada = principal(team.members[0])
    for by in (1, 2):
        await team.say(task, by)
        team.clock.advance(timedelta(minutes=4))
        await team.finish()
    (both,) = await team.told(0)
    assert (both.count, both.actor_id) == (2, team.members[2].id)
    assert await team.heard(0) == ["notification.created", "notification.repeated"]
    team.clock.advance(timedelta(minutes=6))
    await team.say(task, 1)
    await team.finish()
    assert [each.count for each in await team.told(0)] == [1, 2]
    await team.inbox.read_all(ada, AllRead(team.clock.now()))
    await team.say(task, 1)
    await team.finish()
    assert [(each.count, each.read_at is None) for each in await team.told(0)] == [(1, True), (1, False), (2, False)]


async def test_a_comment_that_names_more_people_later_tells_those(team: Team) -> None:
    task, (ada, bob, eve, *_) = await team.open(0), team.members
    comment = await team.tasks.comment(principal(ada), task, NewComment(f"Look, @{bob.id}"))
    for text in (f"Look, @{bob.id} and @{eve.id}", f"Look, @{eve.id} and @{bob.id}!"):
        await team.finish()
        await team.tasks.edit_comment(principal(ada), task, comment.id, NewComment(text))
    await team.finish()
    assert [await team.counts(number) for number in (1, 2)] == [{"task.mentioned": 1}, {"task.mentioned": 1}]


async def test_who_does_not_want_a_type_is_not_told_it(team: Team) -> None:
    bob = principal(team.members[1])
    view = await team.inbox.preferences(bob)
    assert (view.types["task.commented"].in_app, view.types["task.commented"].email) == (True, False)
    assert view.types["task.assigned"].email
    await team.inbox.choose(bob, Preferences({"task.commented": Chosen(in_app=False, email=False)}))
    task = await team.open(0, 1)
    await team.say(task, 0)
    await team.finish()
    assert await team.counts(1) == {"task.assigned": 1}
    assert not (await team.inbox.preferences(bob)).types["task.commented"].in_app


async def test_only_types_that_there_are_can_be_chosen(team: Team) -> None:
    with pytest.raises(Invalid) as refused:
        await team.inbox.choose(principal(team.members[1]), Preferences({"task.x": Chosen(True, True)}))
    assert refused.value.pointer == "/types/task.x"


async def test_what_is_made_after_everything_was_read_is_unread_though_clocks_differ(team: Team) -> None:
    task, ada = await team.open(0), principal(team.members[0])
    team.clock.advance(timedelta(seconds=1))
    await team.inbox.read_all(ada, AllRead(team.clock.now()))
    team.clock.advance(timedelta(seconds=-1))
    await team.say(task, 1)
    await team.finish()
    assert (await team.inbox.unread(ada)).unread == 1


def test_two_notices_of_one_name_are_refused() -> None:
    async def nobody(*_: object) -> None:
        return None

    row = Notice("task.assigned", frozenset({"task.assigned"}), "You were given a task.", nobody)
    house = in_memory()
    house.notices.add_args(row)
    with pytest.raises(ValueError, match=r"two notices are called task\.assigned"):
        house.consumers()


async def test_who_has_a_task_is_reminded_of_it_and_nobodys_version_fails(team: Team) -> None:
    house, ada, due_at = team.house, principal(team.members[0]), team.clock.now() + timedelta(days=2)
    later = Later(house.due(), house.broker(), team.clock, house.observer())
    task = await team.open(0, 1)
    await team.tasks.edit(ada, task, TaskPatch(due_at=due_at))
    alone = await team.open(0)
    before = await team.tasks.edit(ada, alone, TaskPatch(due_at=due_at))

    async def reminded_at(at: datetime) -> list[list[tuple[str, object]]]:
        team.clock.advance(at - team.clock.now())
        await later.turn()
        await team.finish()
        told = [await team.told(number) for number in (0, 1, 2)]
        return [[(each.type, each.details.get("hours")) for each in mine if "due" in each.type] for mine in told]

    day, hour = ("task.due_soon", 24), ("task.due_soon", 1)
    assert await reminded_at(due_at - timedelta(hours=25)) == [[], [], []]
    assert await reminded_at(due_at - timedelta(hours=24)) == [[day], [day], []]
    assert await reminded_at(due_at - timedelta(minutes=59)) == [[hour, day], [hour, day], []]
    await team.tasks.edit(ada, alone, TaskPatch(status=Status.DONE), before.version)
    assert await reminded_at(due_at) == [[hour, day], [("task.overdue", None), hour, day], []]
    assert await house.cursors().backlog() == []
    assert await later.turn() == 0


async def test_a_reminder_that_is_told_late_is_told_to_nobody_who_is_done(team: Team) -> None:
    house, ada, due_at = team.house, principal(team.members[0]), team.clock.now() + timedelta(hours=2)
    task = await team.open(0, 1)
    await team.tasks.edit(ada, task, TaskPatch(due_at=due_at))
    team.clock.advance(timedelta(hours=1))
    await Later(house.due(), house.broker(), team.clock, house.observer()).turn()
    await team.tasks.edit(ada, task, TaskPatch(due_at=due_at + timedelta(days=9)))
    await team.finish()
    assert await team.counts(1) == {"task.assigned": 1}


async def test_many_are_told_in_pieces_while_others_write() -> None:
    team = await Team().come(21)
    task = await team.open(0)
    for other in team.members[1:]:
        await team.tasks.watch(principal(other), task)
    await team.say(task, 0)
    turn = asyncio.create_task(team.worker().turn())
    made = []
    while not turn.done():
        await team.open(0)
        made.append(len(team.house.database().committed[NOTIFICATIONS]))
    assert len({count for count in made if 0 < count < 20}) > 3, "between two pieces others write"
    assert [await team.counts(number) for number in range(1, 21)] == [{"task.commented": 1}] * 20
    assert await team.told(0) == []
    assert not team.house.database().committed[ROUNDS]


async def test_who_is_asked_into_a_room_is_told_how_to_come_in(team: Team) -> None:
    ada, rooms = principal(team.members[0]), team.house.rooms()
    room = await a_room(team)
    await rooms.invite(ada, RoomId(room.id), RoomInvitation(team.members[1].id))
    await team.finish()
    (told,) = await team.told(1)
    assert (told.type, told.title, told.resource.id, told.place_id) == ("room.invited", "Film night", room.id, room.id)
    assert told.details == {"join_code": room.join_code}
    await rooms.close(ada, RoomId(room.id))
    with pytest.raises(RoomClosed):
        await rooms.invite(ada, RoomId(room.id), RoomInvitation(team.members[2].id))


async def test_nobody_is_asked_into_a_room_who_could_not_come_in(team: Team) -> None:
    ada, rooms, stranger = principal(team.members[0]), team.house.rooms(), await an_account(team)
    room = await a_room(team, workspace_id=team.id, visibility=Visibility.WORKSPACE)
    for account in (stranger.id, UUID(int=1)):
        with pytest.raises(NotInvitable):
            await rooms.invite(ada, RoomId(room.id), RoomInvitation(account))
    for account in (stranger.id, UUID(int=1)):  # who shares no workspace is as unknown as nobody
        with pytest.raises(NotInvitable):
            await rooms.invite(ada, RoomId((await a_room(team)).id), RoomInvitation(account))
    for _ in range(2):  # whoever is in is not asked
        await rooms.invite(ada, RoomId(room.id), RoomInvitation(team.members[0].id))
    await rooms.invite(ada, RoomId(room.id), RoomInvitation(team.members[1].id))
    async with team.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.remove(team.members[1].id, team.members[0].id, team.clock.now())
        work.workspaces.save(workspace)
    await team.finish()
    assert [await team.counts(number) for number in (0, 1)] == [{}, {}]


async def test_a_room_that_ends_soon_is_told_to_those_who_are_in(team: Team) -> None:
    house, room = team.house, await a_room(team)
    async with team.work() as work:
        found = await work.rooms.get(RoomId(room.id))
        found.attend([team.members[0].id], team.clock.now())
        work.rooms.save(found)
    team.clock.advance(room.expires_at - team.clock.now() - timedelta(minutes=10))
    await Later(house.due(), house.broker(), team.clock, house.observer()).turn()
    await team.finish()
    assert [await team.counts(number) for number in (0, 1)] == [{"room.expiring": 1}, {}]
