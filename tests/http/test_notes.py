"""Notes as callers meet them: routes, the live connection, event streams, the documents and what operators see."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import jsonschema_rs
import pytest_asyncio
import schemathesis
from dependency_injector.providers import Singleton
from msgspec import Raw
from msgspec.structs import replace

from adapters.memory.system import MovableClock
from adapters.telemetry import Traces
from entrypoints.container import Container
from tests.architecture.notes.assembly import in_memory
from tests.architecture.notes.domain import Note
from tests.architecture.notes.measures import OPENED_PER_ACCOUNT
from tests.http.house import house_in_memory, observed, served, set_to, visited
from tests.http.test_problems import problem
from tests.support.clients import (
    API,
    Json,
    Person,
    client,
    done,
    following,
    listening,
    log_in,
    sign_up,
    until,
)
from tests.support.collector import collecting
from tests.support.exposition import Samples

TEXT = "Bring the map."


@pytest_asyncio.fixture
async def url(library: Container) -> AsyncIterator[str]:
    """The address of an assembly with notes, in memory and on PostgreSQL, served over real sockets."""
    async with served(library) as url:
        yield url


@pytest_asyncio.fixture
async def people(url: str) -> AsyncIterator[tuple[Person, Person, Person]]:
    """Ada, who begins notes; Bob, whom she asks to take part; Eve, who is a stranger."""
    async with client(url) as http:
        ada, bob, eve = [await sign_up(http, name) for name in ("Ada", "Bob", "Eve")]
        yield ada, bob, eve


async def a_note(ada: Person, *others: Person) -> Json:
    note: Json = done(await ada.post("/notes", {"text": TEXT}))
    for other in others:
        done(await ada.put(f"/notes/{note['id']}/participants/{other.id}"))
    return note


async def test_those_who_take_part_write_a_note_over_http(people: tuple[Person, Person, Person]) -> None:
    ada, bob, eve = people
    note = await a_note(ada, bob)
    path = f"/notes/{note['id']}"
    answer = await bob.patch(path, {"text": "Bring the lamp."}, headers={"If-Match": '"2"'})
    assert (answer.headers["etag"], done(answer)["text"]) == ('"3"', "Bring the lamp.")
    late = await ada.patch(path, {"text": "Too late."}, headers={"If-Match": '"2"'})
    assert (late.status_code, late.json()["current"]) == (412, done(answer))
    assert (await ada.get(path, headers={"If-None-Match": '"3"'})).status_code == 304
    assert (await ada.patch(path, {"text": " "})).json()["errors"][0]["pointer"] == "/text"
    for refused in (await eve.get(path), await eve.patch(path, {"text": "Mine."}), await eve.get(f"{path}/history")):
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    history = done(await bob.get(f"{path}/history"))["data"]
    assert [event["type"] for event in history] == ["note.written", "writer.joined", "note.opened"]
    assert (history[0]["actor"], history[0]["changes"]) == (bob.id, {"text": [TEXT, "Bring the lamp."]})
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.get(path)).status_code == 404


async def test_a_request_that_is_repeated_begins_one_note(people: tuple[Person, Person, Person]) -> None:
    ada, _, _ = people
    begun = [await ada.post("/notes", {"text": TEXT}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert done(begun[0]) == done(begun[1])
    assert begun[1].headers["idempotency-replayed"] == "true"


async def test_those_who_take_part_see_live_what_is_written_and_what_it_counts(
    url: str, people: tuple[Person, Person, Person]
) -> None:
    ada, bob, _ = people
    note = await a_note(ada, bob)
    channel = f"note:{note['id']}"
    async with listening(url, bob.token, channel, f"pulse:{channel}", f"presence:{channel}") as live:
        assert (await live.frame("value"))["data"] == 3
        params = {"id": note["id"], "note": {"text": "Bring the map and the lamp."}}
        assert (await live.call("call", method="note.write", params=params))["data"]["version"] == 3
        assert (await live.event("note.written"))["offset"] == 3
        assert (await live.frame("value"))["data"] == 6
        done(await ada.delete(f"/notes/{note['id']}/participants/{bob.id}"))
        lost = {(await live.frame("unsubscribed"))["channel"] for _ in range(3)}
        assert lost == {channel, f"pulse:{channel}", f"presence:{channel}"}
        assert (await live.call("call", method="note.write", params=params))["code"] == "not_found"


async def test_a_value_that_no_table_keeps_is_told_to_those_who_come_later_and_ends_by_itself(
    library: Container, url: str, people: tuple[Person, Person, Person]
) -> None:
    ada, bob, _ = people
    note = await a_note(ada, bob)
    channel = f"note:{note['id']}"
    async with listening(url, ada.token, channel) as live:
        for at in (3, 9):
            params = {"id": note["id"], "cursor": {"at": at}}
            assert (await live.call("call", method="note.point", params=params))["data"] is None
        async with listening(url, bob.token, channel, f"cursors:{channel}") as late:
            shown = {"type": "value", "channel": f"cursors:{channel}", "key": ada.id, "data": {"at": 9}}
            assert await late.frame("value") == shown
            place = library.channels().grammar.parse(f"cursors:{channel}")
            await library.newest().tell(place, ada.id, Raw(b'{"at":10}'), 0.1)
            told = [(await late.frame("value"))["data"] for _ in range(2)]
            assert told == [{"at": 10}, None]
            assert (await late.call("call", method="note.point", params={"id": note["id"]}))["code"] == (
                "validation_failed"
            )


async def test_a_note_falls_due_in_time_and_those_who_take_part_are_told(
    library: Container, url: str, people: tuple[Person, Person, Person]
) -> None:
    ada, bob, _ = people
    note = await a_note(ada, bob)
    clock = library.clock()
    assert isinstance(clock, MovableClock)
    due_at = clock.now() + timedelta(minutes=5)
    async with listening(url, bob.token, f"note:{note['id']}") as live:
        path = f"/notes/{note['id']}/reminder"
        assert (await ada.put(path, json={"due_at": clock.now().isoformat()})).json()["code"] == "validation_failed"
        done(await ada.put(path, json={"due_at": due_at.isoformat()}))
        clock.advance(timedelta(minutes=5))
        told = (await live.event("note.fell_due"))["event"]
    assert (told["actor"], told["data"]) == (None, {"due_at": due_at.isoformat().replace("+00:00", "Z")})


async def test_an_event_stream_tells_a_note_from_any_offset_on_until_it_is_burnt(
    people: tuple[Person, Person, Person],
) -> None:
    ada, bob, _ = people
    note = await a_note(ada, bob)
    async with following(bob, f"note:{note['id']}", since=1) as stream:
        done(await ada.delete(f"/notes/{note['id']}"))
        told = [await stream.next() for _ in range(3)]
        assert [(event or {})["event"] for event in told] == ["writer.joined", "note.burnt", "unsubscribed"]
        assert await stream.next() is None


async def test_old_events_of_a_note_go_with_all_others_and_who_missed_them_is_told(library: Container) -> None:
    library.settings.override(replace(library.settings(), event_retention_days=30))
    clock = library.clock()
    assert isinstance(clock, MovableClock)
    async with served(library) as url, client(url) as http:
        ada = await sign_up(http)
        channel = f"note:{(await a_note(ada))['id']}"
        clock.advance(timedelta(days=31))

        async def is_gone() -> bool:
            await library.operations.forgetting().forget()
            return (await library.journal().survey([channel])).spans[channel].tail == 1

        await until(is_gone)  # not before the consumer of notes has seen it
        ada = await log_in(http, ada.email)
        async with following(ada, channel, since=0) as stream:
            told = await stream.next()
        assert told == {"event": "resync", "id": "1", "data": {"reason": "pruned"}}


async def test_the_documents_know_notes(url: str, people: tuple[Person, Person, Person]) -> None:
    ada, _, _ = people
    openapi = (await ada.http.get("/api/openapi.json")).json()
    schemathesis.openapi.from_dict(openapi).validate()
    assert {"name": "notes", "description": "Text that several people write together."} in openapi["tags"]
    ours = {path: methods for path, methods in openapi["paths"].items() if path.startswith(f"{API}/notes")}
    said = [operation for methods in ours.values() for operation in methods.values()]
    assert len(said) == 8
    assert {tag for operation in said for tag in operation["tags"]} == {"notes"}
    assert "412" in ours[f"{API}/notes/{{id}}"]["patch"]["responses"]
    for operation in said:
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            validator = jsonschema_rs.Draft202012Validator(content["schema"] | {"components": openapi["components"]})
            validator.validate(content["examples"]["typical"]["value"])
    asyncapi = (await ada.http.get("/api/asyncapi.json")).json()
    refer = "#/components/schemas/"
    assert asyncapi["x-methods"]["note.write"]["params"] == {"$ref": f"{refer}WriteParams"}
    assert asyncapi["x-methods"]["note.write"]["answer"] == {"$ref": f"{refer}NoteView"}
    assert asyncapi["x-channels"]["waves"]["value"] == {"$ref": f"{refer}Wave"}
    assert asyncapi["components"]["schemas"]["WriteParams"]["required"] == ["id", "note"]
    listed = {kind["type"]: kind for kind in done(await ada.get("/event-types"))["data"]}
    assert asyncapi["x-event-types"] == listed
    assert set(Note.announces) <= set(listed)
    assert listed["note.fell_due"]["data"] == {"due_at": "When that was."}


async def test_operators_see_notes_among_the_figures_and_steps_of_all_others() -> None:
    async with collecting() as collector:
        traces = Singleton(Traces, collector.endpoint, "signalbox", "0", "here")
        house = observed(in_memory(house_in_memory(traces=traces)), traces)
        async with visited(house) as http:
            ada = await sign_up(http)
            note = await a_note(ada)
            done(await ada.patch(f"/notes/{note['id']}", {"text": "Bring the lamp."}))
            figures = Samples((await http.get("/metrics")).text)
            tree = await collector.tree(lambda root: root.name == "PATCH /api/v1/notes/{id}")
    request = {"method": "PATCH", "route": "/api/v1/notes/{id}", "status_code": "200", "error_type": ""}
    assert figures("http_server_request_duration_seconds_count", **request) == 1
    assert figures("signalbox_consumer_failing_streams", consumer="notes_count") == 0
    assert "Notes.write" in [span.name for span in tree.below()]


async def test_notes_have_a_limit_and_a_counter_of_their_own_and_operators_see_both() -> None:
    async with visited(observed(in_memory(house_in_memory(settings=set_to(rate_limit_enabled=True))))) as http:
        before = Samples((await http.get("/metrics")).text)
        ada = await sign_up(http)
        opened = [await a_note(ada) for _ in range(OPENED_PER_ACCOUNT.limit)]
        refused = problem(await ada.post("/notes", {"text": TEXT}), 429, "rate_limited")
        done(await ada.delete(f"/notes/{opened[0]['id']}"))
        after = Samples((await http.get("/metrics")).text)
    assert refused["detail"] == OPENED_PER_ACCOUNT.refusal
    for name, labels in (("rate_limited", {"policy": "notes_opened"}), ("notes_burnt", {"length": "short"})):
        assert [found(f"signalbox_{name}_total", **labels) for found in (before, after)] == [0, 1]
    assert after("signalbox_notes_burnt_total", length="long") == 0


async def test_operators_see_how_many_notes_there_are_and_how_late_they_fell_due() -> None:
    house = observed(in_memory(house_in_memory()))
    async with visited(house) as http:
        ada = await sign_up(http)
        note = await a_note(ada)
        due_at = house.clock().now() + timedelta(minutes=5)
        done(await ada.put(f"/notes/{note['id']}/reminder", json={"due_at": due_at.isoformat()}))
        await house.notes().elapse(UUID(note["id"]), due_at + timedelta(seconds=3))
        await house.operations.asking().ask()
        found = Samples((await http.get("/metrics")).text)
    assert found("signalbox_notes_open") == 1
    assert [found(f"signalbox_note_late_seconds_{part}") for part in ("count", "sum")] == [1, 3]


async def test_notes_are_among_the_figures_of_an_installation(
    library: Container, people: tuple[Person, Person, Person]
) -> None:
    ada, bob, _ = people
    for author in (ada, bob):
        await a_note(author)
    await library.administration().make_admin(ada.email)
    admin = await log_in(ada.http, ada.email)
    stored = done(await ada.http.get("/stats", headers=admin.authorization))["stored"]
    assert list(stored)[-3:] == ["notes", "streams", "events"]
    assert (stored["accounts"], stored["notes"]) == (3, 2)
