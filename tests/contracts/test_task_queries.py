"""What every list of tasks promises: each filter, each order, and cursors that walk everything exactly once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from application.paging import InvalidCursor
from application.ports.tasks import SORTS, TaskFilter
from application.tasks import TaskQuery, Tasks
from domain.access import Role
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId
from domain.tasks import Priority, Status
from domain.words import asked
from tests.contracts.house import House
from tests.support.builders import a_comment, a_task, a_team, an_account, principal

EVERYTHING = TaskFilter()
ORDERS = [order for sort in SORTS for order in (sort, f"-{sort}")]


async def titles(house: House, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter) -> Sequence[str]:
    page = await house.task_queries.page(workspace, by, wanted, "created_at", None, 200)
    return [view.title for view in page.data]


async def walk(house: House, workspace: WorkspaceId, by: AccountId, order: str, limit: int) -> Sequence[TaskId]:
    seen: list[TaskId] = []
    cursor = None
    while True:
        page = await house.task_queries.page(workspace, by, EVERYTHING, order, cursor, limit)
        assert len(page.data) <= limit
        seen += [TaskId(view.id) for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            return seen


async def test_a_list_is_of_one_workspace_and_for_its_members(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    team = await a_team(house, ada.id)
    await a_task(house, WorkspaceId(ada.id), ada.id, title="Private")
    await a_task(house, team.id, ada.id, title="Shared")
    assert await titles(house, team.id, ada.id, EVERYTHING) == ["Shared"]
    for workspace in (team.id, WorkspaceId(house.ids.new())):
        with pytest.raises(NotFound):
            await titles(house, workspace, eve.id, EVERYTHING)
    assert await titles(house, WorkspaceId(eve.id), eve.id, EVERYTHING) == []


async def test_deleted_tasks_are_in_no_list(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    assert await titles(house, WorkspaceId(ada.id), ada.id, EVERYTHING) == []


async def test_a_deleted_workspace_has_no_lists(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.delete(ada.id, house.clock.now())
        work.workspaces.save(workspace)
    with pytest.raises(NotFound):
        await titles(house, team.id, ada.id, EVERYTHING)
    with pytest.raises(NotFound):
        await house.task_queries.view(task.id, ada.id)


async def test_each_condition_keeps_what_meets_it(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = (await a_team(house, ada.id, {bob.id: Role.MEMBER})).id
    now = house.clock.now()
    day = timedelta(days=1)
    await a_task(house, team, ada.id, title="plain")
    await a_task(house, team, bob.id, title="bob's", status=Status.BLOCKED, labels=["red", "blue"])
    await a_task(house, team, ada.id, title="done", status=Status.DONE, due_at=now)
    await a_task(house, team, ada.id, title="cancelled", status=Status.CANCELLED, due_at=now - day)
    await a_task(house, team, ada.id, title="urgent", priority=Priority.URGENT, assignees=[bob.id], due_at=now + day)
    await a_task(house, team, ada.id, title="shared", priority=Priority.LOW, assignees=[ada.id, bob.id])

    async def found(**conditions: object) -> Sequence[str]:
        return await titles(house, team, ada.id, TaskFilter(**conditions))  # type: ignore[arg-type]

    assert await found(status=(Status.BLOCKED,)) == ["bob's"]
    assert await found(status=(Status.DONE, Status.CANCELLED)) == ["done", "cancelled"]
    assert await found(priority=(Priority.LOW, Priority.URGENT)) == ["urgent", "shared"]
    assert await found(priority=(Priority.MEDIUM,)) == []
    assert await found(assignee=ada.id) == ["shared"]
    assert await found(assignee=bob.id) == ["urgent", "shared"]
    assert await found(assignee=house.ids.new()) == []
    assert await found(unassigned=True) == ["plain", "bob's", "done", "cancelled"]
    assert await found(label="blue") == ["bob's"]
    assert await found(label="blu") == []
    assert await found(label="") == []
    assert await found(created_by=bob.id) == ["bob's"]
    assert await found(due_before=now) == ["cancelled"]
    assert await found(due_before=now + timedelta(milliseconds=1)) == ["done", "cancelled"]
    assert await found(due_after=now) == ["done", "urgent"]
    assert await found(due_after=now, due_before=now + day) == ["done"]
    assert await found(open_only=True) == ["plain", "bob's", "urgent", "shared"]


async def archive(house: House, id: TaskId, by: AccountId) -> None:
    async with house.work() as work:
        task, _ = await work.tasks.get(id, by)
        task.archive(by, house.clock.now())
        work.tasks.save(task)


async def test_archived_tasks_are_listed_only_where_they_are_wanted(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    for title in ("kept", "archived", "archived and deleted"):
        task = await a_task(house, mine, ada.id, title=title, status=Status.BLOCKED)
        if title != "kept":
            await archive(house, task.id, ada.id)
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    for wanted, expected in ((False, ["kept"]), (True, ["archived"]), (None, ["kept", "archived"])):
        assert await titles(house, mine, ada.id, TaskFilter(archived=wanted)) == expected
        assert await titles(house, mine, ada.id, TaskFilter(archived=wanted, status=(Status.BLOCKED,))) == expected
        assert await titles(house, mine, ada.id, TaskFilter(archived=wanted, status=(Status.DONE,))) == []


@pytest.mark.parametrize("order", ORDERS)
async def test_a_walk_over_archived_tasks_shows_each_once_and_its_cursors_fit_no_other(
    house: House, order: str
) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    made = [(await a_task(house, mine, ada.id)).id for _ in range(6)]
    for id in made[::2]:
        await archive(house, id, ada.id)
    for archived, expected in ((True, made[::2]), (False, made[1::2]), (None, made)):
        seen: list[TaskId] = []
        cursor = None
        while True:
            page = await house.task_queries.page(mine, ada.id, TaskFilter(archived=archived), order, cursor, 1)
            seen += [TaskId(view.id) for view in page.data]
            cursor = page.next_cursor
            if cursor is None:
                break
            with pytest.raises(InvalidCursor):
                other = TaskFilter(archived=not archived)
                await house.task_queries.page(mine, ada.id, other, order, cursor, 1)
        assert sorted(seen) == sorted(expected)


async def test_a_key_finds_the_task_of_its_workspace_and_no_other(house: House) -> None:
    ada = await an_account(house)
    mine, team = WorkspaceId(ada.id), (await a_team(house, ada.id)).id
    wanted, _ = [await a_task(house, mine, ada.id, title=title) for title in ("wanted", "other")]
    assert await titles(house, mine, ada.id, TaskFilter(key=wanted.key)) == ["wanted"]
    for workspace, key in ((team, wanted.key), (mine, wanted.key[:-1]), (mine, f"{wanted.key}0"), (mine, "")):
        assert await titles(house, workspace, ada.id, TaskFilter(key=key)) == []


async def test_conditions_add_up(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = (await a_team(house, ada.id, {bob.id: Role.MEMBER})).id
    now = house.clock.now()
    matching = {
        "status": Status.BLOCKED,
        "priority": Priority.HIGH,
        "labels": ["red"],
        "assignees": [bob.id],
        "due_at": now,
        "description": "The kettle",
    }
    others: dict[str, object] = {
        "status": Status.TODO,
        "priority": Priority.LOW,
        "labels": [],
        "assignees": [],
        "due_at": None,
        "description": "",
    }
    await a_task(house, team, ada.id, title="all", **matching)
    await a_task(house, team, bob.id, title="by another", **matching)
    for name, value in others.items():
        await a_task(house, team, ada.id, title=f"without {name}", **{**matching, name: value})
    wanted = TaskFilter(
        status=(Status.BLOCKED,),
        priority=(Priority.HIGH,),
        assignee=bob.id,
        label="red",
        created_by=ada.id,
        due_before=now + timedelta(hours=1),
        due_after=now,
        open_only=True,
        words=("kett",),
    )
    assert await titles(house, team, ada.id, wanted) == ["all"]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("résumé", True),
        ("RESUME", True),
        ("resu", True),
        ("sume", False),
        ("müller STRASSE", True),
        ("muller straß", True),
        ("strasse muller resume", True),
        ("strasse nowhere", False),
        ("v2", True),
        ("2", False),
        ("don", True),
        ("t", True),
        ("it's", False),
        ("under_score", True),
        ("score", True),
        ("core", False),
        ("日本", True),
        ("本語", True),
        ("語本", False),
        ("émigré", False),
        ("a&b", False),
        ("'; drop", False),
        ("kettle:*", True),
        ("!kettle", True),
        ("(kettle | x", False),
    ],
)
async def test_search_finds_the_beginnings_of_words_without_case_and_accents(
    house: House, text: str, is_found: bool
) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    await a_task(house, mine, ada.id, title="Other", description="nothing else")
    await a_task(
        house, mine, ada.id, title="Résumé for Müller's Straße", description="Don't use v2! 日本語 under_score, kettle"
    )
    found = await titles(house, mine, ada.id, TaskFilter(words=tuple(sorted(asked(text)))))
    assert found == (["Résumé for Müller's Straße"] if is_found else [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("हिन्दी", ["हिन्दी में"]),
        ("नदी", ["हम नदी पर गए"]),
        ("登录", ["请登录页面"]),
        ("画面", ["設定画面を開く"]),
        ("หน้า", ["ไปที่หน้าแรก"]),
        ("lodz", ["Łódź"]),
        ("C++", ["C++ 20"]),
        ("c", ["C++ 20", "calm"]),
        ("prefix", ["task_prefix"]),
    ],
)
async def test_search_finds_words_of_every_script(house: House, text: str, found: Sequence[str]) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    for title in (
        "हिन्दी में",
        "हम नदी पर गए",
        "请登录页面",
        "設定画面を開く",
        "ไปที่หน้าแรก",
        "Łódź",
        "C++ 20",
        "calm",
        "task_prefix",
    ):
        await a_task(house, mine, ada.id, title=title)
    assert await titles(house, mine, ada.id, TaskFilter(words=tuple(sorted(asked(text))))) == found


async def test_a_task_is_found_by_each_of_its_comments_as_they_are_now(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)

    async def finds(*words: str) -> bool:
        return await titles(house, mine, ada.id, TaskFilter(words=words)) == ["Tea"]

    await a_task(house, mine, ada.id, title="Other")
    task = await a_task(house, mine, ada.id, title="Tea", description="The kettle")
    first = await a_comment(house, task.id, ada.id, "It whistles, at 登录 noon")
    await a_comment(house, task.id, ada.id, "A whistle of steel")
    assert await finds("whistl")
    assert await finds("noon", "whistles")
    assert await finds("登")
    assert await finds("steel")
    # Each text by itself: words of a task and of its comments are not found together.
    assert not await finds("noon", "steel")
    assert not await finds("kettle", "noon")
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        comment = await work.tasks.comment(first.id, task.id)
        found.edit_comment(comment, "It is silent at dawn", [], ada.id, house.clock.now())
        work.tasks.save_comment(comment)
        work.tasks.save(found)
    assert await finds("silent", "dawn")
    assert not await finds("noon")
    async with house.work() as work:
        found, standing = await work.tasks.get(task.id, ada.id)
        comment = await work.tasks.comment(first.id, task.id)
        found.delete_comment(comment, ada.id, standing, house.clock.now())
        work.tasks.remove_comment(comment)
        work.tasks.save(found)
    assert not await finds("dawn")
    assert await finds("steel")


async def test_comments_are_searched_with_all_other_conditions_and_page_by_page(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    mine = WorkspaceId(ada.id)
    made = [await a_task(house, mine, ada.id, title=f"Task {n}", labels=["odd"] * (n % 2)) for n in range(7)]
    for task in made:
        for _ in range(2):
            await a_comment(house, task.id, ada.id, "Whistles")
    await a_comment(house, (await a_task(house, WorkspaceId(eve.id), eve.id)).id, eve.id, "Whistles")
    for order in ORDERS:
        for label, expected in ((None, made), ("odd", made[1::2])):
            wanted = TaskFilter(label=label, words=("whistles",))
            seen: list[TaskId] = []
            cursor = None
            while True:
                page = await house.task_queries.page(mine, ada.id, wanted, order, cursor, 2)
                seen += [TaskId(view.id) for view in page.data]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert len(seen) == len(set(seen))
            assert set(seen) == {task.id for task in expected}


async def test_a_search_without_any_word_finds_nothing_and_no_search_finds_everything(house: House) -> None:
    ada, eve = [await an_account(house, name) for name in ("Ada", "Eve")]
    mine = WorkspaceId(ada.id)
    await a_task(house, mine, ada.id, title="!!!")
    assert await titles(house, mine, ada.id, TaskFilter(words=())) == []
    assert await titles(house, mine, ada.id, TaskFilter(words=None)) == ["!!!"]
    with pytest.raises(NotFound):
        await titles(house, mine, eve.id, TaskFilter(words=()))


async def test_search_knows_words_of_any_length_up_to_their_64th_character(house: House) -> None:
    ada = await an_account(house)
    long = "x" * 5_000
    await a_task(house, WorkspaceId(ada.id), ada.id, title="Long", description=f"{long} and more")
    for text, expected in ((long, ["Long"]), ("x" * 64, ["Long"]), ("x" * 63 + "y", []), ("mor", ["Long"])):
        wanted = TaskFilter(words=tuple(asked(text)))
        assert await titles(house, WorkspaceId(ada.id), ada.id, wanted) == expected


async def test_an_edited_task_is_found_by_its_new_words_only(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = await a_task(house, mine, ada.id, title="Before")
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        found.edit(ada.id, house.clock.now(), title="After")
        work.tasks.save(found)
    assert await titles(house, mine, ada.id, TaskFilter(words=("after",))) == ["After"]
    assert await titles(house, mine, ada.id, TaskFilter(words=("before",))) == []


async def test_a_task_is_found_by_its_present_words_whatever_of_it_was_edited(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    task = await a_task(house, mine, ada.id, title="one", description="two")
    for edited, now in (
        ({"priority": Priority.HIGH}, {"one", "two"}),
        ({"title": "three"}, {"three", "two"}),
        ({"description": "four"}, {"three", "four"}),
        ({"labels": ["five"]}, {"three", "four"}),
        ({"title": "one", "description": "two"}, {"one", "two"}),
    ):
        async with house.work() as work:
            found, _ = await work.tasks.get(task.id, ada.id)
            found.edit(ada.id, house.clock.now(), **edited)
            work.tasks.save(found)
        found_by = {
            word
            for word in ("one", "two", "three", "four", "five")
            if await titles(house, mine, ada.id, TaskFilter(words=(word,)))
        }
        assert found_by == now


async def test_each_order_sorts_by_its_key_and_falls_when_asked_to(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    start = house.clock.now()
    for title, priority, due in (
        ("a", Priority.HIGH, None),
        ("b", Priority.NONE, 3),
        ("c", Priority.URGENT, 1),
        ("d", Priority.LOW, 2),
        ("e", Priority.MEDIUM, None),
    ):
        house.clock.advance(timedelta(seconds=1))
        due_at = start + timedelta(days=due) if due else None
        await a_task(house, mine, ada.id, title=title, priority=priority, due_at=due_at)
    house.clock.advance(timedelta(seconds=1))
    async with house.work() as work:
        (view,) = (await house.task_queries.page(mine, ada.id, TaskFilter(words=("b",)), "created_at", None, 1)).data
        found, _ = await work.tasks.get(TaskId(view.id), ada.id)
        found.edit(ada.id, house.clock.now(), labels=["touched"])
        work.tasks.save(found)
    expected = {"created_at": "abcde", "updated_at": "acdeb", "due_at": "cdbae", "priority": "bdeac"}
    for sort, order in expected.items():
        for falling in (False, True):
            page = await house.task_queries.page(mine, ada.id, EVERYTHING, "-" * falling + sort, None, 10)
            shown = "".join(view.title for view in page.data)
            assert shown == {"-due_at": "bdcea"}.get("-" * falling + sort, order[::-1] if falling else order)


DUE = st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(due=DUE, limit=st.integers(1, 5))
async def test_tasks_without_a_due_date_come_last_in_both_directions(
    house: House, due: Sequence[int | None], limit: int
) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    start = house.clock.now()
    made = [
        await a_task(house, mine, ada.id, due_at=None if days is None else start + timedelta(days=days)) for days in due
    ]
    for order in ("due_at", "-due_at"):
        seen = await walk(house, mine, ada.id, order, limit)
        falling = order == "-due_at"
        dated = sorted((t for t in made if t.due_at), key=lambda t: (t.due_at, t.id), reverse=falling)
        undated = sorted((t.id for t in made if not t.due_at), reverse=falling)
        assert seen == [task.id for task in dated] + undated


@pytest.mark.parametrize("order", ORDERS)
async def test_cursors_walk_everything_exactly_once_while_rows_are_inserted(house: House, order: str) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    start = house.clock.now()

    async def insert(number: int) -> TaskId:
        house.clock.advance(timedelta(milliseconds=number % 3 // 2))
        due_at = start + timedelta(hours=number % 4) if number % 3 else None
        priority = list(Priority)[number % 5]
        return (await a_task(house, mine, ada.id, title=f"Task {number}", priority=priority, due_at=due_at)).id

    present = [await insert(number) for number in range(23)]
    expected = await walk(house, mine, ada.id, order, 200)
    assert sorted(expected) == sorted(present)
    seen: list[TaskId] = []
    cursor, number = None, 23
    while True:
        page = await house.task_queries.page(mine, ada.id, EVERYTHING, order, cursor, 4)
        seen += [TaskId(view.id) for view in page.data]
        cursor = page.next_cursor
        if cursor is None or number > 60:
            break
        for _ in range(2):
            await insert(number)
            number += 1
    assert len(seen) == len(set(seen))
    assert [id for id in seen if id in set(present)] == expected


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 3, 7, 8])
async def test_a_walk_in_small_steps_sees_what_one_look_sees(house: House, order: str, limit: int) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    for number in range(7):
        due_at = house.clock.now() if number % 2 else None
        await a_task(house, mine, ada.id, title=f"Task {number}", due_at=due_at)
    assert await walk(house, mine, ada.id, order, limit) == await walk(house, mine, ada.id, order, 200)


async def test_a_full_last_page_leads_nowhere(house: House) -> None:
    ada = await an_account(house)
    for _ in range(2):
        await a_task(house, WorkspaceId(ada.id), ada.id)
    page = await house.task_queries.page(WorkspaceId(ada.id), ada.id, EVERYTHING, "created_at", None, 2)
    assert (len(page.data), page.next_cursor) == (2, None)


async def test_a_cursor_belongs_to_its_list_and_its_query(house: House) -> None:
    ada = await an_account(house)
    mine, team = WorkspaceId(ada.id), (await a_team(house, ada.id)).id
    for _ in range(3):
        await a_task(house, mine, ada.id)
    cursor = (await house.task_queries.page(mine, ada.id, EVERYTHING, "created_at", None, 1)).next_cursor
    assert cursor
    assert len(cursor) <= 1024
    for workspace, wanted, sort, given in (
        (team, EVERYTHING, "created_at", cursor),
        (mine, TaskFilter(label="x"), "created_at", cursor),
        (mine, EVERYTHING, "-created_at", cursor),
        (mine, EVERYTHING, "updated_at", cursor),
        (mine, EVERYTHING, "created_at", cursor[:-2]),
        (mine, EVERYTHING, "created_at", "nonsense"),
        (mine, EVERYTHING, "created_at", "ä\x00"),
        (mine, EVERYTHING, "created_at", ""),
    ):
        with pytest.raises(InvalidCursor):
            await house.task_queries.page(workspace, ada.id, wanted, sort, given, 1)


async def test_a_cursor_stays_short_however_long_the_query_is(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    spoken = " ".join(f"{number:02}" + "ω" * 50 for number in range(40))
    for _ in range(2):
        await a_task(house, mine, ada.id, description=spoken, labels=["ω" * 50])
    wanted = TaskFilter(label="ω" * 50, words=tuple(sorted(asked(spoken))))
    page = await house.task_queries.page(mine, ada.id, wanted, "due_at", None, 1)
    assert page.next_cursor
    assert len(page.next_cursor) <= 1024
    assert len((await house.task_queries.page(mine, ada.id, wanted, "due_at", page.next_cursor, 1)).data) == 1


async def test_overdue_tasks_can_be_walked_while_time_passes(house: House) -> None:
    ada = await an_account(house)
    start = house.clock.now()
    for number in range(5):
        await a_task(house, WorkspaceId(ada.id), ada.id, title=f"Task {number}", due_at=start + timedelta(hours=number))
    house.clock.advance(timedelta(hours=3))
    tasks = Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)
    seen: list[str] = []
    cursor = None
    while True:
        page = await tasks.page(principal(ada), None, TaskQuery(overdue=True), "-due_at", cursor, 1)
        seen += [view.title for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
        house.clock.advance(timedelta(minutes=90))
    assert seen == ["Task 2", "Task 1", "Task 0"]
    with pytest.raises(InvalidCursor):
        await tasks.page(principal(ada), None, TaskQuery(overdue=True), "-due_at", "nonsense", 1)
