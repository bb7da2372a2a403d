"""The work that is tied to no request can be done by a process of its own, which serves nothing."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.clients import client, until
from tests.support.server import ServerProcess
from tests.support.services import free_port


@pytest.fixture
def launch(database_url: str, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Launches a command on one database; the processes end with the test."""
    processes: list[ServerProcess] = []

    def launch(*command: str, **environment: str) -> ServerProcess:
        process = ServerProcess(database_url, tmp_path / f"{command[0]}.log", None, environment, command)
        processes.append(process)
        return process.launch()

    yield launch
    for process in processes:
        process.stop()


async def test_a_worker_does_what_servers_leave_to_it_serves_nothing_and_ends_when_it_is_asked_to(
    database_url: str, launch: Callable[..., ServerProcess]
) -> None:
    connection = await asyncpg.connect(database_url)

    async def is_forgotten() -> bool:
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM tickets"))

    try:
        await connection.execute(
            "INSERT INTO tickets (digest, account_id, session_id, role, token_expires_at, opening, expires_at)"
            " VALUES ('old', gen_random_uuid(), gen_random_uuid(), 'user', now(), '', now() - interval '1 hour')"
        )
        server = launch("serve", "--no-worker")
        await until(server.is_ready, seconds=30)
        assert not await is_forgotten()
        probe_port = free_port()
        worker = launch("worker", PROBE_PORT=str(probe_port))
        await until(is_forgotten, seconds=30)
    finally:
        await connection.close()
    with urllib.request.urlopen(f"http://127.0.0.1:{probe_port}/live") as answer:
        assert answer.status == 200
    async with client(worker.base_url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/live")
    assert await asyncio.to_thread(worker.terminate) == 0


async def test_a_server_answers_probes_on_a_port_of_their_own_too(start_server: Callable[..., ServerProcess]) -> None:
    probe_port = free_port()
    start_server(PROBE_PORT=str(probe_port))
    with urllib.request.urlopen(f"http://127.0.0.1:{probe_port}/live") as answer:
        assert answer.status == 200
