"""Lists that nothing has changed are neither read nor sent twice, and are right for whoever asks at any moment."""

from collections.abc import AsyncIterator

import httpx
import pytest

from adapters.memory.observer import MemoryObserver
from entrypoints.container import Container
from tests.http.house import house_in_memory, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import Person, done, sign_up


@pytest.fixture
async def uncached(house: Container) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who calls the same store through an assembly whose cache is switched off."""
    settings = set_to(cache_max_bytes=0)
    other = house_in_memory(settings=settings, database=house.database, clock=house.clock, tokens=house.tokens)
    async with visited(other) as http:
        yield http


async def test_a_list_has_a_weak_etag_that_changes_with_anything_in_the_workspace(ada: Person, bob: Person) -> None:
    team = (await ada.create_team())["id"]
    path = f"/tasks?workspace_id={team}"
    seen = [(await ada.get(path)).headers["etag"]]
    assert seen[0].startswith('W/"')
    task = await ada.open_task(workspace_id=team)
    seen.append((await ada.get(path)).headers["etag"])
    done(await ada.post(f"/tasks/{task['id']}/comments", {"text": "Hello"}))
    seen.append((await ada.get(path)).headers["etag"])
    await ada.admit(bob, team)
    seen.append((await ada.get(path)).headers["etag"])
    assert len(set(seen)) == len(seen)
    assert (await bob.get(path)).headers["etag"] == seen[-1]


async def test_a_reader_who_has_the_present_list_gets_a_304(ada: Person) -> None:
    await ada.open_task()
    tag = (await ada.get("/tasks")).headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        answer = await ada.get("/tasks", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), known
    task = await ada.open_task("newer")
    answer = await ada.get("/tasks", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.json()["data"][0] == task


async def test_a_reader_who_has_the_present_comments_gets_a_304(ada: Person) -> None:
    path = f"/tasks/{(await ada.open_task())['id']}/comments"
    done(await ada.post(path, {"text": "Hello"}))
    tag = (await ada.get(path)).headers["etag"]
    assert tag.startswith('W/"')
    answer = await ada.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    comment = done(await ada.post(path, {"text": "And again"}))
    answer = await ada.get(path, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.json()["data"][-1] == comment


async def test_the_etag_of_one_list_fits_no_other(ada: Person, bob: Person) -> None:
    for person in (ada, bob):
        await person.open_task()
    tag = (await ada.get("/tasks")).headers["etag"]
    for path in ("/tasks?limit=2", "/tasks?sort=created_at", "/tasks?status=todo", "/tasks?assignee=me"):
        assert (await ada.get(path, headers={"If-None-Match": tag})).status_code == 200, path
    assert (await bob.get("/tasks", headers={"If-None-Match": tag})).status_code == 200


async def test_lists_that_are_not_kept_have_no_etag(ada: Person) -> None:
    for _ in range(2):
        await ada.open_task(due_at="2020-01-01T00:00:00Z")
    cursor = done(await ada.get("/tasks?limit=1"))["next_cursor"]
    for path in (f"/tasks?limit=1&cursor={cursor}", "/tasks?q=write", "/tasks?overdue=true", "/workspaces", "/events"):
        assert "etag" not in (await ada.get(path)).headers, path


async def test_whoever_is_removed_loses_the_list_at_once_whatever_they_know_of_it(ada: Person, bob: Person) -> None:
    team = (await ada.create_team())["id"]
    await ada.admit(bob, team)
    await ada.open_task(workspace_id=team)
    path = f"/tasks?workspace_id={team}"
    tag = (await bob.get(path)).headers["etag"]
    done(await ada.delete(f"/workspaces/{team}/members/{bob.id}"))
    problem(await bob.get(path, headers={"If-None-Match": tag}), 404, "not_found")
    assert (await ada.get(path)).status_code == 200
    await ada.admit(bob, team)
    assert (await bob.get(path)).status_code == 200
    done(await ada.delete(f"/workspaces/{team}"))
    for person in (ada, bob):
        problem(await person.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "query",
    ["", "?limit=2", "?limit=200", "?sort=priority", "?status=todo&status=done", "?label=a%0Ab", "?archived=any"],
)
async def test_what_is_kept_is_what_is_read_to_the_last_byte(
    ada: Person, uncached: httpx.AsyncClient, query: str
) -> None:
    for number in range(5):
        await ada.open_task(f"Ä {number} \u2028", labels=["a\nb"] if number % 2 else [], custom={"n": [None, 1.5]})
    without = await uncached.get(f"/api/v1/tasks{query}", headers={"Authorization": f"Bearer {ada.token}"})
    assert without.status_code == 200
    assert "etag" not in without.headers
    for _ in range(2):
        assert (await ada.get(f"/tasks{query}")).content == without.content


async def test_a_repeated_list_is_counted_as_a_hit() -> None:
    house = house_in_memory()
    observer = house.observer()
    assert isinstance(observer, MemoryObserver)
    async with visited(house) as http:
        ada = await sign_up(http, "Ada")
        for _ in range(3):
            await ada.get("/tasks")
        assert observer.happenings["cache", "miss"] == 1
        assert observer.happenings["cache", "hit"] == 2
        await ada.open_task()
        await ada.get("/tasks")
        assert observer.happenings["cache", "stale"] == 1
        metrics = (await http.get("/metrics")).text
        kept = next(line for line in metrics.splitlines() if line.startswith("signalbox_cache_bytes "))
        assert float(kept.split()[1]) > 0
