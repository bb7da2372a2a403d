"""What a client of live connections raises."""

from collections.abc import Mapping
from typing import Any


class Stopped(Exception):
    """The client must not connect again. `code` is the close code, or the status of the upgrade."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class CommandRefused(Exception):
    """A command was not carried out; `retry` is no, later, reauthenticate or resync.

    `extra` has what the server says besides, such as `current` of a `version_conflict`.
    """

    def __init__(self, code: str, message: str, retry: str, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry
        self.extra = extra or {}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "CommandRefused":
        """The error of a frame, or of a channel in the reply to `connect`."""
        return cls(told["code"], told["message"], told["retry"], told.get("extra"))
