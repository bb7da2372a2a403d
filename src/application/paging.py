"""Pages of a list that is longer than one answer, walked by keyset cursors."""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar, overload

import msgspec

from domain.errors import DomainError, Invalid

T = TypeVar("T")

PAGE_MAX = 200
PAGE_DEFAULT = 50
# Of the items of a page, as JSON. With what is around them, a page is not more than 1 MiB.
PAGE_BYTES = 1024 * 1024 - 1024

_encode = msgspec.json.Encoder().encode


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next_cursor` leads to the next one and is null on the last.

    A page ends where its items would be more than `PAGE_BYTES` as JSON, however many were asked for. One at least is on
    it, if there is any.
    """

    data: Sequence[T]
    next_cursor: str | None

    @property
    def version(self) -> str | None:
        """What is another one whenever this page may be, or None where that is not known."""
        return self.data.version if isinstance(self.data, Encoded) else None


class Encoded(Sequence[T]):
    """Items that are JSON already, and go out as they are; they become items only for those who look at them.

    `kind` is what they are, and `version` another one whenever they may be others.
    """

    __slots__ = ("_kind", "json", "version")

    def __init__(self, json: bytes | memoryview, kind: type[T], version: str) -> None:
        self.json = msgspec.Raw(json)
        self.version = version
        self._kind = kind

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def _items(self) -> Sequence[T]:
        return msgspec.json.decode(self.json, type=list[self._kind])  # type: ignore[name-defined]


class QueryTooBroad(Invalid):
    """What meets these conditions, in this order, cannot be found in the time that one request may take."""

    code = "query_too_broad"


class InvalidCursor(DomainError):
    """The cursor was not made by this list with this query."""

    code: ClassVar[str] = "invalid_cursor"


def fitting(items: Sequence[T]) -> Sequence[T]:
    """As many of the first items as fit on one page; one at least, if there is any."""
    size = 0
    for count, item in enumerate(items):
        size += len(_encode(item)) + 1  # the comma
        if size > PAGE_BYTES and count:
            return items[:count]
    return items


def encode_cursor(query: str, *key: object) -> str:
    """An opaque cursor: the sort key of the last item of a page, bound to the query that the page belongs to."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_mark(query), *key])).rstrip(b"=").decode()


def decode_cursor(cursor: str, query: str, *types: Any) -> tuple[Any, ...]:
    """The sort key in a cursor, as values of `types`; InvalidCursor if it is not one of this query."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        made_for, *key = msgspec.json.decode(raw, type=tuple[(str, *types)])  # type: ignore[valid-type]
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise InvalidCursor("This cursor does not belong to any list.", pointer="?cursor") from None
    if made_for != _mark(query):
        raise InvalidCursor("This cursor belongs to another list or another query.", pointer="?cursor")
    return tuple(key)


def _mark(query: str) -> str:
    """What stands for a query in its cursors, which have to stay short however long the query is."""
    return hashlib.blake2b(query.encode(), digest_size=12).hexdigest()
