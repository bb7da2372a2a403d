"""Logs of the process: one event a line, from structlog and the standard library. Logging never waits for a reader."""

import atexit
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec
import structlog

from application.principal import correlation

LINES_MAX = 10_000
# Lines gather for this long and are then written together.
GATHER_SECONDS = 0.02
SETTLE_SECONDS = 2.0
AT_ONCE = 1_000
# Loggers that say too much, or repeat what we log ourselves. `websockets` and `uvicorn` would log what clients send.
CHATTY = {"alembic": "WARNING", "uvicorn": "WARNING", "urllib3": "WARNING", "opentelemetry": "CRITICAL"}
# How many warnings the same place in the code may log, and in how many seconds.
REPEATS_MAX = 10
REPEATS_SECONDS = 10.0

Event = MutableMapping[str, Any]

log = logging.getLogger(__name__)


class Lines:
    """Takes lines without blocking, and writes them from its own thread. While 10,000 wait, new lines are dropped.

    So a slow reader of the log costs lines, which `dropped` counts, and never delays a request.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._any = threading.Event()
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Take a line that ends with a line feed."""
        if len(self._waiting) >= LINES_MAX:
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._any.is_set():
            self._any.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
                self._thread.start()

    # structlog calls the method that is named after the level of a line.
    debug = info = warning = error = critical = write

    def settle(self) -> None:
        """Wait until everything is written, 2 s at most."""
        patience = time.monotonic() + SETTLE_SECONDS
        while (self._waiting or self._is_writing) and time.monotonic() < patience:
            time.sleep(GATHER_SECONDS / 4)

    def _run(self) -> None:
        while True:
            self._any.wait()
            self._is_writing = True
            time.sleep(GATHER_SECONDS)
            self._any.clear()
            while self._waiting:
                self._write_out(b"".join(self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))))
            self._is_writing = False

    def _write_out(self, piece: bytes) -> None:
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:
                time.sleep(GATHER_SECONDS)
            except OSError:  # standard error is closed or broken: the lines are lost
                self.dropped += piece.count(b"\n")
                return


lines = Lines(2)


def configure(level: str, style: Literal["json", "text"], **about: str) -> None:
    """Log events of at least this level to standard error. Lines of the style `json` carry `about`."""
    render = _Json(about) if style == "json" else _Text(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=level.upper(), handlers=[_Foreign(render)], force=True)
    logging.captureWarnings(capture=True)
    for name, least in CHATTY.items():
        logging.getLogger(name).setLevel(least)
    sys.excepthook = lambda kind, error, trace: log.critical("the process ends", exc_info=(kind, error, trace))
    atexit.register(lines.settle)


class _Json:
    """A line for machines: first the event, then its context, and last the process.

    One function instead of a chain of processors, because every request pays for it.
    """

    def __init__(self, about: Mapping[str, str]) -> None:
        self._end = (b"," + _encode(about)[1:] if about else b"}") + b"\n"

    def __call__(self, _: object, level: str, event: Event) -> bytes:
        line: dict[str, Any] = {"ts": datetime.now(UTC), "level": level, "event": event.pop("event")}
        line |= _ties()
        error = _error_in(event)
        line |= event
        if error is not None:
            line["error.type"] = type(error).__name__
            line["error.stack"] = "".join(traceback.format_exception(error))
        try:
            encoded = _encode(line)
        except Exception:  # noqa: BLE001  # a value that cannot be encoded must not fail its caller
            encoded = _encode({name: _shown(value) for name, value in line.items()})
        if not encoded.isascii():
            encoded = _HIDDEN_BYTES.sub(_escaped_bytes, encoded)
        return encoded[:-1] + self._end


class _Text:
    """A line for people, in colours on a terminal. Characters that could deceive a terminal are escaped."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="ts", sort_keys=False, exception_formatter=_plain_traceback
        )

    def __call__(self, logger: object, level: str, event: Event) -> bytes:
        error = _error_in(event)
        line: dict[str, Any] = {
            "ts": datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3],
            "level": level,
            **{name: _HIDDEN.sub(_escaped, str(value)) for name, value in {**event, **_ties()}.items()},
        }
        line["event"] = line.pop("message", line["event"])
        if error is not None:
            line["exc_info"] = (type(error), error, error.__traceback__)
        return (self._render(logger, level, line) + "\n").encode(errors="backslashreplace")


class _Foreign(logging.Handler):
    """Logs records of the standard library as the event `log`, at most 10 warnings of one place in 10 s."""

    def __init__(self, render: _Json | _Text) -> None:
        super().__init__()
        self._render = render
        # By place in the code: when counting began, the warnings logged, and those suppressed.
        self._complaints: dict[tuple[str, int], tuple[float, int, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        event: Event = {"event": "log", "message": record.getMessage(), "logger": record.name}
        if record.levelno >= logging.WARNING:
            now = time.monotonic()
            place = record.pathname, record.lineno
            since, count, in_vain = self._complaints.get(place, (now, 0, 0))
            if now - since > REPEATS_SECONDS:
                since, count = now, 0
            if count >= REPEATS_MAX:
                self._complaints[place] = since, count, in_vain + 1
                return
            self._complaints[place] = since, count + 1, 0
            if in_vain:
                event["suppressed"] = in_vain
        if record.exc_info:
            event["exc_info"] = record.exc_info
        lines.write(self._render(None, record.levelname.lower(), event))


def _ties() -> Mapping[str, str]:
    """The fields that tie a line to the current activity."""
    cause = correlation.get()
    if not cause.request_id:
        return {}
    trace = cause.traceparent
    return {"request_id": cause.request_id, "trace_id": trace[3:35], "span_id": trace[36:52]}


def _error_in(event: Event) -> BaseException | None:
    """The exception that the event carries, if any."""
    match event.pop("exc_info", None):
        case BaseException() as error:
            return error
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exc_info()[1]
        case _:
            return None


def _plain_traceback(out: TextIO, info: Any) -> None:
    """Indented, so that no line looks like an event. Variables are left out, because they may hold a password."""
    out.writelines(
        "\n    " + _HIDDEN.sub(_escaped, line) for line in "".join(traceback.format_exception(*info)).splitlines()
    )


def _shown(value: object) -> str:
    """The value as text that UTF-8 can encode."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ascii(value)


_encode = msgspec.json.Encoder(enc_hook=str).encode

# Characters that move a terminal's cursor or reverse its text: control characters, line separators, bidi controls.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_HIDDEN_BYTES = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _escaped_bytes(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())
