"""An observer that remembers what it was told, for tests and for assemblies without telemetry."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from application.happenings import HAPPENINGS
from application.ports.events import Entry
from application.ports.observer import (
    OTHER,
    UNKNOWN,
    Activity,
    Command,
    Frames,
    Happening,
    Measure,
    Observer,
    Service,
    by_name,
)
from application.principal import Correlation, correlation, new_correlation
from domain.ids import AccountId

REMEMBERED_MAX = 1_000

T = TypeVar("T")


class MemoryObserver(Observer):
    """Counts calls and happenings. Remembers the last 1,000 values of each measure, and how 1,000 activities ended."""

    def __init__(self, happenings: Iterable[Happening] = HAPPENINGS, measures: Iterable[Measure] = ()) -> None:
        self._rows = by_name(happenings)
        self.values: dict[str, deque[float]] = {name: deque(maxlen=REMEMBERED_MAX) for name in by_name(measures)}
        self.calls: Counter[tuple[Service, str]] = Counter()
        self.happenings: Counter[tuple[str, str]] = Counter()
        self.ended: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_MAX)
        self.frames: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def request(self, method: str, request_id: str, traceparent: str) -> Activity:
        return _Remembered(self, method, new_correlation(request_id, traceparent))

    def command(self, name: Command, connection: str, origin: Correlation) -> Activity:
        return _Remembered(self, name, new_correlation())

    def called(self, service: Service, operation: str, began: float, error: BaseException | None = None) -> None:
        self.calls[service, operation] += 1

    def happened(self, what: str, outcome: str, **facts: object) -> None:
        if what not in self._rows:
            what, outcome = UNKNOWN, what
        elif outcome not in self._rows[what].outcomes:
            outcome = OTHER
        self.happenings[what, outcome] += 1

    def measured(self, what: str, value: float) -> None:
        if what in self.values:
            self.values[what].append(value)
        else:
            self.happenings[UNKNOWN, what] += 1

    def received(self, size: int) -> None:
        self.frames["received"] += 1
        self.bytes["received"] += size

    def sent(self, frames: Frames, count: int, size: int) -> None:
        self.frames[frames] += count
        self.bytes[frames] += size

    def delivered(self, entries: Sequence[Entry], receivers: int, began: float) -> None: ...

    def watched(self, thing: T) -> T:
        return thing


class _Remembered(Activity):
    def __init__(self, observer: MemoryObserver, name: str, cause: Correlation) -> None:
        self._observer = observer
        self._name = name
        self._cause = cause
        correlation.set(cause)

    @property
    def correlation(self) -> Correlation:
        return self._cause

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
        self._observer.ended.append({"name": self._name, "route": route, "status": status, "code": code})
