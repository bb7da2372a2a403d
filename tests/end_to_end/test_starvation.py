"""A server that lacks something an operating system hands out goes on with what it has, and recovers by itself."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.support.clients import client, done, listening, sign_up, until
from tests.support.promised import within
from tests.support.server import ServerProcess

BUSY_SECONDS = 1.0


async def test_without_file_descriptors_new_connections_are_turned_away_and_nothing_spins(
    server: ServerProcess,
) -> None:
    process = psutil.Process(server.pid)
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        async with listening(server.base_url, ada.token, f"workspace:{ada.id}") as live:
            allowed = process.rlimit(psutil.RLIMIT_NOFILE)
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), allowed[1]))
            crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
            await until(lambda: all(reader.at_eof() for reader, _ in crowd))
            used = sum(process.cpu_times()[:2])
            began = monotonic()
            task = await ada.open_task("meanwhile")
            assert (await live.event("task.created"))["event"]["resource"]["id"] == task["id"]
            await until(lambda: monotonic() - began > BUSY_SECONDS)
            assert sum(process.cpu_times()[:2]) - used < 0.4 * BUSY_SECONDS

            process.rlimit(psutil.RLIMIT_NOFILE, allowed)
            async with client(server.base_url) as new:
                done(await new.get("/ready"))
            for _, writer in crowd:
                writer.close()
            await ada.open_task("after")
            await live.event("task.created")


@pytest.fixture
def deaf(new_database: Callable[[], str], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose log goes into a pipe that nobody reads from."""
    os.mkfifo(tmp_path / "pipe")
    with ExitStack() as stack:
        stack.callback(os.close, os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK))
        server = ServerProcess(new_database(), tmp_path / "pipe", None, {"RATE_LIMIT_ENABLED": "false"})
        stack.callback(server.stop)
        yield server.start()


async def test_a_log_that_nobody_reads_stops_no_request_and_no_end(deaf: ServerProcess) -> None:
    async with client(deaf.base_url) as http:
        ada = await sign_up(http)
        with within(30):
            for _ in range(30):
                for answer in await asyncio.gather(*(ada.get("/me") for _ in range(20))):
                    done(answer)
    with within(15):
        assert await asyncio.to_thread(deaf.terminate) == 0
