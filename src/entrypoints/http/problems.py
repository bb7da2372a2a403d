"""Turns every refusal into an RFC 9457 problem. Only this module knows the status of a refusal."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException

from application.paging import InvalidCursor
from application.principal import correlation
from application.reading import Unreadable
from domain.errors import (
    Conflict,
    DomainError,
    Exhausted,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
    VersionConflict,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "/problems/"
INTERNAL = "internal_error"


class ProblemError(msgspec.Struct, frozen=True):
    """One error in the input. `pointer` is a JSON pointer into the body, or `?name` for a query parameter."""

    pointer: str
    code: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """An RFC 9457 problem. `code` is stable and machine-readable; `request_id` finds the request's log line."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    trace_id: str
    errors: list[ProblemError] = []


class Malformed(DomainError):
    """The request cannot be read."""

    code = Unreadable.code


class InvalidParameter(DomainError):
    """A query or path parameter, or a header, is not valid."""

    code = "invalid_parameter"


class UnsupportedMediaType(DomainError):
    """The media type or encoding of the body is not plain JSON."""

    code = "unsupported_media_type"


class BodyTooLarge(DomainError):
    """The body has more bytes than this server accepts."""

    code = "body_too_large"


class HeadersTooLarge(DomainError):
    """The headers have more bytes than this server accepts."""

    code = "headers_too_large"


class DeadlineExceeded(DomainError):
    """The request took longer than a request may."""

    code = "deadline_exceeded"


_STATUS: Mapping[type[DomainError], int] = {
    Malformed: 400,
    Unreadable: 400,
    InvalidParameter: 400,
    InvalidCursor: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    DeadlineExceeded: 408,
    Conflict: 409,
    Gone: 410,
    VersionConflict: 412,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    Invalid: 422,
    Exhausted: 429,
    HeadersTooLarge: 431,
    Unavailable: 503,
}
_HTTP_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


class Refusal(NamedTuple):
    """The answer to a refused request: status, headers and problem."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    code: str


def refusal(error: Exception) -> Refusal:
    """The answer to this error. For an unexpected error it only says where the error is logged."""
    match error:
        case DomainError():
            return _of_domain(error)
        case ValidationException():
            return _of_parameters(error)
        case HTTPException():
            status = error.status_code
            code = _HTTP_CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_"))
            headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
            detail = error.detail if status < 500 else "Something went wrong here; it is logged under the request id."
            if isinstance(error, MethodNotAllowedException):
                detail = "This method does not exist here."
            return _render(status, code, detail, headers=headers)
        case _:
            log.error("nobody expected this error", exc_info=error)
            return _render(500, INTERNAL, "Something went wrong here; it is logged under the request id.")


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to this error, in the form that Litestar's exception handlers return."""
    status, headers, body, code = refusal(error)
    request.scope["signalbox"].code = code  # type: ignore[typeddict-item]
    if status == 405:
        allowed = ", ".join(sorted(methods_of(request)))
        headers = [*headers, (b"allow", allowed.encode())]
    return Response(
        body,
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={name.decode(): value.decode() for name, value in headers if name != b"content-type"},
    )


def _of_domain(error: DomainError) -> Refusal:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, Exhausted | Unavailable):
        headers.append((b"retry-after", str(max(1, ceil(error.retry_after_seconds))).encode()))
    errors = [] if error.pointer is None else [ProblemError(error.pointer, error.code, error.detail)]
    return _render(status, error.code, error.detail, errors, error.extra, headers)


def _of_parameters(error: ValidationException) -> Refusal:
    flaws = [f for f in error.extra if isinstance(f, dict)] if isinstance(error.extra, list) else []
    if any(f.get("source") == "body" or f.get("key") == "data" for f in flaws):
        return _of_domain(Invalid("This needs a JSON body.", pointer=""))
    errors = [ProblemError(f"?{f.get('key', '')}", "invalid_parameter", str(f.get("message", ""))) for f in flaws]
    return _render(400, "invalid_parameter", "A parameter is not what it has to be.", errors)


def _render(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[ProblemError] = (),
    extra: Mapping[str, object] | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Refusal:
    cause = correlation.get()
    problem = Problem(
        type=TYPE_BASE + code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=cause.request_id,
        trace_id=cause.traceparent[3:35],
        errors=list(errors),
    )
    members = msgspec.structs.asdict(problem) | dict(extra or {})
    return Refusal(status, [(b"content-type", MEDIA_TYPE.encode()), *headers], msgspec.json.encode(members), code)


def methods_of(request: Request[Any, Any, Any]) -> set[str]:
    """The methods of the path of a request. HEAD is one if GET is, because the edge answers it."""
    for route in request.app.routes:
        if route.path_format and _matches(route.path_components, request.scope["path"]):
            methods = {str(method) for method in getattr(route, "methods", ())}
            return methods | {"HEAD"} if "GET" in methods else methods
    return set()


def _matches(components: Sequence[Any], path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    return len(parts) == len(components) and all(
        not isinstance(component, str) or component == part for component, part in zip(components, parts, strict=True)
    )
