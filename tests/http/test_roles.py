"""The role matrix: every operation in a workspace, tried by everybody who can be in it, or is not."""

from itertools import product

import httpx
import pytest

from tests.http.operations import OPERATIONS, a_world, request_for
from tests.http.test_problems import problem
from tests.http.test_strangers import FOREIGN
from tests.support.clients import done

# From the least powerful to the most.
RANKS = ["stranger", "viewer", "member", "admin", "owner"]
# The least role that may do it, with what the answer names to whoever has less. All is done to the owner's things.
LEAST: dict[str, tuple[str, str | None]] = {
    "read_workspace": ("viewer", None),
    "change_workspace": ("admin", "workspace:write"),
    "delete_workspace": ("owner", "workspace:own"),
    "transfer_workspace": ("owner", "workspace:own"),
    "workspace_usage": ("viewer", None),
    "list_members": ("viewer", None),
    "change_member": ("admin", "members:write"),
    "remove_member": ("admin", "members:write"),
    "list_invitations": ("admin", "members:write"),
    "invite": ("admin", "members:write"),
    "withdraw_invitation": ("admin", "members:write"),
    "list_tasks": ("viewer", None),
    "open_room": ("member", "rooms:write"),
    "open_task": ("member", "tasks:write"),
    "bulk": ("admin", "tasks:delete"),
    "read_task": ("viewer", None),
    "edit_task": ("member", "tasks:write"),
    "delete_task": ("admin", "tasks:delete"),
    "restore_task": ("admin", "tasks:delete"),
    "archive_task": ("member", "tasks:write"),
    "unarchive_task": ("member", "tasks:write"),
    "claim_task": ("member", "tasks:write"),
    "assign_task": ("member", "tasks:write"),
    "unassign_task": ("member", "tasks:write"),
    "watch_task": ("viewer", None),
    "unwatch_task": ("viewer", None),
    "list_comments": ("viewer", None),
    "comment": ("member", "tasks:comment"),
    "edit_comment": ("owner", None),  # who wrote it
    "delete_comment": ("admin", "tasks:delete"),
    "list_events": ("viewer", None),
    "task_history": ("viewer", None),
}
# Not about a workspace, or an answer without an end, which the tests of live connections read.
ELSEWHERE = {
    "end_session",
    "stream_events",
    "rename_passkey",
    "remove_passkey",
    "mark_notification",
    "delete_notification",
}


def test_the_matrix_has_every_operation_on_a_workspace() -> None:
    in_rooms = {operation.name for operation in FOREIGN if operation.path.startswith("/rooms/")}
    assert set(LEAST) | ELSEWHERE | in_rooms == {operation.name for operation in FOREIGN}


@pytest.mark.parametrize(("name", "role"), list(product(LEAST, RANKS)))
async def test_a_role_may_do_what_the_matrix_says_and_nothing_else(
    http: httpx.AsyncClient, name: str, role: str
) -> None:
    world = await a_world(http)
    least, permission = LEAST[name]
    channel = f"workspace:{world.ids['workspaces']}"
    before = await world.owner.events(channel)
    response = await world.people[role].send(**request_for(OPERATIONS[name], world.ids))

    if RANKS.index(role) >= RANKS.index(least):
        assert response.is_success, response.text
        return
    if role == "stranger":
        problem(response, 404, "not_found")
    else:
        said = problem(response, 403, "permission_denied")
        missing = said.get("required_permission")
        # A viewer lacks what comes first, where an operation needs more than one thing.
        assert missing == permission or (role == "viewer" and missing in {"tasks:write", "tasks:comment"}), said
    assert await world.owner.events(channel) == before


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_whoever_made_something_may_take_it_back_as_long_as_they_can_write(
    http: httpx.AsyncClient, role: str
) -> None:
    world = await a_world(http)
    person, team = world.people["member"], world.ids["workspaces"]
    task = (await person.open_task(workspace_id=team))["id"]
    comment = done(await person.post(f"/tasks/{task}/comments", {"text": "mine"}))["id"]
    done(await world.owner.patch(f"/workspaces/{team}/members/{person.id}", {"role": role}))
    answers = [
        await person.patch(f"/tasks/{task}/comments/{comment}", {"text": "mine, better"}),
        await person.delete(f"/tasks/{task}/comments/{comment}"),
        await person.delete(f"/tasks/{task}"),
    ]

    assert [answer.status_code for answer in answers] == ([200, 204, 204] if role == "member" else [403] * 3)


async def test_viewers_comment_where_the_workspace_says_so(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    viewer, path = world.people["viewer"], f"/tasks/{world.ids['tasks']}/comments"
    problem(await viewer.post(path, {"text": "may I?"}), 403, "permission_denied")
    done(await world.owner.patch(f"/workspaces/{world.ids['workspaces']}", {"viewers_comment": True}))

    done(await viewer.post(path, {"text": "I may."}))
    problem(await viewer.patch(f"/tasks/{world.ids['tasks']}", {"title": "x"}), 403, "permission_denied")


@pytest.mark.parametrize(("by", "of"), list(product(["owner", "admin"], ["owner", "admin", "member", "viewer"])))
@pytest.mark.parametrize("to", ["owner", "admin", "member", "viewer", None])
async def test_only_an_owner_lifts_somebody_to_their_own_rank_or_touches_an_equal(
    http: httpx.AsyncClient, by: str, of: str, to: str | None
) -> None:
    world = await a_world(http)
    team, somebody = world.ids["workspaces"], world.people["dan"]
    done(await world.owner.patch(f"/workspaces/{team}/members/{somebody.id}", {"role": of}))
    path = f"/workspaces/{team}/members/{somebody.id}"
    actor = world.people[by]
    response = await (actor.delete(path) if to is None else actor.patch(path, {"role": to}))

    is_allowed = by == "owner" or not {of, to} & {"owner", "admin"}
    assert response.status_code == (204 if is_allowed else 403), response.text


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
async def test_nobody_invites_above_their_own_rank(http: httpx.AsyncClient, role: str) -> None:
    world = await a_world(http)
    path = f"/workspaces/{world.ids['workspaces']}/invitations"

    assert (await world.owner.post(path, {"role": role})).status_code == 201
    by_admin = await world.people["admin"].post(path, {"role": role})
    assert by_admin.status_code == (201 if role in {"member", "viewer"} else 403)


async def test_a_workspace_keeps_an_owner_whatever_is_tried(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    team, owner = world.ids["workspaces"], world.owner
    path = f"/workspaces/{team}/members/{owner.id}"
    problem(await owner.delete(path), 409, "sole_owner")
    problem(await owner.patch(path, {"role": "admin"}), 409, "sole_owner")
    done(await owner.post(f"/workspaces/{team}/transfer", {"account_id": world.people["admin"].id}))

    problem(await owner.delete(f"/workspaces/{team}"), 403, "permission_denied")
    assert (await owner.delete(path)).status_code == 204


async def test_a_personal_workspace_is_nobody_elses_and_stays(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    owner = world.owner
    for method, path, body in (
        ("POST", f"/workspaces/{owner.id}/invitations", {}),
        ("DELETE", f"/workspaces/{owner.id}", None),
        ("DELETE", f"/workspaces/{owner.id}/members/{owner.id}", None),
    ):
        response = await owner.send(method, path, json=body)
        assert response.status_code == 409, (path, response.text)
    assert (await world.people["admin"].get(f"/workspaces/{owner.id}")).status_code == 404
