"""What a credential may be limited to: scopes, which each context names for itself."""

from typing import NamedTuple

from domain.errors import Forbidden


class Scope(NamedTuple):
    """A row: a name that is kept with credentials, and a sentence for those who give one out."""

    name: str
    allows: str


# No list of the container has it, so no credential can be given it.
SESSION = Scope("session", "What only somebody who signed in may do.")


class ScopeMissing(Forbidden):
    """The credential was not given this scope, whatever its account may do."""

    code = "scope_missing"

    def __init__(self, name: str) -> None:
        super().__init__(f"This credential does not have the scope {name}.", extra={"required_scope": name})
