"""How many of each kind an account or a workspace may have, and what counts as one."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct


class Use(NamedTuple):
    """One of `kind` that the workspace or account `scope` has; `subject` is the member that it is of, or the scope."""

    scope: UUID
    subject: UUID
    kind: str


class Quotas(Struct, frozen=True):
    """The limit of each kind: of those that a workspace has, its members included, and of those that an account has."""

    of_workspaces: Mapping[str, int]
    of_accounts: Mapping[str, int]

    def __getitem__(self, kind: str) -> int:
        limit = self.of_workspaces.get(kind)
        return self.of_accounts[kind] if limit is None else limit


class QuotaUse(Struct, frozen=True):
    """How many there are, and how many there may be."""

    used: int
    limit: int
