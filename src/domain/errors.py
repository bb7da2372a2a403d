"""The seven kinds of refusal, so that every entry point maps them once and no rule knows a status code."""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """A refusal that the caller is told about.

    `code` is the stable machine-readable name, `detail` one sentence for a person. `pointer` names the offending
    field of the input as a JSON pointer, and `extra` holds members that the answer carries besides.
    """

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, pointer: str | None = None, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.extra = extra or {}


class Invalid(DomainError):
    """The input can never be accepted as it is."""

    code = "validation_failed"


class Unauthenticated(DomainError):
    """Nobody, or nobody known, is asking."""

    code = "unauthenticated"


class Forbidden(DomainError):
    """The caller may see the thing, but not do this with it."""

    code = "permission_denied"


class NotFound(DomainError):
    """It does not exist, or the caller may not know that it does: both read the same."""

    code = "not_found"

    def __init__(self, detail: str = "There is no such thing, or you may not see it.") -> None:
        super().__init__(detail)


class Conflict(DomainError):
    """The input is fine, but the present state does not allow it."""

    code = "conflict"


class QuotaExceeded(Conflict):
    """There are as many of a kind as one account or workspace may have; one has to go before another can come."""

    code = "quota_exceeded"

    def __init__(self, quota: str, limit: int) -> None:
        super().__init__(
            f"The quota of {limit:,} {quota.replace('_', ' ')} is reached.", extra={"quota": quota, "limit": limit}
        )


class Exhausted(DomainError):
    """A limit is reached; `retry_after_seconds` tells when to come back."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_seconds: float) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    """Something that is needed does not answer now; the same request may succeed later."""

    code = "dependency_unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class VersionConflict(Conflict):
    """The caller's `If-Match` names another version than the present one; `current` is the resource as it is now."""

    code = "version_conflict"

    def __init__(self, current: object, version: int) -> None:
        super().__init__(
            f"The resource is at version {version} now.", extra={"current_version": version, "current": current}
        )
