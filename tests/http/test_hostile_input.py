"""Whatever stands in a field, a parameter or a header, the answer is a refusal in words or a success, never a 5xx.

Each operation is called with a good request in which one value at a time is replaced, against PostgreSQL.
"""

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from entrypoints.container import in_memory
from entrypoints.http.openapi import document
from tests.http.operations import BODIES, OPERATIONS, Operation, World, a_world, request_for
from tests.support.clients import API, Json, Person, sign_up

# Those that begin a session, which a hostile value keeps from beginning.
SIGNING_IN = {"log_in", "verify_factor", "log_in_with_passkey"}
DEEP = "[" * 100_000 + "]" * 100_000
# Values as they stand in a JSON text, and whether some field may take them.
VALUES: dict[str, str] = {
    "NUL": '"a\\u0000b"',
    "lone surrogate": '"a\\ud800b"',
    "reversed surrogates": '"\\udc00\\ud800"',
    "raw control character": '"a\x01b"',
    "bidi override": '"a\\u202eb\\u2066c"',
    "byte order mark": '"\\ufeff"',
    "noncharacter": '"\\uffff\\ufdd0"',
    "empty": '""',
    "only spaces": '" \\t\\u00a0\\u3000 "',
    "only zero width": '"\\u200b\\u200d"',
    "very long": json.dumps("x" * 200_000),
    "many combining marks": json.dumps("a" + "\u0301" * 5_000),
    "SQL": json.dumps("'; DROP TABLE tasks; --"),
    "template": json.dumps("{{7*7}}${7*7}%s%n"),
    "line breaks": json.dumps("a\r\nSet-Cookie: b=c\x1b[31m"),
    "not a number": "NaN",
    "infinity": "Infinity",
    "too large a float": "1e400",
    "large float": "1e308",
    "fraction": "1.5",
    "beyond 64 bit": str(2**64),
    "far beyond 64 bit": "9" * 5_000,
    "smallest 64 bit": str(-(2**63)),
    "32 bit border": str(2**31),
    "minus zero": "-0.0",
    "zero": "0",
    "leading zero": "007",
    "true": "true",
    "null": "null",
    "object": "{}",
    "array": "[]",
    "array of null": "[null]",
    "deep nesting": DEEP,
    "year 0": '"0000-01-01T00:00:00Z"',
    "year 1": '"0001-01-01T00:00:00+14:00"',
    "year 9999": '"9999-12-31T23:59:59-14:00"',
    "year 10000": '"10000-01-01T00:00:00Z"',
    "leap second": '"2026-12-31T23:59:60Z"',
    "day 30 of February": '"2026-02-30T00:00:00Z"',
    "no time zone": '"2026-02-03T00:00:00"',
    "odd offset": '"2026-02-03T00:00:00+99:99"',
    "nine digits of a second": '"2026-02-03T00:00:00.123456789Z"',
    "id without version": '"00000000-0000-0000-0000-000000000000"',
    "id in braces": '"{0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e}"',
}
# In a field of any type these are refused.
NOWHERE = {"lone surrogate", "reversed surrogates", "raw control character", "not a number", "infinity", "leading zero"}
NOWHERE |= {"too large a float", "far beyond 64 bit", "deep nesting"}
MARK = "\x00here\x00"
TWIN = "-twin-"

WITH_BODY = [operation for operation in OPERATIONS.values() if operation.name in BODIES]
JSON = {"Content-Type": "application/json"}


def variants(value: object) -> Iterator[object]:
    """The same JSON once for each value in it, with a mark in the place of that value."""
    yield MARK
    if isinstance(value, dict):
        for name, held in value.items():
            for variant in variants(held):
                yield value | {name: variant}
        yield value | {MARK: 1}
    elif isinstance(value, list):
        for index, held in enumerate(value):
            for variant in variants(held):
                yield [*value[:index], variant, *value[index + 1 :]]


def is_problem(response: httpx.Response) -> bool:
    return response.headers["content-type"] == "application/problem+json"


async def survives(person: Person, operation: Operation, request: Json, what: str) -> httpx.Response:
    response = await person.send(**request)
    where = f"{operation.name} with {what}: {response.status_code} {response.text[:300]}"
    assert response.status_code < 500, where
    assert response.status_code == 304 or response.is_success or is_problem(response), where
    return response


@pytest.fixture
async def world(stored: httpx.AsyncClient) -> World:
    return await a_world(stored)


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
async def test_a_body_with_a_hostile_value_is_answered(world: World, operation: Operation) -> None:
    request = request_for(operation, world.ids) | {"headers": JSON}
    body = request.pop("json")
    if operation.name == "bulk":
        body["mode"] = "partial"  # so that every operation in it is looked at
    mark = json.dumps(MARK)
    for variant in variants(body):
        text = json.dumps(variant)
        for name, value in VALUES.items():
            if f"{mark}:" in text and not value.startswith('"'):
                continue  # the name of a field is a string
            actor = world.owner if operation.name != "change_password" else await sign_up(world.owner.http)
            content = text.replace(mark, value, 1).encode()
            response = await survives(actor, operation, request | {"content": content}, name)
            assert response.status_code != 401 or operation.name in SIGNING_IN, "the actor is out"
            if operation.name == "bulk" and response.is_success:
                assert response.json()["failed"] or name not in NOWHERE, (name, text)
            elif name in NOWHERE:
                assert 400 <= response.status_code < 500, (operation.name, name, text)


async def test_a_body_that_is_not_quite_json_is_refused(world: World) -> None:
    for operation in WITH_BODY:
        request = request_for(operation, world.ids) | {"headers": JSON}
        for name, body in not_quite(json.dumps(request.pop("json")).encode()).items():
            response = await survives(world.owner, operation, request | {"content": body}, name)
            assert response.status_code in {400, 422}, (operation.name, name)


def not_quite(text: bytes) -> dict[str, bytes]:
    """What comes near to this JSON without being it."""
    return {
        "invalid UTF-8": text.replace(b'"', b'"\xff\xfe', 1),
        "overlong UTF-8": text.replace(b'"', b'"\xc0\xaf', 1),
        "surrogate in UTF-8": text.replace(b'"', b'"\xed\xa0\x80', 1),
        "UTF-16": text.decode().encode("utf-16"),
        "cut off": text[:-1],
        "twice": text * 2,
        "empty": b"",
        "only spaces": b"   ",
        "deep nesting": DEEP.encode(),
        "unfinished nesting": b'{"a":' * 100_000,
        "comment": b"/**/" + text,
        "trailing comma": text[:-1] + b",}",
    }


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
async def test_a_body_in_which_any_object_has_a_field_twice_is_refused(world: World, operation: Operation) -> None:
    request = request_for(operation, world.ids) | {"headers": JSON}
    whole = request.pop("json")
    for variant in twofold(whole):
        again = request | {"content": json.dumps(variant).replace(TWIN, "").encode()}
        response = await survives(world.owner, operation, again, "a field twice")
        assert (response.status_code, response.json()["code"]) == (422, "validation_failed"), (again, response.text)


def twofold(value: object) -> Iterator[object]:
    """The same JSON once for each member in it, with that member twice once the mark is taken from its name."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield value | {name + TWIN: held}
            for variant in twofold(held):
                yield value | {name: variant}
    elif isinstance(value, list):
        for index, held in enumerate(value):
            for variant in twofold(held):
                yield [*value[:index], variant, *value[index + 1 :]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"title": "one", "title": "two"}', "/title"),
        ('{"title": "one", "\\u0074itle": "one"}', "/title"),
        ('{"title": "one", "custom": {"a": [1, {"b": {"ä": 1, "c": 2, "\\u00e4": null}}]}}', "/custom/a/1/b/ä"),
        ('{"title": "one", "custom": {"": 1, "": 1}}', "/custom/"),
    ],
)
async def test_a_field_that_is_there_twice_is_named(world: World, body: str, pointer: str) -> None:
    response = await world.owner.send("POST", "/tasks", content=body.encode(), headers=JSON)
    said = response.json()
    assert (response.status_code, said["code"], said["errors"][0]["pointer"]) == (422, "validation_failed", pointer)
    assert f"`{pointer.rpartition('/')[2]}`" in said["detail"]


async def test_the_same_field_in_different_objects_is_there_once(world: World) -> None:
    custom = {"a": {"a": [{"a": 1}, {"a": 1.5}]}, "title": "x", "A": 1, "a\u0308": 1, "ä": 2}
    for body in ({"title": "x", "custom": custom}, {"title": "x", "custom": {"a": -(2**63), "b": 1e308}}):
        assert (await world.owner.post("/tasks", body)).status_code == 201


PARAMETERS = {
    "list_tasks": "workspace_id status priority assignee label "
    "created_by due_before due_after overdue q key archived sort limit cursor",
    "list_events": "channel type resource_id actor after before sort cursor limit",
    "stream_events": "channel",  # of which every value is refused, so that no stream begins
    "list_workspaces": "cursor limit",
    "list_members": "cursor limit",
    "list_comments": "cursor limit",
    "task_history": "cursor limit",
    "list_rooms": "workspace_id closed cursor limit",
    "list_notifications": "unread cursor limit",
    "remove_participant": "ban",
    "room_history": "cursor limit",
    "list_messages": "cursor limit",
}
IN_URL = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%c0%af",
    "%e2%80%ae",
    "",
    "%20%20",
    "a%0d%0aX:%20b",
    "'%20OR%201=1--",
    "null",
]
IN_URL += [
    "NaN",
    "Infinity",
    "1e400",
    "-1",
    "0",
    "201",
    str(2**31),
    str(2**63),
    str(2**64),
    "9" * 5_000,
    "007",
    "1.5",
    "true",
]
IN_URL += ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z"]
IN_URL += [
    "2026-02-30T00:00:00Z",
    "2026-02-03T00:00:00",
    "2026-02-03",
    "1770000000",
    "-99999999999999",
    "%28%5b%7b",
    "%5c",
]
IN_URL += [
    "%26%7c%21%28%29%3a*%27",
    "%25",
    "*",
    "task.*",
    "%2a%2a",
    "x" * 3_000,
    quote("\u0301" * 300),
    quote("İıſß" * 20),
]
IN_URL += [
    "workspace:",
    "workspace:x",
    "task:00000000-0000-0000-0000-000000000000",
    "me:me",
    "ME",
    "me%00",
    "00000000" * 4,
]


@pytest.mark.parametrize("name", PARAMETERS)
async def test_a_query_with_a_hostile_value_is_answered(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    request = request_for(operation, world.ids)
    request.pop("params", None)
    path = request.pop("path")
    for parameter in PARAMETERS[name].split():
        for value in IN_URL:
            for query in (f"{parameter}={value}", f"{parameter}={value}&{parameter}=x"):
                await survives(world.owner, operation, request | {"path": f"{path}?{query}"}, query[:80])


def test_every_query_parameter_is_tried() -> None:
    described = document(in_memory().litestar())["paths"]
    for operation in OPERATIONS.values():
        known = described[API + operation.path][operation.method.lower()]["parameters"]
        found = [parameter["name"] for parameter in known if parameter["in"] == "query"]
        if operation.name == "stream_events":
            found.remove("last_event_id")  # with a good one a stream begins; its bad ones have a test of their own
        assert sorted(found) == sorted(PARAMETERS.get(operation.name, "").split()), operation.name


async def test_a_path_with_a_hostile_value_is_answered(world: World) -> None:
    for operation in OPERATIONS.values():
        request = request_for(operation, world.ids)
        for id in world.ids.values():
            for value in IN_URL if id in request["path"] else ():
                path = request["path"].replace(id, value)
                await survives(world.owner, operation, request | {"path": path}, path[:120])


IN_HEADERS = [b"\xff", b"\x01", "ü".encode(), b"x" * 2_000, b'"' * 99, b"*", b"W/", b"-1", b"9" * 400, b'"1",' * 99]
IN_HEADERS += [b"", b",", b"null", b"NaN", b"\xed\xa0\x80", b"Bearer", b"a=b; c", b"0" * 33]
HEADERS = ["If-Match", "If-None-Match", "Idempotency-Key", "Accept-Encoding", "Accept", "Cookie", "User-Agent", "Range"]
HEADERS += [
    "Last-Event-ID",
    "Origin",
    "traceparent",
    "X-Request-Id",
    "Sec-Fetch-Site",
    "X-Forwarded-For",
    "Expect",
    "TE",
]

# What would log the stranger out, or let them in.
ALTERING = {"log_out_everywhere", "change_password", "delete_me", "accept_invitation"}


async def test_hostile_headers_are_answered(world: World) -> None:
    for operation in OPERATIONS.values():
        request = request_for(operation, world.ids)
        for value in IN_HEADERS if operation.name not in ALTERING else ():
            headers = dict.fromkeys(HEADERS, value)
            # A stranger, so that nothing changes from one value to the next.
            await survives(world.people["stranger"], operation, request | {"headers": headers}, repr(value))


@pytest.mark.parametrize("name", ["read_task", "edit_task", "list_tasks", "refresh"])
async def test_each_hostile_header_is_answered(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    request = request_for(operation, world.ids)
    for header in HEADERS:
        for value in IN_HEADERS:
            await survives(world.owner, operation, request | {"headers": {header: value}}, f"{header}: {value!r}")


async def test_text_that_is_accepted_comes_back_as_it_was(world: World) -> None:
    for name, value in VALUES.items():
        if name in NOWHERE or not value.startswith('"'):
            continue
        body = f'{{"title": "x", "description": {value}}}'.encode()
        response = await world.owner.send("POST", "/tasks", content=body, headers=JSON)
        if response.is_success:
            kept = (await world.owner.get(f"/tasks/{response.json()['id']}")).json()["description"]
            assert kept == json.loads(value).strip(), name
