"""The port through which the application reports what happens. Adapters make logs, metrics and traces of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from application.ports.events import Entry
from application.principal import Correlation
from domain.ids import AccountId

Service = Literal["postgresql", "redis", "http"]
Command = Literal["connect", "subscribe", "publish", "call"]
Frames = Literal["event", "signal", "answer"]

# What an outcome counts as that its happening does not list, and a happening that no row describes.
OTHER, UNKNOWN = "other", "unknown"

T = TypeVar("T")


class Happening(Struct, frozen=True):
    """Something that is counted, by a label of a few outcomes that are known beforehand.

    `name` is what the log calls it. Its counter is `signalbox_{counter}_total`, with the help `text`. `security` gives
    the outcomes that are security events, each with its name in OWASP's logging vocabulary. ValueError if a name is no
    identifier.
    """

    name: str
    counter: str
    label: str
    text: str
    outcomes: Sequence[str]
    security: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        for name in (self.name, self.counter, self.label):
            _check(name)


class Measure(Struct, frozen=True):
    """Something that is measured again and again. Operators see how its values are distributed.

    `name` ends with the unit, such as `room_drift_seconds`. Its histogram is `signalbox_{name}`, with the help `text`
    and a bucket up to each of `bounds`. ValueError if the name is no identifier, or the bounds do not rise.
    """

    name: str
    text: str
    bounds: Sequence[float]

    def __post_init__(self) -> None:
        _check(self.name)
        if list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"the bounds of {self.name} do not rise")


class Gauge(Struct, frozen=True):
    """A present number that has to be asked for, such as the rooms that are open.

    Operators see it as `signalbox_{name}`, with the help `text`. `ask` returns it, at a price that does not grow with
    what is stored; if it fails, the number is missing. ValueError if the name is no identifier.
    """

    name: str
    text: str
    ask: Callable[[], Awaitable[float]]

    def __post_init__(self) -> None:
        _check(self.name)


R = TypeVar("R", Happening, Measure, Gauge)


def by_name(rows: Iterable[R]) -> Mapping[str, R]:
    """The rows by their names. ValueError if two share a name."""
    named: dict[str, R] = {}
    for row in rows:
        if named.setdefault(row.name, row) is not row:
            raise ValueError(f"two rows are called {row.name}")
    return named


def _check(name: str) -> None:
    if not (name.isidentifier() and name.isascii()):
        raise ValueError(f"{name!r} is no name of something that is counted")


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

    def happened(self, what: str, outcome: str, **facts: object) -> None:
        """Count one more of a happening, which is given by its name. The observer is made with the rows of all.

        An outcome that the row does not list counts as `other`. A happening without a row counts as unknown.

        With `facts`, it is also logged. It belongs to the activity of the present context. The fact `seconds` is its
        duration.
        """
        ...

    def measured(self, what: str, value: float) -> None:
        """Add a value to a measure, which is given by its name. A measure without a row is a happening without one."""
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
