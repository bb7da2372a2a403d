"""A resource has a version: with it readers do not fetch the same twice, and writers do not overwrite each other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.http.test_problems import problem
from tests.support.clients import Json, Person, done

Make = Callable[[Person], Awaitable[str]]


async def a_task(person: Person) -> str:
    return f"/tasks/{(await person.open_task())['id']}"


async def a_team(person: Person) -> str:
    return f"/workspaces/{(await person.create_team())['id']}"


async def oneself(person: Person) -> str:
    return "/me"


RESOURCES: list[tuple[Make, Json]] = [
    (a_task, {"title": "changed"}),
    (a_team, {"name": "changed"}),
    (oneself, {"display_name": "changed"}),
]
every_resource = pytest.mark.parametrize(("make", "change"), RESOURCES)


@every_resource
async def test_the_etag_is_strong_and_names_the_version(ada: Person, make: Make, change: Json) -> None:
    path = await make(ada)
    before = await ada.get(path)
    after = await ada.patch(path, change)

    assert before.headers["etag"] == f'"{before.json()["version"]}"'
    assert after.headers["etag"] == f'"{before.json()["version"] + 1}"'
    assert (await ada.get(path)).headers["etag"] == after.headers["etag"]


@every_resource
async def test_a_reader_who_has_the_present_version_gets_a_304(ada: Person, make: Make, change: Json) -> None:
    path = await make(ada)
    tag = (await ada.get(path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"99", {tag}', "*"):
        response = await ada.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag), known
        assert "content-type" not in response.headers
    await ada.patch(path, change)
    for outdated in (tag, f"W/{tag}", '"nonsense"', "nonsense", ""):
        assert (await ada.get(path, headers={"If-None-Match": outdated})).status_code == 200, outdated


@every_resource
async def test_a_writer_who_knows_the_present_version_may_write(ada: Person, make: Make, change: Json) -> None:
    path = await make(ada)
    tag = (await ada.get(path)).headers["etag"]

    assert (await ada.patch(path, change, headers={"If-Match": tag})).status_code == 200
    assert (await ada.patch(path, change, headers={"If-Match": "*"})).status_code == 200


@pytest.mark.parametrize("made", ['W/"%s"', '"%s-gzip"', '"%s-br"', 'W/"%s-zstd"', '"%s;gzip"'])
async def test_what_compressing_proxies_make_of_a_tag_is_understood(ada: Person, made: str) -> None:
    path = await a_task(ada)
    tag = made % done(await ada.get(path))["version"]
    assert (await ada.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert (await ada.patch(path, {"title": "through a proxy"}, headers={"If-Match": tag})).status_code == 200
    problem(await ada.patch(path, {"title": "lost"}, headers={"If-Match": tag}), 412, "version_conflict")


@every_resource
async def test_a_writer_who_knows_another_version_gets_the_present_one(ada: Person, make: Make, change: Json) -> None:
    path = await make(ada)
    tag = (await ada.get(path)).headers["etag"]
    done(await ada.patch(path, change))
    present = done(await ada.get(path))
    for known in (tag, f"W/{tag}", '"99"', '"999999999999999999999"', '"nonsense"', '""'):
        response = await ada.patch(path, dict.fromkeys(change, "lost"), headers={"If-Match": known})
        said = problem(response, 412, "version_conflict")
        assert said["current"] == present, known
        assert said["current_version"] == present["version"]

    assert done(await ada.get(path)) == present


@pytest.mark.parametrize("given", ["1", "'1'", '"1", "2"', '"1', "x", ""])
async def test_an_if_match_that_is_no_entity_tag_is_a_400(ada: Person, given: str) -> None:
    path = await a_task(ada)
    said = problem(await ada.patch(path, {"title": "x"}, headers={"If-Match": given}), 400, "invalid_parameter")

    assert said["errors"][0]["pointer"] == "If-Match"


@pytest.mark.parametrize("make", [a_task, a_team])
async def test_only_the_known_version_is_deleted(ada: Person, make: Make) -> None:
    path = await make(ada)
    tag = (await ada.get(path)).headers["etag"]
    name = "title" if make is a_task else "name"
    done(await ada.patch(path, {name: "newer"}))

    problem(await ada.delete(path, headers={"If-Match": tag}), 412, "version_conflict")
    newer = (await ada.get(path)).headers["etag"]
    assert (await ada.delete(path, headers={"If-Match": newer})).status_code == 204


@pytest.mark.parametrize("verb", ["archive", "unarchive"])
async def test_only_the_known_version_is_archived_or_taken_out_again(ada: Person, verb: str) -> None:
    path = await a_task(ada)
    if verb == "unarchive":
        done(await ada.post(f"{path}/archive"))
    tag = (await ada.get(path)).headers["etag"]
    done(await ada.patch(path, {"title": "newer"}))
    present = done(await ada.get(path))

    refused = await ada.post(f"{path}/{verb}", headers={"If-Match": tag})
    assert problem(refused, 412, "version_conflict")["current"] == present
    newer = await ada.post(f"{path}/{verb}", headers={"If-Match": f'"{present["version"]}"'})
    assert (done(newer)["archived_at"] is None) == (verb == "unarchive")
    assert newer.headers["etag"] == f'"{present["version"] + 1}"'


async def test_of_many_writers_who_know_the_same_version_one_writes(ada: Person) -> None:
    path = await a_task(ada)
    tag = (await ada.get(path)).headers["etag"]
    answers = await asyncio.gather(
        *(ada.patch(path, {"title": f"by {n}"}, headers={"If-Match": tag}) for n in range(20))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert {answer.json()["current"]["title"] for answer in answers if answer.status_code == 412} == {winner["title"]}


async def test_a_patch_that_changes_nothing_leaves_version_and_journal_alone(ada: Person) -> None:
    task = await ada.open_task("Same")
    path = f"/tasks/{task['id']}"
    before = await ada.events(f"workspace:{ada.id}")
    nothing_new: list[Json] = [
        {},
        {"title": "Same"},
        {"title": " Same "},
        {"status": "todo", "labels": [], "due_at": None},
    ]
    for patch in nothing_new:
        response = await ada.patch(path, patch)
        assert done(response) == task
        assert response.headers["etag"] == '"1"'

    assert await ada.events(f"workspace:{ada.id}") == before


async def test_a_patch_is_a_merge_patch(ada: Person) -> None:
    task = await ada.open_task("Plan", due_at="2026-02-01T00:00:00Z", labels=["a"], custom={"x": 1})
    headers = {"Content-Type": "application/merge-patch+json"}
    patch = {"due_at": None, "labels": ["b"]}

    changed = done(await ada.patch(f"/tasks/{task['id']}", patch, headers=headers))
    assert (changed["due_at"], changed["labels"], changed["title"], changed["custom"]) == (
        None,
        ["b"],
        "Plan",
        {"x": 1},
    )


async def test_a_lost_version_in_a_bulk_undoes_all_of_it(ada: Person) -> None:
    one, two = await ada.open_task("one"), await ada.open_task("two")
    operations = [
        {"op": "update", "id": one["id"], "patch": {"title": "changed"}},
        {"op": "update", "id": two["id"], "patch": {"title": "changed"}, "version": 7},
    ]
    said = problem(await ada.post("/tasks/bulk", {"operations": operations}), 412, "version_conflict")

    assert said["errors"][0]["pointer"] == "/operations/1"
    assert done(await ada.get(f"/tasks/{one['id']}")) == one
