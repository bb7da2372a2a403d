"""Makes the OpenAPI document: paths from Litestar, schemas from msgspec, and what all operations have in common."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.response import Stream
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from application.scopes import SESSION, Scope
from entrypoints.http.facts import Facts, facts_of, scope_of
from entrypoints.http.problems import MEDIA_TYPE, Problem
from entrypoints.http.refresh_cookie import COOKIE

DESCRIPTION = """A backend for applications that people use together, live. Every change is committed once and reaches
every screen that may see it, in order, with nothing lost. Errors are RFC 9457 problems with a stable `code`.
The live connection at `/api/v1/ws` has a page of its own in the documentation of the project."""

# The meaning of each refusal, by status. `_refusals` says which of them an operation can answer.
_MEANINGS: Mapping[int, str] = {
    400: "The request cannot be read, or a parameter is not what it has to be.",
    401: "No valid access token, or no valid credentials.",
    403: "Seen, but not allowed: `required_permission` or `required_scope` names what is missing.",
    404: "There is no such thing, or you may not see it.",
    408: "The request took too long.",
    409: "The present state does not allow this; `code` says why.",
    410: "It is over for good.",
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


class _Unserved(Router):
    """Adds no routes. Litestar would otherwise serve the document on routes of its own."""

    def register(self, value: ControllerRouterHandler) -> list[Any]:
        return []


def described(version: str, scopes: Sequence[Scope]) -> OpenAPIConfig:
    """The configuration from which Litestar makes paths, operations and parameters."""
    return OpenAPIConfig(
        title="Signalbox",
        version=version,
        description=DESCRIPTION,
        operation_id_creator=lambda handler, _method, _path: handler.fn.__name__,
        use_handler_docstrings=True,
        openapi_router=_Unserved("/", route_handlers=[]),
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description=_scopes_told(scopes)
                ),
                "refresh": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
            }
        ),
    )


def _scopes_told(scopes: Sequence[Scope]) -> str:
    names = [scope.name for scope in scopes]
    if len(set(names)) < len(names):
        raise ValueError(f"two scopes share a name: {', '.join(sorted(names))}")
    rows = "\n".join(f"- `{scope.name}`: {scope.allows}" for scope in (*scopes, SESSION))
    return f"A session may do everything that its account may. Any other credential needs scopes:\n{rows}"


def document(app: Litestar) -> dict[str, Any]:
    """The whole document of an application, with every refusal of the edge and the use cases."""
    schema: dict[str, Any] = msgspec.to_builtins(app.openapi_schema.to_schema())
    handlers = dict(_published(app))
    schema["tags"] = _tags(handlers.values())
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
        for current in (sorted(_conditions(handlers.values())) if status == 412 else [""])
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
        _complete(operation, _Operation(path, method, body, answer, handler))
    # Generic messages get names without brackets.
    renamed: dict[str, Any] = msgspec.json.decode(_PAGE_OF.sub(r"\1Page", msgspec.json.encode(schema).decode()))
    return renamed


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation: its place, and the schemas of its body and answer if it has any."""

    path: str
    method: str
    body: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    handler: HTTPRouteHandler

    @property
    def facts(self) -> Facts:
        return facts_of(self.handler)

    @property
    def scope(self) -> Scope | None:
        return scope_of(self.handler)

    @property
    def is_reading(self) -> bool:
        return self.method == "get"

    @property
    def takes_key(self) -> bool:
        return not (self.is_reading or self.facts.callers == "anybody" or self.facts.is_keyless)

    @property
    def is_versioned(self) -> bool:
        return self.facts.has_version or "version" in getattr(_messages(self.handler)[1], "__struct_fields__", ())


def _tags(handlers: Iterable[HTTPRouteHandler]) -> list[dict[str, str]]:
    """The tags in the order of the routes. The option `about` of a tag's router is its description."""
    said = {
        tag: handler.opt["about"] for handler in handlers if "about" in handler.opt for tag in handler.resolve_tags()
    }
    return [{"name": tag, "description": about} for tag, about in said.items()]


def _conditions(handlers: Iterable[HTTPRouteHandler]) -> set[str]:
    """The messages that a 412 may carry."""
    return {current.__name__ for handler in handlers if (current := facts_of(handler).current) is not None}


def _published(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    """The names and handlers of all operations in the document."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, _ in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    yield handler.fn.__name__, handler


def _messages(handler: HTTPRouteHandler) -> tuple[Any, Any]:
    """The types of a handler's body and answer. None if there is no body, or the answer is a stream."""
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
    """Give the format `date-time` to fields whose names are those of instants, because msgspec leaves some out."""
    for name, field in component.get("properties", {}).items():
        if name == "at" or name.endswith("_at"):
            for choice in field.get("anyOf", [field]):
                if choice.get("type") == "string":
                    choice["format"] = "date-time"


def _complete(operation: dict[str, Any], of: _Operation) -> None:
    facts = of.facts
    operation.pop("deprecated", None)
    operation["summary"] = operation["description"].partition(".")[0]
    if facts.callers != "anybody":
        bearer = {"bearer": [] if of.scope is None else [of.scope.name]}
        operation["security"] = [bearer, {}] if facts.callers == "either" else [bearer]
    operation["parameters"] = [_parameter(p) for p in operation.get("parameters", ())] + [
        {"name": header, "in": "header", "required": False, **_REQUEST_HEADERS[header]}
        for header in _request_headers(of)
    ]
    if of.body is not None:
        content = {"schema": of.body, "examples": {"typical": {"value": facts.example}}}
        kinds = ["application/json", *(["application/merge-patch+json"] if of.method == "patch" else [])]
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, content)}
    (status, success), *_ = operation["responses"].items()
    responses = operation["responses"] = {status: success}
    success["headers"] = _headers(
        *(["Idempotency-Replayed"] if of.takes_key else []),
        *(["ETag"] if of.is_versioned else []),
        *(["Set-Cookie"] if facts.sets_cookie else []),
    )
    success["description"] = "Done."
    if facts.streamed is not None:
        success["content"] = {"text/event-stream": {"schema": {"type": "string"}, "example": facts.streamed}}
    elif facts.file is not None:
        success["content"] = {facts.file: {"schema": {"type": "string", "contentMediaType": facts.file}}}
    elif of.answer is not None:
        success["content"] = {"application/json": {"schema": of.answer}}
    else:
        success.pop("content", None)
    if facts.later is not None:
        responses["202"] = {"description": facts.later, "headers": _headers()}
    if of.is_versioned and of.is_reading:
        responses["304"] = {
            "description": "Not modified since the version that If-None-Match names.",
            "headers": _headers("ETag"),
        }
    for refused in sorted(_refusals(of)):
        current = facts.current.__name__ if facts.current is not None and refused == 412 else ""
        responses[str(refused)] = {"$ref": f"#/components/responses/{_refusal_name(refused, current)}"}


def _refusal_name(status: int, current: str) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "") + current.removesuffix("View")


def _refused(status: int, current: str, problem: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a refusal. `current` names the message that a 412 carries."""
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
    """The parameter without defaults, and without null, which a URL cannot express."""
    schema = parameter["schema"]
    choices = [choice for choice in schema.pop("oneOf", []) if choice != {"type": "null"}]
    description = schema.pop("description", None)
    kept = {key: value for key, value in parameter.items() if value not in (False, None)}
    kept["schema"] = {**(choices[0] if choices else {}), **schema}
    return kept if description is None else {**kept, "description": description}


def _request_headers(of: _Operation) -> Iterator[str]:
    if of.takes_key:
        yield "Idempotency-Key"
    if of.facts.current is not None and of.facts.by_header:
        yield "If-Match"
    if of.is_versioned and of.is_reading:
        yield "If-None-Match"
    if of.facts.streamed is not None:
        yield "Last-Event-ID"


def _refusals(of: _Operation) -> set[int]:
    statuses = {*_ALWAYS, *of.facts.refuses}
    if of.facts.callers != "anybody":
        statuses.add(401)
    if of.scope is not None:
        statuses.add(403)
    if "{" in of.path:
        statuses.add(404)
    if of.takes_key:
        statuses |= {403, 409, 422}
    if of.facts.current is not None:
        statuses.add(412)
    if not of.is_reading:
        statuses |= {413, 415}
    if of.body is not None:
        statuses.add(422)
    return statuses


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_EVERYWHERE, *names)}
