"""What somebody may not see answers like what does not exist, on every route that the router has."""

import httpx
import pytest
from litestar.routes import HTTPRoute, WebSocketRoute

from entrypoints.container import Container
from tests.http.operations import OPERATIONS, PUBLIC, Operation, a_world, absent, operations_of, request_for
from tests.support.clients import API, Json, Person

# Operations in which nothing can be named that belongs to somebody else. Any other one is walked by a stranger below,
# with a request out of `operations.py`, so a new route is walked too or fails here until somebody decides.
ABOUT_ONESELF = {
    "register", "log_in", "refresh", "log_out", "log_out_everywhere", "list_sessions", "read_me", "change_me",
    "change_password", "delete_me", "restore_me", "export_me", "list_exports", "fetch_export",
    "list_workspaces", "create_workspace", "issue_ticket",
    "list_event_types",
    "read_factors", "begin_totp", "confirm_totp", "remove_totp", "renew_recovery_codes", "ask_for_passkey",
    "add_passkey", "verify_factor", "ask_for_any_passkey", "log_in_with_passkey",
    "list_rooms", "list_notifications", "count_unread", "read_all", "read_preferences", "change_preferences",
    "verify_email", "resend_email", "forgot_password", "reset_password", "change_email",
}  # fmt: skip
# Whoever has the secret of an invitation or of a room may come in; one who has a wrong secret is told so by this.
BY_SECRET = {"accept_invitation", "enter_room"}

FOREIGN = [operation for operation in OPERATIONS.values() if operation.name not in ABOUT_ONESELF | BY_SECRET]


def seen(response: httpx.Response) -> tuple[int, Json]:
    """An answer without what differs from one request to the next."""
    return response.status_code, {k: v for k, v in response.json().items() if k not in {"request_id", "trace_id"}}


async def ask(person: Person, operation: Operation, ids: dict[str, str]) -> httpx.Response:
    return await person.send(**request_for(operation, ids))


@pytest.mark.parametrize("operation", FOREIGN, ids=str)
async def test_a_stranger_with_the_owners_ids_gets_exactly_the_404_of_an_absent_thing(
    http: httpx.AsyncClient, operation: Operation
) -> None:
    world = await a_world(http)
    stranger = world.people["stranger"]
    before = [await world.owner.events(channel) for channel in ("me", f"workspace:{world.ids['workspaces']}")]

    foreign = await ask(stranger, operation, dict(world.ids))
    nowhere = await ask(stranger, operation, dict(absent(world.ids)))
    assert seen(foreign) == seen(nowhere)
    assert foreign.status_code == 404
    assert foreign.headers.get("etag") is None
    assert [await world.owner.events(channel) for channel in ("me", f"workspace:{world.ids['workspaces']}")] == before

    if operation.name != "stream_events":  # which would not end
        assert (await ask(world.owner, operation, dict(world.ids))).is_success, "the request itself is wrong"


@pytest.mark.parametrize("operation", FOREIGN, ids=str)
async def test_a_stranger_who_guesses_a_version_learns_nothing(http: httpx.AsyncClient, operation: Operation) -> None:
    world = await a_world(http)
    for header in ("If-Match", "If-None-Match"):
        for tag in ('"1"', '"99"', "*"):
            request = request_for(operation, world.ids)
            response = await world.people["stranger"].send(**request, headers={header: tag})
            assert response.status_code == 404, (header, tag)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=str)
async def test_nobody_gets_in_without_a_token_unless_the_route_is_public(
    http: httpx.AsyncClient, operation: Operation
) -> None:
    path = API + operation.path.replace("{", "").replace("}", "")
    response = await http.request(operation.method, path)

    assert (response.status_code == 401 and response.json()["code"] == "token_missing") == (path not in PUBLIC)


async def test_a_secret_that_opens_nothing_is_a_404(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    for token in (absent(world.ids)["token"], world.ids["invitations"], "x" * 43):
        response = await world.people["stranger"].post("/invitations/accept", {"token": token})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_ids_of_one_workspace_open_nothing_in_another(http: httpx.AsyncClient) -> None:
    """The stranger has a team of their own, so only the second id of each path is foreign."""
    world = await a_world(http)
    stranger = world.people["stranger"]
    team = (await stranger.create_team())["id"]
    task = (await stranger.open_task(workspace_id=team))["id"]
    for method, path, body in (
        ("DELETE", f"/workspaces/{team}/invitations/{world.ids['invitations']}", None),
        ("PATCH", f"/workspaces/{team}/members/{world.owner.id}", {"role": "viewer"}),
        ("DELETE", f"/workspaces/{team}/members/{world.owner.id}", None),
        ("POST", f"/workspaces/{team}/transfer", {"account_id": world.owner.id}),
        ("PATCH", f"/tasks/{task}/comments/{world.ids['comments']}", {"text": "mine now"}),
        ("DELETE", f"/tasks/{task}/comments/{world.ids['comments']}", None),
    ):
        assert (await stranger.send(method, path, json=body)).status_code == 404, path
    for method, path, body in (
        ("PUT", f"/tasks/{task}/assignees/{world.owner.id}", None),
        ("POST", "/tasks", {"title": "x", "workspace_id": team, "assignee_ids": [world.owner.id]}),
    ):
        response = await stranger.send(method, path, json=body)
        assert (response.status_code, response.json()["code"]) == (422, "not_a_member"), path


async def test_a_partial_bulk_tells_a_stranger_nothing_either(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    stranger, results = world.people["stranger"], []
    for ids in (world.ids, absent(world.ids)):
        operations = [
            {"op": "update", "id": ids["tasks"], "patch": {"title": "x"}, "version": 1},
            {"op": "delete", "id": ids["doomed"]},
            {"op": "create", "task": {"title": "x", "workspace_id": ids["workspaces"]}},
        ]
        results.append((await stranger.post("/tasks/bulk", {"mode": "partial", "operations": operations})).json())

    assert results[0] == results[1]
    assert {result["error"]["code"] for result in results[0]["results"]} == {"not_found"}


async def test_a_foreign_cursor_shows_nothing_foreign(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    team, stranger = world.ids["workspaces"], world.people["stranger"]
    for path, query in (
        ("/tasks", {"workspace_id": team}),
        ("/events", {"channel": f"workspace:{team}"}),
        (f"/workspaces/{team}/members", {}),
    ):
        page = (await world.owner.get(path, params=query | {"limit": "1"})).json()
        cursor = {"limit": "1", "cursor": page["next_cursor"]}
        assert (await stranger.get(path, params=query | cursor)).status_code == 404
        assert (await stranger.get(path, params=cursor)).status_code in {400, 404}


async def test_who_was_removed_is_a_stranger_at_once(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    viewer, team = world.people["viewer"], world.ids["workspaces"]
    await world.owner.delete(f"/workspaces/{team}/members/{viewer.id}")

    for operation in FOREIGN:
        response = await ask(viewer, operation, dict(world.ids))
        assert response.status_code == 404, operation.name


def test_every_route_is_known_to_the_walk(house: Container) -> None:
    walked = {operation.name for operation in FOREIGN}
    found = operations_of(house.litestar())

    assert set(found) == walked | ABOUT_ONESELF | BY_SECRET
    assert set(found) >= ABOUT_ONESELF | BY_SECRET, "an exception without a route"


def test_every_socket_is_known_to_the_tests_of_live_connections(house: Container) -> None:
    sockets = {route.path_format for route in house.litestar().routes if isinstance(route, WebSocketRoute)}

    assert sockets == {f"{API}/ws"}


def test_no_two_operations_share_a_name(house: Container) -> None:
    names = [
        handler.fn.__name__
        for route in house.litestar().routes
        if isinstance(route, HTTPRoute) and route.path_format.startswith(API)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]

    assert sorted(names) == sorted(set(names))
