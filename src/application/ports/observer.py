"""The port through which the application reports what happens. Adapters make logs, metrics and traces of it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from application.ports.events import Entry
from application.principal import Correlation
from domain.ids import AccountId

Service = Literal["postgresql", "redis", "http"]
Command = Literal["connect", "subscribe", "publish", "call"]
Happening = Literal[
    "cache",
    "commit_unknown",
    "consumed",
    "denied",
    "dropped",
    "elapsed",
    "gap",
    "hint_refused",
    "idempotent_replay",
    "login",
    "origin_rejected",
    "position_check",
    "rate_limited",
    "refresh",
    "resume",
    "retry",
    "socket_closed",
    "socket_opened",
    "token_rejected",
]
Frames = Literal["event", "signal", "answer"]

# Every outcome of each happening. The set is closed, so that each outcome can be counted from zero.
OUTCOMES: Mapping[Happening, Sequence[str]] = {
    "cache": ("hit", "miss", "stale", "shared", "unavailable", "forged"),
    "commit_unknown": ("lost",),
    "consumed": ("done", "piece", "failed"),
    "denied": ("request", "command"),
    "dropped": ("ephemeral", "superseded"),
    "elapsed": ("done", "overtaken", "failed"),
    "gap": ("hint", "head"),
    "hint_refused": ("forged", "unreadable"),
    "idempotent_replay": ("request", "call"),
    "login": ("ok", "refused"),
    "origin_rejected": ("cookie", "preflight", "upgrade"),
    "position_check": ("level", "behind", "unavailable"),
    "rate_limited": ("request", "in_hand", "login_address", "login_account", "register", "password", "unconnected"),
    "refresh": ("ok", "grace", "reuse", "expired"),
    "resume": ("recovered", "offset", "epoch", "pruned"),
    "retry": ("stale",),
    "socket_closed": (
        *("by_peer", "lost", "1002", "1007", "1009", "4001", "4002", "4003", "4004", "4008"),
        *("4100", "4101", "4103", "4104", "4105", "4200", "4300"),
    ),
    "socket_opened": ("101", "401", "403", "429", "503"),
    "token_rejected": ("token_invalid", "token_expired", "session_ended", "credential_revoked"),
}
OTHER = "other"

T = TypeVar("T")


class Activity(Protocol):
    """A request, or a command over a live connection, from its first moment to its last."""

    @property
    def correlation(self) -> Correlation:
        """The correlation that ties its effects to it."""
        ...

    def end(
        self,
        *,
        route: str = "",
        status: int = 0,
        code: str = "",
        account: AccountId | None = None,
        is_stream: bool = False,
        **facts: str | int,
    ) -> None:
        """End the activity, with the template of its path and the status of its answer, or the code of its error.

        A stream lasts as long as its reader likes, so it never counts as slow. `facts` are further details for the log.
        """
        ...


class Observer(Protocol):
    """Takes reports of what happens. Its methods never wait and never raise, in any task of the event loop."""

    def request(self, method: str, request_id: str, traceparent: str) -> Activity:
        """Begin a request in this context, and set the context's `correlation`. An empty id or trace is made up.

        The caller does not decide whether the trace is recorded.
        """
        ...

    def command(self, name: Command, connection: str, origin: Correlation) -> Activity:
        """Begin a command on a connection that `origin` opened, and set the `correlation` of this context."""
        ...

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        """Report that a call of an outside service has ended.

        `operation` is one of a few texts, such as `select tasks`, never a text with values in it. `began` is a time of
        `time.perf_counter()`. The call counts for the activity of the present context.
        """
        ...

    def happened(self, what: Happening, outcome: str, **facts: object) -> None:
        """Count one more of a happening. An outcome that OUTCOMES does not list counts as `other`.

        With `facts`, it is also logged. It belongs to the activity of the present context. The fact `seconds` is its
        duration.
        """
        ...

    def received(self, size: int) -> None:
        """Report that a text frame of `size` bytes arrived over a live connection."""
        ...

    def sent(self, frames: Frames, count: int, size: int) -> None:
        """Report that `count` frames, of `size` bytes together, were sent to live connections."""
        ...

    def delivered(self, entries: Sequence[Entry], receivers: int, began: float) -> None:
        """Report that entries of one stream were sent to `receivers` connections of this process.

        `began` is the time of `time.perf_counter()` before the first was sent.
        """
        ...

    def watched(self, thing: T) -> T:
        """The same object, which reports each call of its asynchronous methods as a step of the calling activity."""
        ...
