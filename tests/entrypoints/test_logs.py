"""Lines of the log: each is one, whatever is in it, and nobody waits for who reads them."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from entrypoints.logs import LINES_MAX, REPEATS_MAX, Lines

ROOT = Path(__file__).parents[2]
# Everything that may end a line or steer a terminal, and what UTF-8 has no bytes for.
EVIL = "one\r\n{two}\x1b[31m\x9b31m\x00\u2028\u202e\ud800"
BEGINNING = "import logging, structlog; from entrypoints import logs; log = logging.getLogger('a.b')\n"


def said(style: str, script: str, level: str = "info") -> list[str]:
    """What a process logs that does this."""
    configured = f"logs.configure({level!r}, {style!r}, **{{'service.name': 'signalbox', 'instance': 'here'}})\n"
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-X", "utf8", "-c", BEGINNING + configured + script]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert not done.stdout
    return done.stderr.decode("ascii" if style == "json" else "utf-8").splitlines()


def events(script: str, level: str = "info") -> list[dict[str, Any]]:
    return [json.loads(line) for line in said("json", script, level)]


def test_a_line_says_what_happened_where_and_when() -> None:
    (line,) = events("structlog.get_logger().info('request', **{'http.route': '/tasks', 'seconds': 0.5})")
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "http.route": "/tasks",
        "seconds": 0.5,
        "service.name": "signalbox",
        "instance": "here",
    }


def test_what_libraries_say_is_a_line_of_the_same_form() -> None:
    first, second = events("log.info('%s is away', 'Redis'); import warnings; warnings.warn('old')")
    assert (first["event"], first["message"], first["logger"]) == ("log", "Redis is away", "a.b")
    assert (second["level"], second["logger"]) == ("warning", "py.warnings")


def test_a_line_is_tied_to_the_request_in_whose_course_it_is_written() -> None:
    (line,) = events(
        "from application.principal import correlation, new_correlation\n"
        f"correlation.set(new_correlation('mine', '00-{'a' * 32}-{'b' * 16}-01')); log.warning('late')"
    )
    assert (line["request_id"], line["trace_id"], line["span_id"]) == ("mine", "a" * 32, "b" * 16)


@pytest.mark.parametrize("style", ["json", "text"])
def test_nothing_that_people_send_ends_a_line_or_steers_a_terminal(style: str) -> None:
    script = (
        f"evil = {EVIL!r}\n"
        "log.warning('%s', evil); structlog.get_logger().info('request', name=evil)\n"
        "try:\n    raise ValueError(evil)\nexcept ValueError: log.exception('failed')\n"
    )
    lines = said(style, script)
    assert all(character.isprintable() for line in lines for character in line)
    assert not [line for line in lines if line.startswith("{two}")]
    if style == "json":
        assert len(lines) == 3
        assert json.loads(lines[1])["name"] == EVIL.replace("\ud800", "\\ud800")
    else:
        # Only the traceback has lines of its own, and they are indented.
        assert [line[0].isspace() for line in lines[:3]] == [False] * 3
        assert all(line.startswith("    ") for line in lines[3:])


@pytest.mark.parametrize("style", ["json", "text"])
def test_an_exception_is_told_with_its_stack_and_without_what_variables_hold(style: str) -> None:
    lines = said(
        style,
        "def sign_in(password):\n    raise KeyError('no such thing')\n"
        "try:\n    sign_in('hunter' + '2')\nexcept KeyError: log.exception('it failed')\n",
    )
    text = "\n".join(lines)
    assert "in sign_in" in text
    assert "no such thing" in text
    assert "hunter2" not in text
    if style == "json":
        (line,) = map(json.loads, lines)
        assert (line["level"], line["message"], line["error.type"]) == ("error", "it failed", "KeyError")


def test_a_process_that_fails_says_so_in_a_line_too() -> None:
    (line,) = events("raise RuntimeError('out of luck')")
    assert (line["level"], line["error.type"]) == ("critical", "RuntimeError")
    assert "out of luck" in line["error.stack"]


def test_a_line_that_cannot_be_written_as_it_is_is_written_otherwise() -> None:
    script = "class Odd:\n    def __str__(self): raise ValueError('no text')\n"
    (line,) = events(script + "structlog.get_logger().info('request', odd=Odd(), route='/tasks')")
    assert "Odd object" in line["odd"]
    assert line["route"] == "/tasks"


def test_the_same_complaint_is_told_a_few_times_and_then_counted() -> None:
    script = (
        "logs.REPEATS_SECONDS = 1_000\n"
        "def complain(): log.warning('again')\n"
        "for _ in range(100): complain()\n"
        "log.warning('another'); logs.REPEATS_SECONDS = 0; complain()\n"
    )
    lines = events(script)
    assert [line["message"] for line in lines] == ["again"] * REPEATS_MAX + ["another", "again"]
    assert [line.get("suppressed") for line in lines] == [None] * (REPEATS_MAX + 1) + [100 - REPEATS_MAX]


def test_what_is_below_the_level_is_not_said() -> None:
    assert not events("log.info('x'); structlog.get_logger().info('x')", level="warning")
    assert len(events("log.debug('x'); structlog.get_logger().debug('x')", level="debug")) == 2


def test_a_reader_that_stands_still_costs_lines_and_nobodys_time() -> None:
    reader, writer = os.pipe()
    lines = Lines(writer)
    line = b"x" * 99 + b"\n"
    for _ in range(LINES_MAX + 20_000):  # a pipe takes 64 KiB at least, and the thread has a piece in its hands
        lines.write(line)
    assert lines.dropped >= 15_000
    kept = LINES_MAX + 20_000 - lines.dropped
    heard: list[bytes] = []
    listening = threading.Thread(target=lambda: heard.extend(iter(lambda: os.read(reader, 65_536), b"")))
    listening.start()
    lines.settle()
    os.close(writer)
    listening.join(10)
    os.close(reader)
    assert b"".join(heard) == line * kept


def test_lines_that_nobody_will_ever_read_are_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = Lines(writer)
    for _ in range(3):
        lines.write(b"lost\n")
    lines.settle()
    os.close(writer)
    assert lines.dropped == 3
