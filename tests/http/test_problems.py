"""Every refusal is an RFC 9457 problem that says what is wrong, and nothing about how this is built."""

import re
from uuid import uuid4

import httpx
import pytest
from dependency_injector import providers
from litestar.routes import HTTPRoute

from application.ports.tasks import TaskView
from domain.ids import AccountId, TaskId
from entrypoints.container import Container
from tests.http.house import house_in_memory, visited
from tests.support.clients import API, Json, Person, done, sign_up

TASK = "/tasks/0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """The problem in a response that has to be this one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    said: Json = response.json()
    assert said["code"] == code
    assert said["status"] == status
    assert said["type"] == f"/problems/{code}"
    assert said["request_id"] == response.headers["x-request-id"]
    assert {"title", "detail", "trace_id", "errors"} <= set(said)
    return said


async def test_what_does_not_exist_is_a_404_problem(ada: Person) -> None:
    problem(await ada.get(f"/tasks/{uuid4()}"), 404, "not_found")
    problem(await ada.get("/nothing/here"), 404, "not_found")
    problem(await ada.http.get("/nothing/here"), 404, "not_found")
    problem(await ada.get("/tasks/no-id-at-all"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/tasks", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", TASK, {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("DELETE", "/tasks/bulk", {"POST", "OPTIONS"}),
        ("GET", "/tasks/bulk", {"POST", "OPTIONS"}),
        ("POST", "/events/stream", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/me", {"DELETE", "GET", "HEAD", "PATCH", "OPTIONS"}),
        ("PROPFIND", "/me", {"DELETE", "GET", "HEAD", "PATCH", "OPTIONS"}),
    ],
)
async def test_a_method_that_a_route_lacks_is_a_405_problem_that_names_those_it_has(
    ada: Person, method: str, path: str, allowed: set[str]
) -> None:
    response = await ada.send(method, path)

    problem(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].split(", ")) == allowed


async def test_every_route_names_its_methods(house: Container, ada: Person) -> None:
    for route in house.litestar().routes:
        if isinstance(route, HTTPRoute) and route.path_format.startswith(API):
            path = re.sub(r"{\w+}", str(uuid4()), route.path_format.removeprefix(API))
            for method, status in (("LOCK", 405), ("OPTIONS", 204)):
                response = await ada.send(method, path)
                assert response.status_code == status, path
                head = {"HEAD"} if "GET" in route.methods else set()
                assert set(response.headers["allow"].split(", ")) == route.methods | head, path


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
async def test_a_body_that_no_preflight_would_guard_is_a_415_problem(ada: Person, kind: str) -> None:
    response = await ada.send("POST", "/tasks", content=b'{"title": "x"}', headers={"Content-Type": kind})

    problem(response, 415, "unsupported_media_type")


async def test_a_body_without_a_content_type_is_a_415_problem(ada: Person) -> None:
    problem(await ada.send("POST", "/tasks", content=b'{"title": "x"}'), 415, "unsupported_media_type")


async def test_a_compressed_body_is_a_415_problem(ada: Person) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await ada.send("POST", "/tasks", content=b"\x1f\x8b", headers=headers)

    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/tasks", "/me/password", "/workspaces", "/invitations/accept", "/tasks/bulk"])
async def test_a_missing_body_is_a_problem(ada: Person, path: str) -> None:
    response = await ada.post(path)

    assert response.status_code in {400, 422}, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"nothing", b'{"title": "\xff"}', b'{"title": "x"} {}'])
async def test_a_body_that_is_no_json_is_a_400_problem(ada: Person, body: bytes) -> None:
    response = await ada.send("POST", "/tasks", content=body, headers={"Content-Type": "application/json"})

    problem(response, 400, "malformed")


async def test_an_unknown_field_is_a_422_problem_that_points_to_it(ada: Person) -> None:
    said = problem(await ada.post("/tasks", {"title": "x", "titel": "y"}), 422, "validation_failed")
    assert "titel" in said["detail"]

    nested = {"operations": [{"op": "create", "task": {"title": "x", "version": 4}}]}
    said = problem(await ada.post("/tasks/bulk", nested), 422, "validation_failed")
    assert said["errors"][0]["pointer"] == "/operations/0/task/version"


async def test_half_a_character_is_refused_with_a_pointer_to_its_field(ada: Person) -> None:
    body = b'{"title": "\\ud83c"}'
    response = await ada.send("POST", "/tasks", content=body, headers={"Content-Type": "application/json"})
    assert problem(response, 400, "malformed")["errors"][0]["pointer"] == "/title"


async def test_a_byte_order_mark_before_a_body_is_no_part_of_it(ada: Person) -> None:
    body = b'\xef\xbb\xbf{"title": "marked"}'
    response = await ada.send("POST", "/tasks", content=body, headers={"Content-Type": "application/json"})
    assert done(response)["title"] == "marked"


async def test_an_operation_of_another_shape_fails_alone_in_a_partial_bulk(ada: Person) -> None:
    good = {"op": "create", "task": {"title": "good"}}
    bad = [{"op": "create", "task": {"titel": "x"}}, {"op": "dance"}, 7, {"op": "create", "task": {"title": " "}}]
    report = done(await ada.post("/tasks/bulk", {"operations": [good, *bad, good], "mode": "partial"}))
    assert report["failed"] == 4
    assert [result["error"] and result["error"]["pointer"] for result in report["results"]] == [
        None,
        "/operations/1/task/titel",
        "/operations/2/op",
        "/operations/3",
        "/operations/4/task/title",
        None,
    ]
    refused = problem(await ada.post("/tasks/bulk", {"operations": [good, *bad]}), 422, "validation_failed")
    assert refused["errors"][0]["pointer"] == "/operations/1/task/titel"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": 5}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": "   "}, "/title"),
        ({"title": "x", "labels": ["a", 5]}, "/labels/1"),
        ({"title": "x", "estimate_minutes": -1}, "/estimate_minutes"),
        ({"title": "x", "due_at": "tomorrow"}, "/due_at"),
        ({"title": "x", "due_at": "2026-01-05T09:00:00"}, "/due_at"),
        ({"title": "x", "assignee_ids": ["0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"]}, "/assignee_ids/0"),
    ],
)
async def test_a_422_points_to_the_field_that_is_wrong(ada: Person, body: Json, pointer: str) -> None:
    response = await ada.post("/tasks", body)

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/tasks?nothing=x", "nothing"),
        ("/tasks?limit=0", "limit"),
        ("/tasks?cursor=x", "cursor"),
        ("/tasks?assignee=nobody", "assignee"),
        ("/tasks?due_before=2026-01-05T09:00:00", "due_before"),
        ("/tasks?due_after=2026-01-05T09:00:00", "due_after"),
        ("/events?after=2026-01-05T09:00:00", "after"),
        ("/events?before=2026-01-05T09:00:00", "before"),
    ],
)
async def test_a_refused_parameter_is_pointed_to_with_a_question_mark(ada: Person, path: str, name: str) -> None:
    (error,) = (await ada.get(path)).json()["errors"]

    assert error["pointer"] == f"?{name}"


@pytest.mark.parametrize(
    "query",
    [
        "state=todo",
        "Limit=5",
        "limit=5&access_token=x",
        "data=1",
        "request=1",
        "limit=0",
        "limit=201",
        "limit=x",
        "sort=title",
        "status=open",
        "workspace_id=5",
        "overdue=perhaps",
        "q=%ff",
        "created_by=null",
        "due_before=NULL",
        "limit=1&limit=2",
        "q=a&q=b",
        "cursor=x",
    ],
)
async def test_a_query_that_means_nothing_is_a_400_problem(ada: Person, query: str) -> None:
    response = await ada.get(f"/tasks?{query}")

    said = response.json()
    assert (response.status_code, said["code"]) in {
        (400, "invalid_parameter"),
        (400, "malformed"),
        (400, "invalid_cursor"),
    }
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/tasks?due_before=", "/tasks?due_after=", "/events?after=", "/events?before="])
@pytest.mark.parametrize(
    "instant",
    [
        *(
            "",
            "yesterday",
            "2026",
            "1767600000",
            "2026-01-05",
            "09:00:00Z",
            "2026-13-05T09:00:00Z",
            "2026-02-30T09:00:00Z",
        ),
        *("2026-01-05T09:00:00", "2026-01-05T25:00:00Z", "2026-01-05T09:00:00%2B25:00", "0001-01-01T00:00:00%2B14:00"),
        *("9999-12-31T23:59:59-14:00", "2026-01-05T09:00:00 02:00", "2026-01-05T09:00:00+02:00"),
    ],
)
async def test_a_wrong_instant_is_a_422_problem(ada: Person, path: str, instant: str) -> None:
    refused = problem(await ada.get(path + instant), 422, "validation_failed")

    (error,) = refused["errors"]
    assert error["pointer"] == "?" + path.partition("?")[2].removesuffix("=")
    assert ("%2B" in error["message"]) == (instant[-6:] in {" 02:00", "+02:00"})


@pytest.mark.parametrize("instant", ["2026-01-05T09:00:00Z", "2026-01-05T09:00:00%2B02:00", "2026-01-05t09:00:00.5z"])
async def test_an_instant_says_its_offset(ada: Person, instant: str) -> None:
    for name in ("due_before", "due_after"):
        assert (await ada.get(f"/tasks?{name}={instant}")).status_code == 200


async def test_a_read_only_field_is_refused_and_changes_nothing(ada: Person) -> None:
    task = await ada.open_task()
    fields = {"id": str(uuid4()), "version": 9, "created_by": str(uuid4()), "created_at": "2020-01-01T00:00:00Z"}
    fields |= {"workspace_id": str(uuid4()), "watchers": [], "completed_at": None}
    for name, value in fields.items():
        response = await ada.patch(f"/tasks/{task['id']}", {"title": "changed", name: value})
        problem(response, 422, "validation_failed")
    for name, value in {"role": "admin", "email": "else@example.org", "id": str(uuid4())}.items():
        problem(await ada.patch("/me", {"display_name": "Changed", name: value}), 422, "validation_failed")

    assert (await ada.get(f"/tasks/{task['id']}")).json() == task
    assert (await ada.get("/me")).json()["display_name"] == "Ada"


class BrokenQueries:
    """Task queries with a mistake in them."""

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        raise ZeroDivisionError("SELECT secret FROM /home/somebody/tasks.py")


async def test_a_mistake_of_ours_is_a_500_problem_that_says_nothing_but_its_request_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = house_in_memory(task_queries=providers.Singleton(BrokenQueries))
    async with visited(house) as http:
        ada = await sign_up(http)
        response = await ada.get(TASK, headers={"X-Request-Id": "find-me-again"})

    said = problem(response, 500, "internal_error")
    assert said["request_id"] == "find-me-again"
    for secret in ("SELECT", "somebody", "ZeroDivision", "Traceback", ".py"):
        assert secret not in response.text
    (record,) = [record for record in caplog.records if record.exc_info is not None]
    assert "nobody expected" in record.getMessage()


async def test_a_mistake_is_not_remembered_under_its_idempotency_key() -> None:
    house = house_in_memory(task_queries=providers.Singleton(BrokenQueries))
    async with visited(house) as http:
        ada = await sign_up(http)
        task = await ada.open_task()
        first = await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "k", "X-Request-Id": "a"})
        again = await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "k", "X-Request-Id": "b"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert task["id"] != first.json()["id"] == again.json()["id"]
