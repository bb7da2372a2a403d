"""Lists come by the page, in the order that was asked for, behind cursors that fit no other list."""

import base64
from typing import Any

import pytest

from tests.http.test_problems import problem
from tests.support.clients import Json, Person, done

MEBIBYTE = 1024 * 1024
# Of the test below: 31 tasks, 30 changes and 130 comments, and the workspace itself.
EXPECTED = {
    "/tasks": 31,
    "/events": 1 + 31 + 30 + 130,
    "/tasks/{task}/history": 1 + 30 + 130,
    "/tasks/{task}/comments": 130,
}


async def walk(person: Person, path: str, **query: Any) -> list[Json]:
    """Every item of a list, from the first page to the last."""
    items: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = done(await person.get(path, params=query | cursor))
        assert set(page) == {"data", "next_cursor"}
        assert len(page["data"]) <= int(query.get("limit", 50))
        items += page["data"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "updated_at", "-updated_at", "due_at", "priority"])
@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_walking_a_list_by_any_page_size_shows_everything_once(ada: Person, sort: str, limit: int) -> None:
    made = [
        await ada.open_task(priority=priority, due_at=due)
        for priority, due in [("low", None), ("high", "2026-03-01T00:00:00Z"), ("low", "2026-02-01T00:00:00Z")] * 2
    ]
    found = await walk(ada, "/tasks", sort=sort, limit=limit)

    assert sorted(task["id"] for task in found) == sorted(task["id"] for task in made)
    assert found == await walk(ada, "/tasks", sort=sort)


async def test_a_walk_shows_what_was_there_when_things_come_and_go_meanwhile(ada: Person) -> None:
    kept = [await ada.open_task(f"kept {n}") for n in range(6)]
    doomed = await ada.open_task("doomed")
    first = done(await ada.get("/tasks?sort=created_at&limit=3"))
    await ada.delete(f"/tasks/{doomed['id']}")
    await ada.open_task("late")
    rest = done(await ada.get("/tasks", params={"sort": "created_at", "limit": 50, "cursor": first["next_cursor"]}))

    titles = [task["title"] for task in first["data"] + rest["data"]]
    assert titles == [task["title"] for task in kept] + ["late"]


@pytest.mark.parametrize("path", ["/tasks", "/events", "/tasks/{task}/history", "/tasks/{task}/comments"])
async def test_no_page_is_more_than_a_mebibyte_whatever_its_limit(ada: Person, path: str) -> None:
    task = (await ada.open_task())["id"]
    for number in range(30):
        done(await ada.patch(f"/tasks/{task}", {"description": f"{number} " + "x" * 49_000}))
        await ada.open_task(description='"' * 49_000)
    for _ in range(130):
        done(await ada.post(f"/tasks/{task}/comments", {"text": "x" * 10_000}))
    answer = await ada.get(path.format(task=task), params={"limit": 200})

    assert done(answer)["next_cursor"] is not None
    assert 0.9 * MEBIBYTE < len(answer.content) <= MEBIBYTE
    assert (await ada.get(path.format(task=task), params={"limit": 200})).content == answer.content
    items = await walk(ada, path.format(task=task), limit=200)
    assert len(items) == len({item["id"] for item in items}) == EXPECTED[path]


async def test_a_cursor_fits_only_the_query_that_it_came_from(ada: Person, bob: Person) -> None:
    team = (await ada.create_team())["id"]
    await ada.admit(bob, team)
    for _ in range(3):
        await ada.open_task(workspace_id=team)
        await ada.open_task()
    cursor = done(await ada.get(f"/tasks?workspace_id={team}&limit=1"))["next_cursor"]

    assert (await bob.get(f"/tasks?workspace_id={team}&limit=2&cursor={cursor}")).status_code == 200
    foreign = [
        f"/tasks?limit=1&cursor={cursor}",
        f"/tasks?workspace_id={team}&sort=created_at&cursor={cursor}",
        f"/tasks?workspace_id={team}&status=todo&cursor={cursor}",
        f"/events?cursor={cursor}",
        f"/workspaces?cursor={cursor}",
        f"/workspaces/{team}/members?cursor={cursor}",
    ]
    for path in foreign:
        response = await ada.get(path)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), path


@pytest.mark.parametrize(
    "path",
    [
        "/tasks",
        "/workspaces",
        "/events",
        "/workspaces/{own}/members",
        "/tasks/{task}/comments",
        "/tasks/{task}/history",
    ],
)
async def test_a_cursor_that_was_tampered_with_is_refused(ada: Person, path: str) -> None:
    task = await ada.open_task()
    await ada.create_team()
    for text in ("one", "two"):
        done(await ada.post(f"/tasks/{task['id']}/comments", {"text": text}))
    await ada.open_task()
    path = path.format(own=ada.id, task=task["id"])
    cursor = done(await ada.get(path, params={"limit": 1}))["next_cursor"]
    tampered = ["", "A", "%%%", "x" * 2048, base64.b64encode(b"[]").decode(), base64.b64encode(b"[" * 500).decode()]
    if cursor is not None:
        raw = base64.urlsafe_b64decode(cursor + "==")
        changed = [raw[:-2] + b',"x"]', raw[:5] + b"!" + raw[6:], raw.replace(b'",', b'",null,', 1)]
        tampered += [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in changed]
    for one in tampered:
        response = await ada.get(path, params={"cursor": one})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), one


async def test_events_walk_in_the_order_of_their_offsets_without_a_hole(ada: Person) -> None:
    for _ in range(7):
        await ada.open_task()
    rising = await walk(ada, "/events", sort="offset", limit=3)
    falling = await walk(ada, "/events", limit=4)

    assert [event["offset"] for event in rising] == list(range(1, 9))
    assert falling == rising[::-1]


async def test_a_page_holds_fifty_items_if_nothing_is_said_and_two_hundred_at_most(ada: Person) -> None:
    for part in range(3):
        created = [{"op": "create", "task": {"title": f"{part} {n}"}} for n in range(70)]
        done(await ada.post("/tasks/bulk", {"operations": created}))

    assert len(done(await ada.get("/tasks"))["data"]) == 50
    assert len(done(await ada.get("/tasks?limit=200"))["data"]) == 200


async def test_a_search_finds_words_by_their_beginning_whatever_the_case(ada: Person) -> None:
    await ada.open_task("Déjeuner sur l'herbe", description="with the quarterly report")
    await ada.open_task("Something else")

    for words in ("deje", "HERBE quart", "report déjeuner"):
        assert [task["title"] for task in done(await ada.get("/tasks", params={"q": words}))["data"]] == [
            "Déjeuner sur l'herbe"
        ]
    for words in ("", " ", "\t", "!!!", " … ", "\u200b", "'"):
        refused = problem(await ada.get("/tasks", params={"q": words}), 422, "validation_failed")
        assert refused["errors"][0]["pointer"] == "?q", words
    for words in ("euner", "herbe else", "quarterly & !report | else"):
        assert len(done(await ada.get("/tasks", params={"q": words}))["data"]) == 0


async def test_archived_tasks_come_only_to_who_asks_for_them(ada: Person) -> None:
    kept, archived = await ada.open_task("kept"), await ada.open_task("archived")
    done(await ada.post(f"/tasks/{archived['id']}/archive"))

    for query, expected in (
        ("", [kept]),
        ("?archived=false", [kept]),
        ("?archived=true", [archived]),
        ("?archived=any", [archived, kept]),
    ):
        assert [task["id"] for task in done(await ada.get(f"/tasks{query}"))["data"]] == [t["id"] for t in expected]
    for wrong in ("yes", "1", "TRUE", "", "null"):
        response = await ada.get("/tasks", params={"archived": wrong})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter"), wrong


async def test_a_task_is_found_by_what_people_call_it(ada: Person) -> None:
    team = await ada.create_team("Operations")
    tasks = [await ada.open_task(f"Task {n}", workspace_id=team["id"]) for n in range(12)]

    assert team["task_prefix"] == "OPE"
    assert [task["key"] for task in tasks] == [f"OPE-{n}" for n in range(1, 13)]
    for key in ("OPE-12", "ope-12"):
        found = done(await ada.get("/tasks", params={"workspace_id": team["id"], "key": key}))["data"]
        assert found == tasks[-1:]
    assert done(await ada.get("/tasks", params={"key": "OPE-12"}))["data"] == []


async def test_a_label_is_one_however_it_is_typed(ada: Person) -> None:
    typed = ["caf\u00e9", "cafe\u0301", "caf\u00e9\u200b", " caf\u00e9 "]
    task = await ada.open_task("Labelled", labels=[*typed, "e\u0301" * 50])
    assert task["labels"] == ["caf\u00e9", "\u00e9" * 50]
    for label in typed:
        assert [found["id"] for found in done(await ada.get("/tasks", params={"label": label}))["data"]] == [task["id"]]
    problem(await ada.get("/tasks", params={"label": "x" * 51}), 422, "validation_failed")
    problem(await ada.patch(f"/tasks/{task['id']}", {"labels": ["\u00e9" * 51]}), 422, "validation_failed")


async def test_tasks_without_a_due_date_come_last_in_both_directions(ada: Person) -> None:
    for title, due_at in (("never", None), ("soon", "2026-03-01T00:00:00Z"), ("late", "2026-04-01T00:00:00Z")):
        await ada.open_task(title, due_at=due_at)

    for order, expected in (("due_at", ["soon", "late", "never"]), ("-due_at", ["late", "soon", "never"])):
        assert [task["title"] for task in await walk(ada, "/tasks", sort=order, limit=1)] == expected
    for query, expected in (
        ("due_before=2026-04-01T00:00:00Z", ["soon"]),
        ("due_after=2026-04-01T02:00:00%2B02:00", ["late"]),
    ):
        assert [task["title"] for task in done(await ada.get(f"/tasks?{query}"))["data"]] == expected


async def test_a_task_is_found_by_what_is_said_about_it(ada: Person) -> None:
    task = await ada.open_task("Tea")
    comment = done(await ada.post(f"/tasks/{task['id']}/comments", {"text": "It whistles at noon"}))

    async def found(q: str) -> list[str]:
        return [found["id"] for found in done(await ada.get("/tasks", params={"q": q}))["data"]]

    assert await found("noon whist") == [task["id"]]
    done(await ada.delete(f"/tasks/{task['id']}/comments/{comment['id']}"))
    assert await found("noon whist") == []
