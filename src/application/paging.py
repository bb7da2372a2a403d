"""Pages of lists that are longer than one answer, with keyset cursors."""

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
# The most bytes of a page's items as JSON. The rest of a page is small enough that it has at most 1 MiB.
PAGE_BYTES = 1024 * 1024 - 1024

_encode = msgspec.json.Encoder().encode


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next_cursor` leads to the next page and is null on the last.

    A page may have fewer items than were asked for, because they have at most `PAGE_BYTES` as JSON together. A single
    larger item is a page of its own.
    """

    data: Sequence[T]
    next_cursor: str | None

    @property
    def version(self) -> str | None:
        """A tag that changes whenever the page may have changed, or None if there is no such tag."""
        return self.data.version if isinstance(self.data, Encoded) else None


class Encoded(Sequence[T]):
    """Items that are JSON already and are sent as they are. They are decoded only when code reads them.

    `kind` is their type. `version` is a tag that changes whenever the items may have changed.
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
    """The items that meet the conditions cannot be found in this order within the time of one request."""

    code = "query_too_broad"


class InvalidCursor(DomainError):
    """The cursor was not made by this list with this query."""

    code: ClassVar[str] = "invalid_cursor"


def fitting(items: Sequence[T]) -> Sequence[T]:
    """As many of the first items as fit on one page, but at least one if there is any."""
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
    """The sort key in a cursor, as values of `types`; InvalidCursor if the cursor is not of this query."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        made_for, *key = msgspec.json.decode(raw, type=tuple[(str, *types)])  # type: ignore[valid-type]
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        raise InvalidCursor("This cursor does not belong to any list.", pointer="?cursor") from None
    if made_for != _mark(query):
        raise InvalidCursor("This cursor belongs to another list or another query.", pointer="?cursor")
    return tuple(key)


def _mark(query: str) -> str:
    """A short mark of a query for its cursors, which have to stay short even if the query is long."""
    return hashlib.blake2b(query.encode(), digest_size=12).hexdigest()
