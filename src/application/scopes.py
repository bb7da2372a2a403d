"""Scopes, to which a credential may be limited. Each context names its own."""

from collections.abc import Collection
from typing import NamedTuple

from domain.errors import Forbidden


class Scope(NamedTuple):
    """A row: a name that is stored with credentials, and a sentence for people who issue one."""

    name: str
    allows: str


# The container lists these scopes nowhere, so no credential can be given them. Only sessions have them.
SESSION = Scope("session", "What only somebody who signed in may do.")
MFA_SETUP = Scope("mfa:setup", "Set up a second factor, also where nothing else is allowed before that.")
UNGIVEN = (SESSION, MFA_SETUP)


class ScopeMissing(Forbidden):
    """The credential lacks this scope, even if its account may do the thing."""

    code = "scope_missing"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"This credential does not have the scope {name}. If its session may do more by now, refresh it.",
            extra={"required_scope": name},
        )


class MfaSetupRequired(ScopeMissing):
    """The account has to have a second factor and has none, so its sessions may do nothing but set one up."""

    code = "mfa_setup_required"

    def __init__(self, name: str) -> None:
        said = "Set up a second factor first, then refresh the session."
        Forbidden.__init__(self, said, extra={"required_scope": name})


def missing(scope: str, scopes: Collection[str]) -> ScopeMissing:
    """The refusal of a credential that has these scopes without this one."""
    return (MfaSetupRequired if MFA_SETUP.name in scopes else ScopeMissing)(scope)
