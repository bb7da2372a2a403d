"""Keyset pages of lists that are kept in no particular order."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def page_of(
    items: Iterable[T],
    key: Callable[[T], tuple[Any, ...]],
    after: tuple[Any, ...] | None,
    limit: int,
    descending: bool = False,
) -> tuple[list[T], T | None]:
    """At most `limit` items behind the key `after`, in order, and the last of them if there are more."""
    ordered = sorted(items, key=key, reverse=descending)
    if after is not None:
        ordered = [item for item in ordered if (key(item) < after if descending else key(item) > after)]
    page = ordered[:limit]
    return page, page[-1] if len(ordered) > limit else None
