"""Gives units of work the repositories that contexts hand in, as properties of a class that is made once."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

W = TypeVar("W")


def with_repositories(work: type[W], repositories: Mapping[str, Callable[[Any], Any]]) -> type[W]:
    """A subclass of `work` with a property for each repository, which is created from `work.unit` when it is read."""

    def made(make: Callable[[Any], Any]) -> property:
        return property(lambda work: make(work.unit))

    return type(work.__name__, (work,), {name: made(make) for name, make in repositories.items()})
