"""Keyset pages of lists that are kept in no particular order."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from application.paging import Page, encode_cursor, fitting

T = TypeVar("T")
V = TypeVar("V")


def page_of(
    items: Iterable[T],
    view: Callable[[T], V],
    key: Callable[[T], tuple[Any, ...]],
    query: str,
    after: tuple[Any, ...] | None,
    limit: int,
    descending: bool = False,
) -> Page[V]:
    """The items behind the key `after`, in order, as their readers see them: at most `limit`, and what fits."""
    ordered = sorted(items, key=key, reverse=descending)
    if after is not None:
        ordered = [item for item in ordered if (key(item) < after if descending else key(item) > after)]
    views = fitting([view(item) for item in ordered[:limit]])
    is_last = len(views) == len(ordered)
    return Page(views, None if is_last else encode_cursor(query, *key(ordered[len(views) - 1])))
