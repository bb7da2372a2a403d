"""What `ExportRepository` and `ExportStore` promise, and what is exported of tasks and rooms."""

from datetime import timedelta

import pytest

from application.ports.exports import ExportPiece
from domain.access import Role
from domain.errors import NotFound
from domain.exports import EXPORT_KEPT, Export, ExportRunning, ExportState
from domain.ids import AccountId, ExportId, WorkspaceId
from tests.contracts.house import House
from tests.support.builders import a_comment, a_message, a_room, a_task, a_team, an_account

_MEMBER = Role.MEMBER


async def an_export(house: House, account: AccountId) -> Export:
    export = Export.request(ExportId(house.ids.new()), account, house.clock.now())
    async with house.work() as work:
        work.exports.add(export)
    return export


async def add_piece(house: House, export: Export, number: int) -> ExportPiece:
    piece = ExportPiece(number, 10 * number, number, f"after {number}" if number < 3 else None)
    async with house.work() as work:
        work.exports.add_piece(export.id, piece, f"{number}.json", b"piece %d" % number)
    return piece


async def test_of_an_account_one_export_is_made_at_a_time(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    first = await an_export(house, ada.id)
    with pytest.raises(ExportRunning):
        await an_export(house, ada.id)
    theirs = await an_export(house, bob.id)
    async with house.work() as work:
        found = await work.exports.get(first.id)
        assert found == first
        found.finish(99, house.clock.now())
        work.exports.save(found)
    async with house.work() as work:
        assert await work.exports.get(first.id) == found
        assert await work.exports.get(ExportId(house.ids.new())) is None
    second = await an_export(house, ada.id)
    listed = await house.export_store.newest(ada.id, house.clock.now())
    assert [(view.id, view.state, view.size) for view in listed] == [
        (second.id, ExportState.MAKING, 0),
        (first.id, ExportState.READY, 99),
    ]
    assert [view.id for view in await house.export_store.newest(bob.id, house.clock.now())] == [theirs.id]
    assert await house.export_store.newest(ada.id, house.clock.now() + EXPORT_KEPT) == []


async def test_pieces_come_back_as_they_were_put(house: House) -> None:
    ada = await an_account(house)
    export, store = await an_export(house, ada.id), house.export_store
    assert await store.last_piece(export.id) is None
    for number in (1, 2, 3):
        piece = await add_piece(house, export, number)
        assert await store.last_piece(export.id) == piece
    found = [await store.file(export.id, number) for number in (1, 3, 4)]
    assert found == [("1.json", b"piece 1"), ("3.json", b"piece 3"), None]


async def test_what_has_expired_goes_and_what_is_of_a_deleted_account(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    exports, store = [await an_export(house, who) for who in (ada.id, bob.id)], house.export_store
    for export in exports:
        for number in (1, 2, 3):
            await add_piece(house, export, number)
    assert await store.forget(house.clock.now() + EXPORT_KEPT, 9) == 0
    while await store.erase(ada.id, 2):
        pass
    assert await store.last_piece(exports[0].id) is None
    with pytest.raises(NotFound):
        await add_piece(house, exports[0], 4)
    assert (await store.last_piece(exports[1].id)) is not None
    while await store.forget(house.clock.now() + EXPORT_KEPT + timedelta(seconds=1), 2):
        pass
    async with house.work() as work:
        assert [await work.exports.get(export.id) for export in exports] == [None, None]


async def test_of_a_person_are_the_tasks_that_they_made_have_watch_or_speak_about_where_they_are(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team, left = await a_team(house, bob.id, {ada.id: _MEMBER}), await a_team(house, bob.id, {ada.id: _MEMBER})
    made = await a_task(house, WorkspaceId(ada.id), ada.id)
    has = await a_task(house, team.id, bob.id, assignees=[ada.id])
    spoken = await a_task(house, team.id, bob.id)
    watched = await a_task(house, team.id, bob.id)
    thrown = [await a_task(house, team.id, who) for who in (ada.id, bob.id)]
    async with house.work() as work:
        task, _ = await work.tasks.get(watched.id, ada.id)
        task.watch(ada.id, house.clock.now())
        work.tasks.save(task)
        for each in thrown:
            task, standing = await work.tasks.get(each.id, each.created_by)
            task.delete(each.created_by, standing, house.clock.now())
            work.tasks.save(task)
    said = [await a_comment(house, spoken.id, ada.id, f"Comment {n}") for n in range(2)]
    await a_comment(house, spoken.id, bob.id, "Not of Ada.")
    await a_task(house, team.id, bob.id)
    gone = await a_task(house, left.id, ada.id)
    await a_comment(house, gone.id, ada.id, "In another place.")
    async with house.work() as work:
        workspace = await work.workspaces.get(left.id)
        workspace.remove(ada.id, ada.id, house.clock.now())
        work.workspaces.save(workspace)
    queries, tasks, comments = house.task_queries, list[object](), list[object]()
    cursor: str | None = None
    while not tasks or cursor is not None:
        page = await queries.of_person(ada.id, False, cursor, 2)
        tasks, cursor = [*tasks, *(task.id for task in page.data)], page.next_cursor
    while not comments or cursor is not None:
        shown = await queries.comments_of_person(ada.id, cursor, 1)
        comments, cursor = [*comments, *(comment.id for comment in shown.data)], shown.next_cursor
    assert tasks == [made.id, has.id, spoken.id, watched.id]
    assert [task.id for task in (await queries.of_person(ada.id, True, None, 9)).data] == [thrown[0].id]
    assert comments == [comment.id for comment in said]


async def test_of_a_person_are_the_messages_that_they_said(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    room = await a_room(house, ada.id, bob.id)
    said = [await a_message(house, room.id, ada.id, f"Message {n}") for n in range(3)]
    await a_message(house, room.id, bob.id, "Not of Ada.")
    first = await house.room_queries.messages_of_person(ada.id, None, 2)
    rest = await house.room_queries.messages_of_person(ada.id, first.next_cursor, 2)
    assert [message.id for message in (*first.data, *rest.data)] == [message.id for message in said]
    assert rest.next_cursor is None
