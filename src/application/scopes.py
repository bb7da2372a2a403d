"""Scopes, to which a credential may be limited. Each context names its own."""

from typing import NamedTuple

from domain.errors import Forbidden


class Scope(NamedTuple):
    """A row: a name that is stored with credentials, and a sentence for people who issue one."""

    name: str
    allows: str


# The container lists this scope nowhere, so no credential can be given it. Only sessions have it.
SESSION = Scope("session", "What only somebody who signed in may do.")


class ScopeMissing(Forbidden):
    """The credential lacks this scope, even if its account may do the thing."""

    code = "scope_missing"

    def __init__(self, name: str) -> None:
        super().__init__(f"This credential does not have the scope {name}.", extra={"required_scope": name})
