"""The eight kinds of refusal. Each entry point maps them once, so no rule knows a status code."""

from collections.abc import Mapping
from typing import ClassVar


class DomainError(Exception):
    """A refusal that is reported to the caller.

    `code` is its stable name for programs, `detail` one sentence for a person. `pointer` is a JSON pointer to the
    offending field of the input. `extra` holds further members of the answer.
    """

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, pointer: str | None = None, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.extra = extra or {}


class Invalid(DomainError):
    """The input breaks a rule; sending it again without a change cannot succeed."""

    code = "validation_failed"


class Unauthenticated(DomainError):
    """The request carries no credential, or none that is valid."""

    code = "unauthenticated"


class Forbidden(DomainError):
    """The caller may see the resource, but may not do this with it."""

    code = "permission_denied"


class NotFound(DomainError):
    """The resource does not exist, or the caller may not know that it exists. Both have the same answer."""

    code = "not_found"

    def __init__(self, detail: str = "There is no such thing, or you may not see it.") -> None:
        super().__init__(detail)


class Conflict(DomainError):
    """The input is fine, but the present state does not allow it."""

    code = "conflict"


class QuotaExceeded(Conflict):
    """The account or workspace has as many resources of a kind as it may have. One has to be removed first."""

    code = "quota_exceeded"

    def __init__(self, quota: str, limit: int) -> None:
        super().__init__(
            f"The quota of {limit:,} {quota.replace('_', ' ')} is reached.", extra={"quota": quota, "limit": limit}
        )


class Gone(DomainError):
    """The caller may see that it was there, and it is over for good; no other request brings it back."""

    code = "gone"


class Exhausted(DomainError):
    """A limit is reached. The caller may try again after `retry_after_seconds`."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_seconds: float) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(DomainError):
    """A dependency does not answer now. The same request may succeed after `retry_after_seconds`."""

    code = "dependency_unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class VersionConflict(Conflict):
    """The caller's `If-Match` is not the present version. `current` is the resource as it is now."""

    code = "version_conflict"

    def __init__(self, current: object, version: int) -> None:
        super().__init__(
            f"The resource is at version {version} now.", extra={"current_version": version, "current": current}
        )
