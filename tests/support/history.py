"""What clients did and were told while something went wrong, and whether that is what was promised."""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

Phase = Literal["invoke", "ok", "fail", "unknown"]

# What these answer may have happened; of any other refusal nothing has.
UNCERTAIN = frozenset({"outcome_unknown", "deadline_exceeded", "internal_error"})


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, `at` seconds on the clock of the history.

    `write`: a client set out to write `value` (`invoke`), or learned how that ended, by the same `number`; a timeout
    and a reset are `unknown`. `begin`: a subscriber starts behind `offset`, at first or because a resync told it to.
    `hear`: it was shown `offset`, which tells of `value`. `outage`: refusals are allowed from here (`invoke`) to here
    (`ok`).
    """

    at: float
    client: str
    op: Literal["write", "begin", "hear", "outage"]
    phase: Phase = "ok"
    number: int = 0
    value: str = ""
    key: str = ""
    """The idempotency key."""
    status: int = 0
    answer: str = ""
    """The id that a write made, or the code of its refusal."""
    retry_after: bool = False
    offset: int = 0


class Write:
    """A write that somebody set out on; how it ended is told once."""

    def __init__(self, end: Callable[..., None]) -> None:
        self._end = end

    def answered(self, status: int, answer: str, *, retry_after: bool = False) -> None:
        """It was answered, with the id that it made or with the code of a refusal."""
        phase: Phase = "ok" if 200 <= status < 300 else "unknown" if answer in UNCERTAIN else "fail"
        self._end(phase=phase, status=status, answer=answer, retry_after=retry_after)

    def lost(self) -> None:
        """No answer came."""
        self._end(phase="unknown")


class History:
    """Everything that happened, in order. `written` and `refused` count how writes ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.entries: list[Entry] = []
        self.written = 0
        self.refused = 0
        self._clock = clock
        self._numbers = itertools.count(1)

    def write(self, client: str, value: str, key: str = "") -> Write:
        """Somebody sets out to write a value that nobody else writes."""
        about = {"client": client, "op": "write", "number": next(self._numbers), "value": value, "key": key}
        self._add(**about, phase="invoke")

        def end(*, phase: Phase, **answer: object) -> None:
            self._add(**about, phase=phase, **answer)
            self.written += phase == "ok"
            self.refused += phase != "ok"

        return Write(end)

    def begin(self, client: str, offset: int) -> None:
        self._add(client=client, op="begin", offset=offset)

    def hear(self, client: str, offset: int, value: str = "") -> None:
        self._add(client=client, op="hear", offset=offset, value=value)

    @contextmanager
    def outage(self, name: str) -> Iterator[None]:
        """Something is away that requests need, so they may be refused."""
        self._add(client=name, op="outage", phase="invoke")
        try:
            yield
        finally:
            self._add(client=name, op="outage")

    def save(self, path: Path) -> None:
        """A line of JSON for each entry."""
        path.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in self.entries))

    def _add(self, **values: object) -> None:
        self.entries.append(Entry(at=self._clock(), **values))  # type: ignore[arg-type]


# Each checker returns what is wrong, in words; the best is nothing.


def lost_or_made_up(entries: Sequence[Entry], final: Mapping[str, str]) -> list[str]:
    """Every acknowledged value is there in the end, no refused one is, and none that nobody wrote.

    `final` holds the id of each value that there is.
    """
    last = {entry.number: entry for entry in entries if entry.op == "write"}
    endings: dict[str, set[Phase]] = defaultdict(set)
    for entry in last.values():
        endings[entry.value].add(entry.phase)
    wrong = [f"{value} was acknowledged and lost" for value in endings if "ok" in endings[value] and value not in final]
    wrong += [f"{value} was refused and is there" for value in endings if endings[value] == {"fail"} and value in final]
    return wrong + [f"{value} was never written and is there" for value in final if value not in endings]


def holes(entries: Sequence[Entry], reached: int) -> list[str]:
    """Each subscriber heard one offset after the other up to `reached`, from where it was told to begin."""
    wrong: list[str] = []
    positions: dict[str, int] = {}
    for entry in entries:
        if entry.op == "hear" and entry.offset != positions.get(entry.client, 0) + 1:
            wrong.append(f"{entry.client} heard {entry.offset} behind {positions.get(entry.client, 0)}")
        if entry.op in {"begin", "hear"}:
            positions[entry.client] = entry.offset
    return wrong + [f"{client} ended at {at} of {reached}" for client, at in positions.items() if at != reached]


def repeated_effects(entries: Sequence[Entry], happened: Sequence[str]) -> list[str]:
    """What was written under a key happened once, and whoever asked again was answered the same.

    `happened` holds a value for each effect in the journal.
    """
    times = Counter(happened)
    answers: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.op == "write" and entry.key:
            answers[entry.value].update({entry.answer} if entry.phase == "ok" else ())
    wrong = [f"{value} happened {times[value]} times" for value in answers if times[value] > 1]
    wrong += [f"{value} was answered and never happened" for value in answers if answers[value] and not times[value]]
    return wrong + [f"{value} was answered {sorted(told)}" for value, told in answers.items() if len(told) > 1]


def outages(entries: Sequence[Entry], recovery_seconds: float, patience_seconds: float) -> list[str]:
    """Nothing fails but in a declared outage and for `recovery_seconds` after it, and then writes succeed again.

    In one, too, a refusal is a 503 that says when to come back, and whatever the answer, it comes in time.
    """
    wrong: list[str] = []
    windows = _windows(entries)
    began: dict[int, float] = {}
    for entry in entries:
        if entry.op != "write":
            continue
        if entry.phase == "invoke":
            began[entry.number] = entry.at
            continue
        what = f"{entry.value}: {entry.status} {entry.answer}" if entry.status else f"{entry.value}: no answer"
        if (took := entry.at - began[entry.number]) > patience_seconds:
            wrong.append(f"{what} after {took:.2f} s")
        if entry.status >= 500 and (entry.status != 503 or not entry.retry_after):
            wrong.append(f"{what}, which is no 503 with Retry-After")
        is_broken = entry.status >= 500 or not entry.status
        # Whoever set out in an outage may be told of it a little later.
        if is_broken and not any(
            begin <= entry.at and began[entry.number] <= end + recovery_seconds for _, begin, end in windows
        ):
            wrong.append(f"{what}, outside of every outage")
    written = [entry.at for entry in entries if entry.op == "write" and entry.phase == "ok"]
    return wrong + [
        f"no write succeeded within {recovery_seconds:g} s after: {name}"
        for name, _, end in windows
        if not any(end <= at <= end + recovery_seconds for at in written)
    ]


def delays(entries: Sequence[Entry]) -> dict[tuple[str, str], float]:
    """Seconds from the acknowledgement of each value to its arrival at each subscriber, by subscriber and value."""
    acknowledged: dict[str, float] = {}
    for entry in entries:
        if entry.op == "write" and entry.phase == "ok":
            acknowledged.setdefault(entry.value, entry.at)
    return {
        (entry.client, entry.value): max(0.0, entry.at - acknowledged[entry.value])
        for entry in entries
        if entry.op == "hear" and entry.value in acknowledged
    }


def _windows(entries: Sequence[Entry]) -> list[tuple[str, float, float]]:
    """Name, begin and end of each outage."""
    begun: dict[str, float] = {}
    windows: list[tuple[str, float, float]] = []
    for entry in entries:
        if entry.op == "outage" and entry.phase == "invoke":
            begun[entry.client] = entry.at
        elif entry.op == "outage":
            windows.append((entry.client, begun.pop(entry.client), entry.at))
    return windows
