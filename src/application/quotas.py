"""Quotas: how many of each kind an account or a workspace may have, and what counts as one."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct


class Use(NamedTuple):
    """One of `kind` that the workspace or account `scope` has. `subject` is the member that has it, or else `scope`."""

    scope: UUID
    subject: UUID
    kind: str


class Quotas(Struct, frozen=True):
    """The limit of each kind: the kinds of a workspace and its members, and the kinds of an account."""

    of_workspaces: Mapping[str, int]
    of_accounts: Mapping[str, int]

    def __getitem__(self, kind: str) -> int:
        limit = self.of_workspaces.get(kind)
        return self.of_accounts[kind] if limit is None else limit


class QuotaUse(Struct, frozen=True):
    """How many of a kind there are, and how many there may be."""

    used: int
    limit: int
