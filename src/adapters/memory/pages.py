"""Keyset pages of unordered items."""

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
    """The views of the items after the key `after`, in order: at most `limit`, and no more than fit into a page."""
    ordered = sorted(items, key=key, reverse=descending)
    if after is not None:
        ordered = [item for item in ordered if (key(item) < after if descending else key(item) > after)]
    views = fitting([view(item) for item in ordered[:limit]])
    is_last = len(views) == len(ordered)
    return Page(views, None if is_last else encode_cursor(query, *key(ordered[len(views) - 1])))
