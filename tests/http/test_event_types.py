"""The catalogue of events says of each event what it can hold, and the journal holds nothing else."""

from collections import defaultdict

import httpx

from tests.http.operations import OPERATIONS, a_world, request_for
from tests.support.clients import Json, Person, done

# These are of somebody else, or after them there would be nobody to ask or nothing to ask about.
LEFT_OUT = {"register", "log_in", "refresh", "log_out", "log_out_everywhere", "change_password", "end_session"} | {
    "delete_workspace",
    "delete_me",
}
LAST = ["delete_comment", "delete_task", "withdraw_invitation", "change_member", "remove_member", "transfer_workspace"]


async def test_anybody_who_is_signed_in_can_read_the_catalogue(http: httpx.AsyncClient, ada: Person) -> None:
    found = done(await ada.get("/event-types"))
    types = {kind["type"]: kind for kind in found["data"]}

    assert found["next_cursor"] is None
    assert types["member.role_changed"] == {
        "type": "member.role_changed",
        "version": 1,
        "stream": "workspace",
        "resource": "workspace",
        "description": "A member got another role.",
        "changes": ["role"],
        "data": {"account_id": "The account of the member."},
    }
    assert (await http.get("/api/asyncapi.json")).json()["x-event-types"] == types
    assert (await http.get("/api/v1/event-types")).status_code == 401


async def test_events_hold_what_the_catalogue_says_and_nothing_else(http: httpx.AsyncClient) -> None:
    world = await a_world(http)
    owner, ids = world.owner, world.ids
    types = {kind["type"]: kind for kind in done(await owner.get("/event-types"))["data"]}
    ordered = sorted(OPERATIONS.values(), key=lambda o: LAST.index(o.name) if o.name in LAST else -1)
    for operation in ordered:
        if operation.method != "GET" and operation.name not in LEFT_OUT:
            actor = world.people["stranger"] if operation.name == "accept_invitation" else owner
            await actor.send(**request_for(operation, ids))
    seen: dict[str, Json] = defaultdict(dict)
    for event in [*await owner.events(f"workspace:{ids['workspaces']}"), *await owner.events("me")]:
        kind = types[event["type"]]
        assert event["version"] == kind["version"]
        assert event["resource"]["type"] == kind["resource"]
        assert event["stream"].startswith(kind["stream"] + ":")
        assert set(event["changes"]) <= set(kind["changes"]), event
        assert set(event["data"]) <= set(kind["data"]), event
        seen[event["type"]] = event["data"]

    assert len(seen) > 20
    assert set(seen["task.created"]) == set(types["task.created"]["data"])
