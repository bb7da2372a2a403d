"""Quotas: how many of each kind an account or a workspace may have, and what counts as one."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct


class Quota(Struct, frozen=True):
    """At most `limit` of a kind in each resource of type `scope`. The names of kinds are global."""

    kind: str
    scope: str
    limit: int


class Use(NamedTuple):
    """One of `kind` that the resource `scope` has. `subject` is the member that has it, or else `scope`."""

    scope: UUID
    subject: UUID
    kind: str


class Quotas:
    """The limit of each kind. ValueError for a kind that two rows name."""

    def __init__(self, rows: Iterable[Quota]) -> None:
        self.limits: dict[str, int] = {}
        self._kinds: dict[str, list[str]] = {}
        for row in rows:
            if row.kind in self.limits:
                raise ValueError(f"two quotas are called {row.kind}")
            self.limits[row.kind] = row.limit
            self._kinds.setdefault(row.scope, []).append(row.kind)

    def __getitem__(self, kind: str) -> int:
        return self.limits[kind]

    def of(self, scope: str) -> Mapping[str, int]:
        """The limits of the kinds that a resource of this type has."""
        return {kind: self.limits[kind] for kind in self._kinds.get(scope, ())}


class QuotaUse(Struct, frozen=True):
    """How many of a kind there are, and how many there may be."""

    used: int
    limit: int
