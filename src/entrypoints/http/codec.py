"""JSON by msgspec alone: decodes bodies directly to messages, and encodes messages directly to bytes."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from litestar import Request, Response
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.types import Receive, Scope, Send
from litestar.typing import FieldDefinition

from application.paging import Encoded
from application.reading import Reader
from entrypoints.http.problems import InvalidParameter


def _as_it_is(thing: object) -> msgspec.Raw:
    if isinstance(thing, Encoded):
        return thing.json
    raise NotImplementedError


encode = msgspec.json.Encoder(enc_hook=_as_it_is).encode
_ENCODED = re.compile(rb"[-;](gzip|br|zstd|deflate)\Z")
_ENTITY_TAG = re.compile(rb'(W/)?"([^"]*)"')


class JsonBody(AbstractDTO[Any]):
    """Reads a body strictly as the message that the handler declares. Litestar would convert dictionaries leniently.

    A message with a `read` of its own is read by that.
    """

    _readers: ClassVar[dict[str, Callable[[bytes], Any]]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        message = field_definition.annotation
        own = getattr(message, "read", None)  # which may also be a field
        cls._readers[handler_id] = own if callable(own) else Reader(message)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        described: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return described

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        return ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False

    def decode_bytes(self, value: bytes) -> Any:
        handler = self.asgi_connection.route_handler
        reader: Callable[[bytes], Any] | None = handler.opt.get("reader")
        if reader is None:  # `handler_id` is computed at each access
            reader = handler.opt["reader"] = self._readers[handler.handler_id]
        return reader(value)


class _Sendable:
    """An encoded answer as an ASGI application."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._status = status
        self._headers = headers
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class JsonResponse(Response[Any]):
    """Answers with a message as JSON. The `version` of a message becomes an ETag, and the answer may be a 304.

    The version of a resource is a number, and its ETag is strong, for If-Match. That of a page is text, its ETag weak.
    """

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> Any:
        content = self.content
        if content is None:
            return _Sendable(self.status_code or 204, [], b"")
        headers = [(b"content-type", b"application/json")]
        version = getattr(content, "version", None)
        if version is not None:
            tag = b'"%d"' % version if isinstance(version, int) else f'W/"{version}"'.encode()
            headers.append((b"etag", tag))
            if request.method == "GET" and none_matches(request, tag):
                return _Sendable(304, headers[1:], b"")
        body = encode(content)
        headers.append((b"content-length", b"%d" % len(body)))
        return _Sendable(self.status_code or 200, headers, body)


def none_matches(request: Request[Any, Any, Any], tag: bytes) -> bool:
    """Whether the caller already has the representation of this entity tag."""
    opaque = _ENTITY_TAG.fullmatch(tag)[2]  # type: ignore[index]  # we made the tag, so it matches
    for name, value in request.scope["headers"]:
        if name == b"if-none-match":
            return value.strip() == b"*" or any(_as_made(found) == opaque for _, found in _ENTITY_TAG.findall(value))
    return False


def required_version(if_match: bytes | None) -> int | None:
    """The version that an If-Match header asks for: None for any, -1 for one that never existed."""
    if if_match is None or if_match.strip() == b"*":
        return None
    tags = _ENTITY_TAG.findall(if_match)
    if len(tags) != 1 or not _ENTITY_TAG.fullmatch(if_match.strip()):
        raise InvalidParameter("If-Match takes one entity tag, as an ETag header gave it.", pointer="If-Match")
    value = _as_made(tags[0][1])
    return int(value) if value.isdigit() and len(value) < 10 else -1


def _as_made(tag: bytes) -> bytes:
    """The tag without the suffix that compressing proxies add. They also make it weak, which does no harm."""
    return _ENCODED.sub(b"", tag)
