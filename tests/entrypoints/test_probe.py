"""Liveness is told by a thread of its own: while the event loop is busy, and when it is so for too long."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from entrypoints.probe import METRICS_TYPE, STUCK_SECONDS, Heart, probed
from tests.support.services import free_port


def ask(port: int, path: str = "/live", host: str = "127.0.0.1") -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if error.headers["Content-Type"] == "application/json" else body


def asked_while_blocked(port: int, silent_seconds: float) -> Future[tuple[int, Any]]:
    """Block the event loop until a thread has got an answer that says the loop stood still for so long."""

    def until_silent() -> tuple[int, Any]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            status, body = ask(port)
            if body["silent_seconds"] >= silent_seconds:
                return status, body
        raise TimeoutError

    with ThreadPoolExecutor(1) as threads:  # whose end waits for the thread, and the event loop with it
        return threads.submit(until_silent)


@asynccontextmanager
async def beating(
    port: int,
    host: str = "127.0.0.1",
    stuck_seconds: float = STUCK_SECONDS,
    late: Callable[[float], None] = lambda _: None,
) -> AsyncIterator[Heart]:
    """A probe of a heart that beats on this event loop."""
    heart = Heart(late)
    async with probed(host, port, heart, lambda: b"a_metric 1\n", stuck_seconds):
        beat = asyncio.create_task(heart.beat())
        yield heart
        beat.cancel()


async def test_it_answers_while_the_event_loop_is_blocked() -> None:
    port = free_port()
    async with beating(port):
        status, body = asked_while_blocked(port, 0.6).result()
        assert (status, body["status"]) == (200, "alive")


async def test_it_fails_once_the_event_loop_stood_still_for_too_long_and_not_after_that() -> None:
    port = free_port()
    async with beating(port, stuck_seconds=0.6):
        status, body = asked_while_blocked(port, 0.7).result()
        assert (status, body["status"]) == (503, "stuck")
        await asyncio.sleep(0)  # one turn of the loop
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(ask, port))[0] != 200:
                pass


async def test_it_tells_the_metrics_too() -> None:
    port = free_port()
    async with beating(port):
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics") as answer:
            assert (answer.headers["Content-Type"], answer.read()) == (METRICS_TYPE, b"a_metric 1\n")


async def test_a_heart_tells_how_late_it_beats_and_counts_the_tasks() -> None:
    late: list[float] = []
    async with beating(0, late=late.append) as heart:
        await asyncio.sleep(0)
        time.sleep(0.5)
        async with asyncio.timeout(5):
            while not late:
                await asyncio.sleep(0)
        assert late[0] >= 0.2
        assert heart.tasks == len(asyncio.all_tasks())


async def test_it_answers_nothing_else_and_says_nothing_of_python() -> None:
    port = free_port()
    async with beating(port, host="::1"):
        assert (await asyncio.to_thread(ask, port, "/etc/passwd", "[::1]"))[0] == 404
        with await asyncio.to_thread(urllib.request.urlopen, f"http://[::1]:{port}/live") as answer:
            assert answer.headers["Server"].strip() == "signalbox"


async def test_a_port_that_is_taken_is_named() -> None:
    port = free_port()
    async with beating(port):
        with pytest.raises(OSError, match=f"PROBE_PORT {port}"):
            async with beating(port):
                pass


async def test_the_port_is_free_again_at_the_end_and_there_is_none_without_a_number() -> None:
    port = free_port()
    for _ in range(2):
        async with beating(port):
            assert (await asyncio.to_thread(ask, port))[0] == 200
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(ask, port)
    async with beating(0):
        pass
