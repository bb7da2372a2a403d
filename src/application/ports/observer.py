"""Where those who watch learn what happens; the logs, metrics and traces made of it are made elsewhere."""

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

# Every value that a happening may come with. The set is closed, so that each can be counted from zero.
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
        """What its effects are tied to it by."""
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
        """It is over: the template of its path and the status of its answer, or the code of the error that ended it.

        What is a stream lasts as long as its reader likes, and is never slow. `facts` are what else is worth a word.
        """
        ...


class Observer(Protocol):
    """Is told what happens. Telling never waits and never raises, and may be done from any task of the event loop."""

    def request(self, method: str, request_id: str, traceparent: str) -> Activity:
        """A request begins in this context, whose `correlation` is set; an id or trace that is empty is made.

        Whether its trace is recorded is not for the caller to say.
        """
        ...

    def command(self, name: Command, connection: str, origin: Correlation) -> Activity:
        """A command begins in this context, whose `correlation` is set, on a connection that `origin` opened."""
        ...

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        """A call of an outside service has ended.

        `operation` is one of few, such as `select tasks`, never a text with values in it; `began` is a time of
        `time.perf_counter()`. It is counted for the activity in whose context this is told.
        """
        ...

    def happened(self, what: Happening, outcome: str, **facts: object) -> None:
        """One more of what OUTCOMES lists, `other` for an outcome that it does not; with facts, worth a line.

        It is known for it that it happened in the course of the activity in whose context this is told.
        `seconds` among the facts is how long it lasted.
        """
        ...

    def received(self, size: int) -> None:
        """A frame with a text of so many bytes came in over a live connection."""
        ...

    def sent(self, frames: Frames, count: int, size: int) -> None:
        """So many frames went out to live connections, and so many bytes with all of them."""
        ...

    def delivered(self, entries: Sequence[Entry], receivers: int, began: float) -> None:
        """Entries of one stream went out to so many connections of this process, beginning at that `perf_counter`."""
        ...

    def watched(self, thing: T) -> T:
        """The same thing, with every call of its asynchronous methods seen as a step of the activity that makes it."""
        ...
