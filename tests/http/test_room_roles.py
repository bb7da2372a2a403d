"""The role matrix of a room: every operation, tried by everybody who can be in it."""

from itertools import product

import httpx
import pytest

from tests.http.operations import OPERATIONS, a_world, request_for
from tests.http.test_problems import problem
from tests.support.clients import API, Json, Person, done, sign_up

# From the least powerful to the most.
RANKS = ["guest", "member", "moderator", "host"]
# The least role that may do it, with what the answer names to somebody who has less. All is done to the host's things.
LEAST: dict[str, tuple[str, str | None]] = {
    "read_room": ("guest", None),
    "change_room": ("host", "room:own"),
    "close_room": ("host", "room:own"),
    "leave_room": ("guest", None),
    "extend_room": ("host", "room:own"),
    "transfer_room": ("host", "room:own"),
    "invite_to_room": ("moderator", "room:moderate"),
    "change_participant": ("host", "room:own"),
    "remove_participant": ("moderator", "room:moderate"),
    "control_room": ("member", "room:control"),
    "read_state": ("guest", None),
    "report_player": ("guest", None),
    "room_history": ("guest", None),
    "read_queue": ("guest", None),
    "change_queue": ("moderator", "room:arrange"),
    "add_item": ("guest", None),
    "add_items": ("guest", None),
    "vote_skip": ("guest", None),
    "edit_item": ("moderator", "room:arrange"),
    "remove_item": ("moderator", "room:arrange"),
    "move_item": ("moderator", "room:arrange"),
    "vote_item": ("guest", None),
    "unvote_item": ("guest", None),
    "list_messages": ("guest", None),
    "say": ("guest", None),
    "delete_message": ("moderator", "room:moderate"),
}
# Not for those who are in a room.
OUTSIDE = {"open_room", "list_rooms", "enter_room", "join_room"}
# What asks for more than the two scopes of a guest is refused before its role is asked for.
BEYOND_GUESTS = {
    "change_room",
    "close_room",
    "extend_room",
    "transfer_room",
    "invite_to_room",
    "change_participant",
    "remove_participant",
}


def test_the_matrix_has_every_operation_of_rooms() -> None:
    assert LEAST.keys() | OUTSIDE == {name for name, of in OPERATIONS.items() if of.path.startswith("/rooms")}


@pytest.mark.parametrize(("name", "role"), list(product(LEAST, RANKS)))
async def test_a_role_may_do_what_the_matrix_says_and_nothing_else(
    http: httpx.AsyncClient, name: str, role: str
) -> None:
    # A moderator from elsewhere may ask in whom the workspace of the room knows.
    world = await a_world(http, room_is_of_team=name == "invite_to_room")
    least, permission = LEAST[name]
    caller = await somebody(world.owner, f"/rooms/{world.ids['rooms']}", role)
    answer = await caller.send(**request_for(OPERATIONS[name], world.ids))
    if RANKS.index(role) >= RANKS.index(least):
        done(answer)
    elif role == "guest" and name in BEYOND_GUESTS:
        problem(answer, 403, "scope_missing")
    else:
        assert problem(answer, 403, "permission_denied")["required_permission"] == permission


async def somebody(host: Person, room: str, role: str) -> Person:
    """Who has this role in the room."""
    if role == "host":
        return host
    code: Json = {"join_code": done(await host.patch(room, {"allow_guests": True}))["join_code"]}
    if role == "guest":
        joined = done(await host.http.post(f"{API}/rooms/join", json=code | {"display_name": "Grace"}))
        return Person(host.http, joined["participant"]["account_id"], "", joined["guest"]["access_token"], "")
    other = await sign_up(host.http, role.title())
    joined = done(await other.post("/rooms/join", code))
    done(await host.patch(f"{room}/participants/{joined['participant']['id']}", {"role": role}))
    return other
