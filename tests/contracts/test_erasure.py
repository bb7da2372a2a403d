"""What stores promise about a deleted account: it forgets who it was, and nothing of others goes with it."""

from datetime import timedelta
from functools import partial

import msgspec
import pytest

from application.ports.events import Span
from application.ports.idempotency import Answer
from domain.access import Role
from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.identity import ERASED_NAME, AddressPurpose, EndReason, MailedLink
from domain.ids import InvitationId, WorkspaceId
from domain.rooms import room_stream
from tests.contracts.house import House
from tests.support.builders import a_comment, a_message, a_room, a_session, a_task, a_team, an_account

GRACE = timedelta(days=3)


async def names_in(house: House, stream: str) -> list[object]:
    """What the events of a stream say that their actors are called."""
    entries = await house.journal.read(stream, 0, 99)
    return [
        data["display_name"] for entry in entries if "display_name" in (data := msgspec.json.decode(entry.body)["data"])
    ]


async def test_an_account_that_is_to_be_deleted_is_kept_as_it_is_until_then_and_as_nobody_after(house: House) -> None:
    ada, session = await an_account(house), None
    session = await a_session(house, ada.id)
    now = house.clock.now()
    async with house.work() as work:
        account = await work.accounts.get(ada.id)
        account.change(now, time_zone="Europe/London", locale="de-AT")
        account.request_deletion(now + GRACE, now)
        work.accounts.save(account)
        session.end(EndReason.DELETION_REQUESTED, ada.id, now)
        work.sessions.save(session)
    async with house.work() as work:
        found = await work.accounts.get(ada.id)
        assert found == account
        assert found.deletion_due_at == now + GRACE
        found.elapse(now + GRACE)
        work.accounts.save(found)
    async with house.work() as work:
        deleted = await work.accounts.get(ada.id)
        assert deleted == found
        assert (deleted.email, deleted.due_at, deleted.deleted_at) == (None, None, now + GRACE)
        assert await work.accounts.find(str(ada.email)) is None


async def test_the_workspaces_of_an_account_and_those_that_only_it_owns(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    mine = await a_team(house, ada.id, {bob.id: Role.ADMIN})
    ours = await a_team(house, ada.id, {bob.id: Role.OWNER})
    alone, theirs = await a_team(house, ada.id), await a_team(house, bob.id, {ada.id: Role.MEMBER})
    async with house.work() as work:
        found = await work.workspaces.of_account(ada.id, 9)
        assert {each.id for each in found} == {ada.id, mine.id, ours.id, alone.id, theirs.id}
        assert len(await work.workspaces.of_account(ada.id, 2)) == 2
        assert await work.workspaces.owned_alone(ada.id) == [(mine.id, mine.name)]
        assert await work.workspaces.owned_alone(bob.id) == [(theirs.id, theirs.name)]
        for workspace in found:
            workspace.lose(ada.id, house.clock.now())
            work.workspaces.save(workspace)
    async with house.work() as work:
        assert await work.workspaces.of_account(ada.id, 9) == []
        assert (await work.workspaces.get(mine.id)).role_of(bob.id) is Role.OWNER
        for gone in (WorkspaceId(ada.id), alone.id):
            with pytest.raises(NotFound):
                await work.workspaces.get(gone)


async def test_a_stream_is_dropped_up_to_an_offset_or_with_all_that_is_within_it(house: House) -> None:
    ada = await an_account(house)
    home, team = WorkspaceId(ada.id), await a_team(house, ada.id)
    for workspace in (home, team.id):
        for _ in range(3):
            await a_task(house, workspace, ada.id)
    rooms = [await a_room(house, ada.id, workspace_id=each) for each in (home, team.id)]
    mine, other = workspace_stream(home), workspace_stream(team.id)
    drop, now = partial(house.upkeep.drop_history, mine), house.clock.now()

    assert await drop(2, now, 1) == (1, False)
    assert await drop(2, now, 9) == (1, False)
    assert await drop(2, now, 9) == (0, True)
    streams = [mine, other, *(room_stream(room.id) for room in rooms)]
    before = (await house.journal.survey(streams)).spans
    assert before[mine] == Span(2, 4)
    while not (await drop(None, now, 2))[1]:
        pass
    after = (await house.journal.survey(streams)).spans
    gone = {stream: Span(before[stream].head, before[stream].head) for stream in (mine, streams[2])}
    assert after == dict(before) | gone
    assert await house.journal.read(mine, 0, 9) == []


async def test_a_stream_is_dropped_no_further_than_its_consumers_are(house: House) -> None:
    ada = await an_account(house)
    stream = workspace_stream(WorkspaceId(ada.id))
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.archive(ada.id, house.clock.now())  # which two consumers want
        work.tasks.save(found)
    assert await house.upkeep.drop_history(stream, None, house.clock.now(), 9) == (2, False)
    assert await house.upkeep.drop_history(stream, None, house.clock.now(), 9) == (0, False)
    for consumer in ("clerk", "porter"):
        await house.cursors.give_up(consumer)
    assert await house.upkeep.drop_history(stream, None, house.clock.now(), 9) == (1, False)
    assert await house.upkeep.drop_history(stream, None, house.clock.now(), 9) == (0, True)


async def test_sessions_and_answers_of_one_account_are_erased_and_of_no_other(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    sessions = {account: [await a_session(house, account) for _ in range(3)] for account in (ada.id, bob.id)}
    for account in (ada.id, bob.id):
        async with house.idempotency.attempt(account, "key", b"fingerprint") as attempt:
            attempt.record(Answer(200, (), b"Ada"))
    async with house.work() as work:
        for person, digest in ((ada, b"hers"), (bob, b"his")):
            link = MailedLink.make(person, AddressPurpose.VERIFY, "a@b.co", digest, b"", house.clock.now())
            work.addresses.put_link(link)
    assert await house.upkeep.erase_account(ada.id, 2) > 0
    while await house.upkeep.erase_account(ada.id, 2):
        pass
    async with house.work() as work:
        assert [await work.addresses.link(digest) is None for digest in (b"hers", b"his")] == [True, False]
        assert [await work.sessions.get(session.id) for session in sessions[ada.id]] == [None] * 3
        assert None not in [await work.sessions.get(session.id) for session in sessions[bob.id]]
    for account in (ada.id, bob.id):
        async with house.idempotency.attempt(account, "key", b"fingerprint") as attempt:
            assert (attempt.replay is None) == (account == ada.id)
            attempt.record(Answer(200, (), b"Ada"))


async def test_invitations_to_one_address_are_forgotten_and_to_no_other(house: House) -> None:
    ada = await an_account(house)
    team, ids = await a_team(house, ada.id), [InvitationId(house.ids.new()) for _ in range(3)]
    for id, email in zip(ids, ("bob@example.org", "eve@example.org", None), strict=True):
        async with house.work() as work:
            found = await work.workspaces.get(team.id)
            now = house.clock.now()
            made = found.invite(id, Role.VIEWER, id.bytes, 1, now + GRACE, ada.id, now, email)
            work.workspaces.add_invitation(made)
            work.workspaces.save(found)
    assert await house.upkeep.forget_address("bob@example.org") == 1
    listed = await house.workspace_queries.invitations(team.id, ada.id, house.clock.now())
    assert {view.id for view in listed} == set(ids[1:])


async def test_tasks_of_one_workspace_are_erased_with_their_comments_and_of_no_other(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    ours = await a_task(house, team.id, ada.id)
    for _ in range(3):
        task = await a_task(house, WorkspaceId(ada.id), ada.id)
        await a_comment(house, task.id, ada.id)
    assert await house.task_upkeep.erase(WorkspaceId(ada.id), 2) == 2
    assert await house.task_upkeep.erase(WorkspaceId(ada.id), 2) == 1
    assert (await house.workspace_queries.usage(WorkspaceId(ada.id), ada.id, house.clock.now()))["tasks"] == 3
    assert await house.task_upkeep.erase(WorkspaceId(ada.id), 2) == 0
    counted = await house.workspace_queries.usage(WorkspaceId(ada.id), ada.id, house.clock.now())
    assert not {"tasks", "comments"} & set(counted)
    assert (await house.workspace_queries.usage(team.id, ada.id, house.clock.now()))["tasks"] == 1
    assert (await house.task_queries.view(ours.id, ada.id)).id == ours.id
    with pytest.raises(NotFound):
        await house.task_queries.comments(task.id, ada.id, None, 9)


async def test_closed_rooms_of_one_workspace_are_erased_and_of_no_other(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    kept = [await a_room(house, ada.id, workspace_id=each) for each in (team.id, WorkspaceId(ada.id))]
    closed = [await a_room(house, ada.id, workspace_id=each) for each in (team.id, WorkspaceId(ada.id))]
    for room in closed:
        await a_message(house, room.id, ada.id)
        async with house.work() as work:
            found = await work.rooms.get(room.id)
            found.close(None, house.clock.now(), reason="workspace_deleted")
            work.rooms.save(found)
    assert await house.room_upkeep.erase_rooms(WorkspaceId(ada.id), 9) == 1
    assert await house.room_upkeep.erase_rooms(WorkspaceId(ada.id), 9) == 0
    async with house.work() as work:
        assert {(await work.rooms.get(room.id)).id for room in (*kept, closed[0])}
        with pytest.raises(NotFound):
            await work.rooms.get(closed[1].id)


async def test_what_somebody_was_called_is_forgotten_where_they_spoke_and_nothing_else_changes(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    said = [await a_message(house, room.id, who, f"Ada said {n}") for n, who in enumerate([ada.id, bob.id, ada.id])]
    stream = room_stream(room.id)
    assert await names_in(house, stream) == ["Ada", "Guest 1", "Ada", "Guest 1", "Ada"]
    before = await house.journal.read(stream, 0, 99)

    assert await house.room_upkeep.erase_names(ada.id, ERASED_NAME, 2) == 5
    while await house.room_upkeep.erase_names(ada.id, ERASED_NAME, 2):
        pass
    assert await names_in(house, stream) == [ERASED_NAME, "Guest 1", ERASED_NAME, "Guest 1", ERASED_NAME]
    after = await house.journal.read(stream, 0, 99)
    assert [entry.offset for entry in after] == [entry.offset for entry in before]
    for old, new in zip(before, after, strict=True):
        same = msgspec.json.decode(old.body)
        if same["actor"] == str(ada.id) and "display_name" in same["data"]:
            same["data"]["display_name"] = ERASED_NAME
        assert msgspec.json.decode(new.body) == same
    shown = await house.room_queries.messages(room.id, bob.id, None, 9)
    assert {(m.display_name, m.text) for m in shown.data if m.account_id == ada.id} == {
        (ERASED_NAME, said[0].text),
        (ERASED_NAME, said[2].text),
    }
    async with house.work() as work:
        people = (await work.rooms.get(room.id)).participants.values()
    assert {(who.account_id, who.display_name) for who in people} == {(ada.id, ERASED_NAME), (bob.id, "Guest 1")}
