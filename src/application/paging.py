"""Pages of a list that is longer than one answer, walked by keyset cursors."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from domain.errors import DomainError

T = TypeVar("T")

PAGE_MAX = 200
PAGE_DEFAULT = 50


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next_cursor` leads to the next one and is null on the last."""

    data: Sequence[T]
    next_cursor: str | None


class InvalidCursor(DomainError):
    """The cursor was not made by this list with this query."""

    code: ClassVar[str] = "invalid_cursor"


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
