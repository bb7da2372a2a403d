"""Every operation of the router, found in the router, and a good request for each of them."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from litestar import Litestar
from litestar.routes import HTTPRoute

from adapters.memory.system import MovableClock
from application.notifications import UNSUBSCRIBE
from entrypoints.container import in_memory
from entrypoints.http.browser import MODULES
from tests.support.authenticators import a_passkey, an_attestation, code_of
from tests.support.clients import API, PASSWORD, PATIENCE_SECONDS, Json, Person, done, sign_up

Ids = Mapping[str, str]

# What everybody may call, and what is no part of the published contract: what is for operators, the documentation, and
# the live connection, for which OpenAPI has no words. A new route is none of it until it is named here too.
PUBLIC = {
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/auth/mfa/verify",
    "/api/v1/auth/passkeys/options",
    "/api/v1/auth/passkeys/login",
    "/api/v1/auth/email/verify",
    "/api/v1/auth/email/resend",
    "/api/v1/auth/password/forgot",
    "/api/v1/auth/password/reset",
    "/api/v1/rooms/join",
    UNSUBSCRIBE,
    "/api/docs",
    "/api/docs/start.js",
    "/api/docs/swagger_bundle.js",
    "/api/docs/swagger_style.css",
    "/api/openapi.json",
    "/api/asyncapi.json",
    *MODULES,
}
INTERNAL = {
    "/live",
    "/ready",
    "/health",
    "/stats",
    "/metrics",
    *MODULES,
    "/api/docs",
    "/api/docs/start.js",
    "/api/docs/swagger_bundle.js",
    "/api/docs/swagger_style.css",
    "/api/openapi.json",
    "/api/asyncapi.json",
    "/api/v1/ws",
    UNSUBSCRIBE,
}

_PARAMETER = re.compile(r"([^/]+)/\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route; `path` has its parameters in braces."""

    name: str
    method: str
    path: str

    def __str__(self) -> str:
        return self.name


def operations_of(app: Litestar) -> dict[str, Operation]:
    """The public operations by name, in the order of the routes."""
    found = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format not in INTERNAL:
            for method, (handler, _) in sorted(route.route_handler_map.items()):
                if method != "OPTIONS":
                    name = handler.fn.__name__
                    found[name] = Operation(name, method, route.path_format.removeprefix(API))
    return found


OPERATIONS: Mapping[str, Operation] = operations_of(in_memory().litestar())


@dataclass(frozen=True, slots=True)
class World:
    """A team with one person of each role and one of everything in it; `ids` names the things by their route."""

    people: Mapping[str, Person]
    ids: Ids = field(default_factory=dict)

    @property
    def owner(self) -> Person:
        return self.people["owner"]


async def a_world(http: Any, *, room_is_of_team: bool = False) -> World:
    """A new world. Its owner made everything, `dan` is one more viewer for others to manage."""
    people = {
        name: await sign_up(http, name.title()) for name in ("owner", "admin", "member", "viewer", "dan", "stranger")
    }
    owner = people["owner"]
    team = (await owner.create_team())["id"]
    for name, role in (("admin", "admin"), ("member", "member"), ("viewer", "viewer"), ("dan", "viewer")):
        await owner.admit(people[name], team, role)
    task, doomed, deleted, archived = [(await owner.open_task(workspace_id=team))["id"] for _ in range(4)]
    done(await owner.delete(f"/tasks/{deleted}"))
    done(await owner.post(f"/tasks/{archived}/archive"))
    done(await people["admin"].post(f"/tasks/{archived}/comments", {"text": "Why is it here?"}))
    comment = done(await owner.post(f"/tasks/{task}/comments", {"text": "Looks good to me."}))["id"]
    invitation = done(await owner.post(f"/workspaces/{team}/invitations", {"max_uses": 9}))
    session = done(await owner.get("/auth/sessions"))["data"][0]["id"]
    home = {"workspace_id": team} if room_is_of_team else {}
    room = done(await owner.post("/rooms", {"name": "Film night"} | home))
    path, join_code = f"/rooms/{room['id']}", room["join_code"]
    guest = done(await people["member"].post("/rooms/join", {"join_code": join_code}))["participant"]["id"]
    playing, item = [done(await owner.post(f"{path}/queue", ITEM))["id"] for _ in range(2)]
    done(await owner.post(f"{path}/control", {"action": "load", "item_id": playing}))
    message = done(await owner.post(f"{path}/messages", {"text": "That was good."}))["id"]
    passkey = await a_passkey(owner)
    codes = iter(passkey["recovery_codes"])
    attestation = await an_attestation(owner, recovery_code=next(codes))
    proof = {"password": PASSWORD, "recovery_code": next(codes)}
    secret = done(await owner.post("/auth/mfa/totp", proof))["secret"]
    return World(
        people,
        {
            "passkeys": passkey["passkey"]["id"],
            "recovery_code": next(codes),
            "attestation": json.dumps(attestation),
            "code": code_of(secret, MovableClock().now()),
            "workspaces": team,
            "members": people["dan"].id,
            "export": str(uuid4()),  # `test_exporting.py` has one
            "assignees": people["member"].id,
            "tasks": task,
            "doomed": doomed,
            "deleted": deleted,
            "archived": archived,
            "comments": comment,
            "invitations": invitation["invitation"]["id"],
            "token": invitation["token"],
            "sessions": session,
            "rooms": room["id"],
            "join_code": join_code,
            "participants": guest,
            "queue": item,
            "messages": message,
            # Of the comment, of the passkey, of the recovery codes, and of two of them that were used; nothing more
            # follows from what was done here.
            "notifications": (await notified(owner, 5))["id"],
        },
    )


async def notified(person: Person, count: int = 1) -> Json:
    """What somebody is told about a comment, as soon as they have so many notifications."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found := done(await person.get("/notifications"))["data"]) < count:
            await asyncio.sleep(0.01)
    about: list[Json] = [each for each in found if each["type"] == "task.commented"]
    return about[0]


def absent(ids: Ids) -> Ids:
    """The same things, none of which exists. A code is no thing, and stays what can be one."""
    return {name: id if name in {"code", "recovery_code"} else str(uuid4()) for name, id in ids.items()}


TIME = "2026-02-03T04:05:06Z"
TASK: Json = {
    "title": "Write the rollout plan",
    "description": "In two steps.",
    "status": "todo",
    "priority": "high",
    "labels": ["release"],
    "due_at": TIME,
    "start_at": "2026-02-01T04:05:06Z",
    "estimate_minutes": 90,
    "custom": {"colour": "red"},
}

# Of these exactly one is given.
PROOF: Json = {"code": None, "recovery_code": None, "passkey": None}
ASSERTION: Json = {
    "id": "lZqFkPzvN1kxQv0",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
        "authenticatorData": "SZYN5YgOjGh0NBcP",
        "signature": "MEUCIQDq",
        "userHandle": "AZXzonxBez6dUj9qHCtNXg",
    },
}
ITEM: Json = {"url": "https://videos.example.org/film.mp4", "title": "The film", "duration_ms": 5_400_000}
POLICIES: Json = {"control": "moderators", "wait": "quorum", "host_leave": "pause"}

# Stands for what only a mail tells.
SECRET = "x" * 65
BY_MAIL = {"verify_email", "reset_password"}

# An acceptable body for every operation that takes one, with every field that there is.
BODIES: Mapping[str, Callable[[Ids], Json]] = {
    "register": lambda ids: {"email": "eve@example.org", "password": PASSWORD, "display_name": "Eve"},
    "log_in": lambda ids: {"email": "eve@example.org", "password": PASSWORD},
    "change_me": lambda ids: {"display_name": "Augusta", "time_zone": "Europe/Berlin", "locale": "de-AT"},
    "begin_totp": lambda ids: PROOF | {"password": PASSWORD, "recovery_code": ids["recovery_code"]},
    "confirm_totp": lambda ids: {"code": ids["code"]},
    "remove_totp": lambda ids: PROOF | {"password": PASSWORD, "recovery_code": ids["recovery_code"]},
    "renew_recovery_codes": lambda ids: PROOF | {"password": PASSWORD, "recovery_code": ids["recovery_code"]},
    "ask_for_passkey": lambda ids: PROOF | {"password": PASSWORD, "recovery_code": ids["recovery_code"]},
    "add_passkey": lambda ids: {"passkey": json.loads(ids["attestation"] or "{}"), "name": "Telephone"},
    "rename_passkey": lambda ids: {"name": "Old laptop"},
    "remove_passkey": lambda ids: PROOF | {"password": PASSWORD, "recovery_code": ids["recovery_code"]},
    "verify_factor": lambda ids: PROOF | {"mfa_token": "1.x.y", "code": ids["code"]},
    "log_in_with_passkey": lambda ids: {"passkey": ASSERTION},
    "change_password": lambda ids: {"current_password": PASSWORD, "new_password": "a better horse battery"},
    "verify_email": lambda ids: {"token": SECRET, "password": PASSWORD},
    "resend_email": lambda ids: {"email": "eve@example.org"},
    "forgot_password": lambda ids: {"email": "eve@example.org"},
    "reset_password": lambda ids: {"token": SECRET, "password": PASSWORD},
    "change_email": lambda ids: {"email": "eve@example.net", "password": PASSWORD},
    "delete_me": lambda ids: {"password": PASSWORD},
    "create_workspace": lambda ids: {"name": "Research", "slug": f"research-{uuid4().hex[:8]}"},
    "change_workspace": lambda ids: {
        "name": "Field work",
        "slug": f"field-{uuid4().hex[:8]}",
        "viewers_comment": False,
    },
    "transfer_workspace": lambda ids: {"account_id": ids["members"]},
    "change_member": lambda ids: {"role": "member"},
    "invite": lambda ids: {
        "role": "viewer",
        "max_uses": 1,
        "expires_at": "2026-01-10T00:00:00Z",
        "email": "eve@example.org",
    },
    "accept_invitation": lambda ids: {"token": ids["token"]},
    "open_task": lambda ids: TASK | {"workspace_id": ids["workspaces"], "assignee_ids": [ids["assignees"]]},
    "edit_task": lambda ids: TASK | {"title": "Write it again"},
    "comment": lambda ids: {"text": "Looks good to me."},
    "edit_comment": lambda ids: {"text": "Looks very good to me."},
    "open_room": lambda ids: {
        "name": "Film night",
        "workspace_id": ids["workspaces"],
        "visibility": "workspace",
        "password": "open sesame",
        "max_participants": 5,
        "allow_guests": False,
        "policies": POLICIES,
    },
    "enter_room": lambda ids: {"join_code": ids["join_code"], "password": "open sesame", "display_name": "Grace"},
    "change_room": lambda ids: {
        "name": "Film morning",
        "visibility": "link",
        "password": None,
        "max_participants": 6,
        "allow_guests": True,
        "policies": POLICIES,
    },
    "join_room": lambda ids: {"password": "open sesame"},
    "invite_to_room": lambda ids: {"account_id": ids["members"]},
    "transfer_room": lambda ids: {"participant_id": ids["participants"]},
    "change_participant": lambda ids: {"role": "moderator", "muted": True},
    "control_room": lambda ids: {
        "action": "seek",
        "position_ms": 61_250,
        "rate": None,
        "item_id": None,
        "epoch": None,
    },
    "report_player": lambda ids: {
        "epoch": 0,
        "item_id": None,
        "position_ms": 0,
        "ready": False,
        "buffering": False,
        "ended": False,
        "duration_ms": None,
        "rate": 1,
        "drift_ms": -20,
        "rtt_ms": 40,
        "sync": "relaxed",
    },
    "change_queue": lambda ids: {"mode": "vote"},
    "add_item": lambda ids: ITEM,
    "add_items": lambda ids: {"items": [ITEM, ITEM]},
    "vote_skip": lambda ids: {"epoch": None},
    "edit_item": lambda ids: {"title": "The other film", "duration_ms": 60_000},
    "move_item": lambda ids: {"position": 0},
    "say": lambda ids: {"text": "That was good."},
    "read_all": lambda ids: {"before": TIME},
    "mark_notification": lambda ids: {"read": True},
    "change_preferences": lambda ids: {
        "types": {"task.commented": {"in_app": True, "email": True}},
        "quiet_hours": {"begin": "22:00", "end": "07:00"},
        "digest": "daily",
    },
    "issue_ticket": lambda ids: {
        "subscribe": [f"workspace:{ids['workspaces']}"],
        "resume": {f"workspace:{ids['workspaces']}": 1},
        "epoch": "29be7eb5",
    },
    "bulk": lambda ids: {
        "mode": "atomic",
        "operations": [
            {"op": "update", "id": ids["tasks"], "patch": {"title": "Write it again"}, "version": None},
            {"op": "delete", "id": ids["doomed"], "version": None},
            {"op": "create", "task": {"title": "Write one more", "workspace_id": ids["workspaces"]}},
        ],
    },
}

# The query by which an operation names a thing that belongs to somebody.
QUERIES: Mapping[str, Callable[[Ids], dict[str, str]]] = {
    "list_tasks": lambda ids: {"workspace_id": ids["workspaces"]},
    "list_events": lambda ids: {"channel": f"workspace:{ids['workspaces']}"},
    "stream_events": lambda ids: {"channel": f"task:{ids['tasks']}"},
}

# What stands in the path where the segment before it does not say so.
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "restore_task": {"tasks": "deleted"},
    "unarchive_task": {"tasks": "archived"},
}


def fill(path: str, ids: Ids) -> dict[str, str]:
    """The parameters of a path in braces: each is one of the things that the segment before it names."""
    return {parameter: ids[name] for name, parameter in _PARAMETER.findall(path)}


def request_for(operation: Operation, ids: Ids) -> dict[str, Any]:
    """A good request for this operation on these things, as `Person.send` takes it."""
    elsewhere = ELSEWHERE.get(operation.name, {})
    here = {name: ids[elsewhere.get(name, name)] for name, _ in _PARAMETER.findall(operation.path)}
    path = operation.path.format(**fill(operation.path, here))
    request: dict[str, Any] = {"method": operation.method, "path": path}
    if operation.name in BODIES:
        request["json"] = BODIES[operation.name](ids)
    if operation.name in QUERIES:
        request["params"] = QUERIES[operation.name](ids)
    return request
