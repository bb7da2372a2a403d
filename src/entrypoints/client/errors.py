"""What a client of live connections raises."""


class Stopped(Exception):
    """The client must not connect again. `code` is the close code, or the status of the upgrade."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class CommandRefused(Exception):
    """A command was not carried out; `retry` is no, later, reauthenticate or resync."""

    def __init__(self, code: str, message: str, retry: str) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry
