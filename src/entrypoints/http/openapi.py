"""The OpenAPI document: routes as Litestar knows them, messages as msgspec does, and what all have in common."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar._openapi.plugin import OpenAPIPlugin
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.response import Stream
from litestar.routes import HTTPRoute

from entrypoints.http.edge import KEYLESS, PUBLIC
from entrypoints.http.problems import MEDIA_TYPE, Problem
from entrypoints.http.refresh_cookie import COOKIE

DESCRIPTION = """A backend for applications that people use together, live. Every change is committed once and reaches
every screen that may see it, in order, with nothing lost. Errors are RFC 9457 problems with a stable `code`.
The live connection at `/api/v1/ws` has a page of its own in the documentation of the project."""

# Routes that are no part of the published contract: what is for operators, this documentation, and the live connection,
# for which OpenAPI has no words. A route is either here or in the document.
INTERNAL = frozenset(
    {
        "/live",
        "/ready",
        "/health",
        "/stats",
        "/metrics",
        "/client.js",
        "/api/docs",
        "/api/docs/start.js",
        "/api/docs/swagger_bundle.js",
        "/api/docs/swagger_style.css",
        "/api/openapi.json",
        "/api/asyncapi.json",
        "/api/v1/ws",
    }
)

_ID = "0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e"
_CHANGED_TASK: Mapping[str, object] = {"status": "in_progress", "due_at": "2026-03-01T12:00:00Z", "labels": ["release"]}
_CHANGED_TEAM: Mapping[str, object] = {"name": "Field operations", "viewers_comment": True}
# A body that works for every operation that takes one.
_EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "register": {"email": "ada@example.org", "password": "correct horse battery", "display_name": "Ada"},
    "log_in": {"email": "ada@example.org", "password": "correct horse battery"},
    "change_me": {"display_name": "Augusta"},
    "change_password": {"current_password": "correct horse battery", "new_password": "a better horse battery"},
    "create_workspace": {"name": "Operations", "slug": "operations"},
    "change_workspace": _CHANGED_TEAM,
    "transfer_workspace": {"account_id": _ID},
    "change_member": {"role": "admin"},
    "invite": {"role": "member", "max_uses": 5},
    "accept_invitation": {"token": "kR3v8yT1nQ5wZ7xB2mC4dF6gH9jL0pS_aE-uIoYrTzA"},
    "open_task": {"title": "Write the rollout plan", "priority": "high", "labels": ["release"]},
    "edit_task": _CHANGED_TASK,
    "comment": {"text": "Looks good to me."},
    "edit_comment": {"text": "Looks very good to me."},
    "issue_ticket": {"subscribe": [f"workspace:{_ID}"], "resume": {f"workspace:{_ID}": 812}, "epoch": "29be7eb5"},
    "bulk": {
        "mode": "partial",
        "operations": [
            {"op": "create", "task": {"title": "Write the rollout plan"}},
            {"op": "update", "id": _ID, "patch": _CHANGED_TASK, "version": 3},
            {"op": "delete", "id": _ID},
        ],
    },
}
_STREAMED = 'id: 813\nevent: task.updated\ndata: {"type": "task.updated", "changes": {"status": ["todo", "done"]}}\n\n'

# What each refusal means, by status; `_refusals` says which of them an operation can give.
_MEANINGS: Mapping[int, str] = {
    400: "The request cannot be read, or a parameter is not what it has to be.",
    401: "No valid access token, or no valid credentials.",
    403: "Seen, but not allowed: `required_permission` names what is missing.",
    404: "There is no such thing, or you may not see it.",
    408: "The request took too long.",
    409: "The present state does not allow this; `code` says why.",
    412: "`If-Match` or `version` names another version; `current` is the resource as it is now.",
    413: "The body is too large.",
    415: "The body is not plain `application/json`.",
    422: "The input is not acceptable; `errors` points to what is wrong.",
    429: "Too many requests; `Retry-After` tells when to come back.",
    431: "The headers are too large.",
    500: "Something went wrong here; it is logged under the request id.",
    503: "Something that is needed does not answer; `Retry-After` tells when to try again.",
}
_ALWAYS = frozenset({400, 408, 429, 431, 500, 503})
# Operations that name a thing in their query or body, and those that can be refused to whoever may see the thing.
_NAMES_A_THING = frozenset({"list_tasks", "open_task", "bulk", "list_events", "stream_events", "accept_invitation"})
_PERMITTED = frozenset({"list_invitations", "refresh", "log_out"})
_BY_COOKIE = frozenset({"refresh", "log_out"})
# Pages that have a version too, as long as they are the first and can be kept.
_VERSIONED_LISTS = frozenset({"list_tasks", "list_comments"})
# Operations that may be meant for one version only, and what is at another one then.
_CONDITIONAL: Mapping[str, str] = {
    "change_me": "UserView",
    "change_workspace": "WorkspaceView",
    "delete_workspace": "WorkspaceView",
    "edit_task": "TaskView",
    "delete_task": "TaskView",
    "archive_task": "TaskView",
    "unarchive_task": "TaskView",
    "bulk": "TaskView",
}

_REQUEST_HEADERS: Mapping[str, Any] = {
    "Idempotency-Key": {
        "description": "Makes a repetition of this request harmless for 24 hours: it gets the first answer again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~]+$"},
    },
    "If-Match": {
        "description": "The ETag of the version that this change is meant for, or `*`.",
        "schema": {"type": "string", "pattern": '^("[0-9]{1,9}"|\\*)$'},
    },
    "If-None-Match": {"description": "An ETag; 304 if it is still the present one.", "schema": {"type": "string"}},
    "Last-Event-ID": {
        "description": "The offset to go on behind.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    },
}
_RESPONSE_HEADERS: Mapping[str, str] = {
    "X-Request-Id": "Names this request in logs, events and problems; the one that was sent, if it was acceptable.",
    "RateLimit": "What is left of the limit (`r`), and the seconds until all of it is (`t`).",
    "RateLimit-Policy": "The limit: `q` requests in `w` seconds.",
    "Retry-After": "Seconds to wait before the next attempt.",
    "ETag": "The version of what is answered, for If-None-Match and, of one thing, for If-Match.",
    "Idempotency-Replayed": "`true` if this is the answer to an earlier request with the same key.",
    "Set-Cookie": "The refresh token, out of reach of scripts.",
}
_EVERYWHERE = ("X-Request-Id", "RateLimit", "RateLimit-Policy")
_REFERENCE = "#/components/schemas/{name}"
_PAGE_OF = re.compile(r"Page_(\w+?)View_")


def document(app: Litestar, version: str) -> dict[str, Any]:
    """The whole document of an application, with every refusal that the edge or a use case can give."""
    schema = _by_litestar(app, version)
    handlers = dict(_published(app))
    messages = [message for handler in handlers.values() for message in _messages(handler) if message is not None]
    references, components = msgspec.json.schema_components(
        [Problem, *messages], schema_hook=_anything, ref_template=_REFERENCE
    )
    problem, *others = references
    remaining = iter(others)
    for component in components.values():
        _mark_instants(component)
    schema["components"]["schemas"] = components
    schema["components"]["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in _RESPONSE_HEADERS.items()
    }
    schema["components"]["responses"] = {
        name: _refused(status, current, problem)
        for status in _MEANINGS
        for current in (sorted(set(_CONDITIONAL.values())) if status == 412 else [""])
        for name in [_refusal_name(status, current)]
    }
    operations = {
        operation["operationId"]: (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    for name, handler in handlers.items():
        path, method, operation = operations[name]
        body, answer = (message and next(remaining) for message in _messages(handler))
        has_version = name in _VERSIONED_LISTS or "version" in getattr(_messages(handler)[1], "__struct_fields__", ())
        _complete(operation, _Facts(name, path, method, body, answer, has_version))
    # The names of generic messages, without their brackets.
    renamed: dict[str, Any] = msgspec.json.decode(_PAGE_OF.sub(r"\1Page", msgspec.json.encode(schema).decode()))
    return renamed


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of an operation: where it is, and the schemas of its body and answer if it has any."""

    name: str
    path: str
    method: str
    body: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    is_versioned: bool

    @property
    def is_public(self) -> bool:
        return self.path in PUBLIC

    @property
    def is_reading(self) -> bool:
        return self.method == "get"

    @property
    def takes_key(self) -> bool:
        return not self.is_reading and self.path not in KEYLESS


def _by_litestar(app: Litestar, version: str) -> dict[str, Any]:
    """Paths, operations and parameters. Litestar would add routes of its own, so it learns of this after it began."""
    described = app.plugins.get(OpenAPIPlugin)
    described._openapi_config = OpenAPIConfig(  # noqa: SLF001
        title="Signalbox",
        version=version,
        description=DESCRIPTION,
        operation_id_creator=lambda handler, _method, _path: handler.fn.__name__,
        use_handler_docstrings=True,
        tags=[
            Tag("identity", "Signing up, in and out; one's own account and sessions."),
            Tag("workspaces", "Workspaces, their members and the invitations into them."),
            Tag("tasks", "Tasks, who has and who watches them, and the comments below them."),
            Tag("events", "The journal of everything that happened, by the page or live."),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
                "refresh": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
            }
        ),
    )
    schema: dict[str, Any] = msgspec.to_builtins(described.provide_openapi().to_schema())
    return schema


def _published(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """The handlers in the document by the names of their operations."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    yield handler.fn.__name__, handler


def _messages(handler: HTTPRouteHandler) -> tuple[Any, Any]:
    """The messages that a handler takes and answers with; None where there is no body, or a stream."""
    returned = handler.parsed_return_field.annotation
    if get_origin(returned) is Response:
        (returned,) = get_args(returned)
    taken = handler.parsed_data_field
    return taken and taken.annotation, None if returned in (None, type(None), Stream) else returned


def _anything(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "Any JSON."}
    raise NotImplementedError


def _mark_instants(component: dict[str, Any]) -> None:
    """Say that fields named like instants are; msgspec knows a format only for those that it makes aware itself."""
    for name, field in component.get("properties", {}).items():
        if name == "at" or name.endswith("_at"):
            for choice in field.get("anyOf", [field]):
                if choice.get("type") == "string":
                    choice["format"] = "date-time"


def _complete(operation: dict[str, Any], facts: _Facts) -> None:
    name = facts.name
    operation.pop("deprecated", None)
    operation["summary"] = operation["description"].partition(".")[0]
    if not facts.is_public:
        operation["security"] = [{"bearer": []}]
    elif name in _BY_COOKIE:
        operation["security"] = [{"refresh": []}, *([{}] if name == "log_out" else [])]
    operation["parameters"] = [_parameter(p) for p in operation.get("parameters", ())] + [
        {"name": header, "in": "header", "required": False, **_REQUEST_HEADERS[header]}
        for header in _request_headers(facts)
    ]
    if facts.body is not None:
        content = {"schema": facts.body, "examples": {"typical": {"value": _EXAMPLES[name]}}}
        kinds = ["application/json", *(["application/merge-patch+json"] if facts.method == "patch" else [])]
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, content)}
    (status, success), *_ = operation["responses"].items()
    responses = operation["responses"] = {status: success}
    success["headers"] = _headers(
        *(["Idempotency-Replayed"] if facts.takes_key else []),
        *(["ETag"] if facts.is_versioned else []),
        *(["Set-Cookie"] if facts.is_public else []),
    )
    success["description"] = "Done."
    if name == "stream_events":
        success["content"] = {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAMED}}
    elif facts.answer is not None:
        success["content"] = {"application/json": {"schema": facts.answer}}
    else:
        success.pop("content", None)
    if facts.is_versioned and facts.is_reading:
        responses["304"] = {
            "description": "Not modified since the version that If-None-Match names.",
            "headers": _headers("ETag"),
        }
    for refused in sorted(_refusals(facts)):
        current = _CONDITIONAL[name] if refused == 412 else ""
        responses[str(refused)] = {"$ref": f"#/components/responses/{_refusal_name(refused, current)}"}


def _refusal_name(status: int, current: str) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "") + current.removesuffix("View")


def _refused(status: int, current: str, problem: Mapping[str, Any]) -> dict[str, Any]:
    """A refusal; `current` is the message that a 412 carries."""
    shape = dict(problem)
    if current:
        held = {"current": {"$ref": _REFERENCE.format(name=current)}, "current_version": {"type": "integer"}}
        shape = {"allOf": [problem, {"type": "object", "properties": held, "required": list(held)}]}
    return {
        "description": _MEANINGS[status],
        "headers": _headers(*(["Retry-After"] if status in (429, 503) else [])),
        "content": {MEDIA_TYPE: {"schema": shape}},
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """The parameter without what is so anyway, and without null, which a URL cannot say."""
    schema = parameter["schema"]
    choices = [choice for choice in schema.pop("oneOf", []) if choice != {"type": "null"}]
    description = schema.pop("description", None)
    kept = {key: value for key, value in parameter.items() if value not in (False, None)}
    kept["schema"] = {**(choices[0] if choices else {}), **schema}
    return kept if description is None else {**kept, "description": description}


def _request_headers(facts: _Facts) -> Iterator[str]:
    if facts.takes_key:
        yield "Idempotency-Key"
    if facts.name in _CONDITIONAL and facts.name != "bulk":
        yield "If-Match"
    if facts.is_versioned and facts.is_reading:
        yield "If-None-Match"
    if facts.name == "stream_events":
        yield "Last-Event-ID"


def _refusals(facts: _Facts) -> set[int]:
    statuses = set(_ALWAYS)
    if not facts.is_public or facts.name in ("log_in", "refresh"):
        statuses.add(401)
    if facts.takes_key or facts.name in _PERMITTED:
        statuses.add(403)
    if "{" in facts.path or facts.name in _NAMES_A_THING:
        statuses.add(404)
    if facts.takes_key or facts.name == "register":
        statuses |= {409, 422}
    if facts.name in _CONDITIONAL:
        statuses.add(412)
    if not facts.is_reading:
        statuses |= {413, 415}
    if facts.body is not None or facts.name == "list_tasks":
        statuses.add(422)
    return statuses


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_EVERYWHERE, *names)}
