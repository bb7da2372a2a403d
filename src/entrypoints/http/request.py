"""A request as routes see it, after the checks of the edge, and the checks of its query."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.types import Receive
from litestar.typing import FieldDefinition

from application.paging import PAGE_MAX
from application.principal import Principal
from domain.errors import Invalid, Unauthenticated
from entrypoints.http.caller import Caller
from entrypoints.http.codec import required_version
from entrypoints.http.facts import facts_of
from entrypoints.http.problems import InvalidParameter, methods_of

# A bulk of 100 full tasks has fewer values, unless custom fields consist of the shortest values.
VALUES_MAX = 30_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_read_instant = msgspec.json.Decoder(datetime).decode
# In a URL a plus means a space.
_LOST_PLUS = re.compile(r" (?=\d\d:?\d\d\Z)")


class ApiRequest(Request[Any, Any, Any]):
    """A request to a route of ours."""

    _text: bytes | None = None

    @property
    def content_length(self) -> None:
        """None, because the edge has already checked this header and counts the bytes of the body."""

    async def body(self) -> bytes:
        """The body. Invalid if it has more than 30,000 values, because decoding them would block other requests."""
        body = self._text
        if body is None:  # Litestar's own reads through a generator, and checks what the edge has checked
            body = self._text = await whole_body(self.receive)
        if len(body) > VALUES_MAX and _values(body) > VALUES_MAX and _values(_STRING.sub(b"", body)) > VALUES_MAX:
            raise Invalid(f"A body has at most {VALUES_MAX} values.", pointer="")
        return body

    @property
    def caller(self) -> Caller:
        """The caller that the edge identified."""
        caller: Caller = self.scope["signalbox"]  # type: ignore[typeddict-item]
        return caller

    @property
    def actor(self) -> Principal:
        """The principal. Only for routes that need one."""
        principal = self.caller.principal
        if principal is None:
            raise Unauthenticated("This needs an access token.")
        return principal

    @property
    def version(self) -> int | None:
        """The version that If-Match asks for, or None if it accepts any."""
        return required_version(self.caller.headers.get(b"if-match"))


async def whole_body(receive: Receive) -> bytes:
    """The body that arrives in these messages, which the edge has bounded."""
    pieces: list[bytes] = []
    while True:
        message: Any = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _values(text: bytes) -> int:
    """An upper bound of the values in JSON: the first in a container follows a bracket, every other a comma."""
    brackets = text.count(b"[") + text.count(b"{") - text.count(b"[]") - text.count(b"{}")
    return 1 + brackets + text.count(b",")


async def before_route(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Answer OPTIONS with all methods of the path, which Litestar does not, and check the query."""
    if request.method == "OPTIONS":
        return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods_of(request)))})
    if facts_of(request.route_handler).is_secret:
        caller: Caller = request.scope["signalbox"]  # type: ignore[typeddict-item]
        caller.holds_secret = True
    if request.scope["query_string"]:
        _check_query(request)
    return None


def _check_query(request: Request[Any, Any, Any]) -> None:
    """Refuse parameters that the route would ignore. A filter that is ignored silently shows too much."""
    known = _query_parameters(request.scope["route_handler"])
    for name, values in request.query_params.dict().items():
        if name not in known:
            raise InvalidParameter("There is no such parameter here.", pointer=f"?{name}")
        if len(values) > 1 and not known[name].is_non_string_sequence:
            raise InvalidParameter("This can be given only once.", pointer=f"?{name}")
        if "null" in map(str.lower, values) and not known[name].has_inner_subclass_of(str):
            raise InvalidParameter("A URL cannot say null; leave this out.", pointer=f"?{name}")
        if known[name].has_inner_subclass_of(datetime):
            for value in values:
                _check_instant(value, f"?{name}")


def _check_instant(value: str, pointer: str) -> None:
    """Refuse a text that is no time, or a time that is outside the calendar in UTC."""
    try:
        _read_instant(msgspec.json.encode(value)).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        told = "A time looks like 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00."
        if _LOST_PLUS.search(value):
            told += " In a URL the + is written %2B."
        raise Invalid(told, pointer=pointer) from None


@cache
def _query_parameters(handler: HTTPRouteHandler) -> Mapping[str, FieldDefinition]:
    """The query parameters of a handler."""
    (path,) = handler.paths
    return {
        name: parameter
        for name, parameter in handler.parsed_fn_signature.parameters.items()
        if name not in {"request", "data"} and f"{{{name}:" not in path
    }


PageLimit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many items one page holds at most.")]
PageCursor = Annotated[
    str | None,
    QueryParameter(max_length=2_048, description="`next_cursor` of the page before; valid only with the same query."),
]
