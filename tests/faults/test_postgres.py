"""PostgreSQL is what cannot be done without: without it requests are refused soon, and afterwards nothing is lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from tests.support.clients import client, done, listening
from tests.support.exposition import Samples
from tests.support.load import ANSWER_SECONDS, under_load
from tests.support.own_postgres import OwnPostgres, small_disk
from tests.support.postgres_proxy import Commit, PostgresProxy
from tests.support.server import ServerProcess

Servers = list[ServerProcess]
Fault = tuple[Callable[[], None], Callable[[], None]]
# A command that PostgreSQL does not answer is given up after 8 s, and under a key its undoing after 2 more.
PATIENCE_SECONDS = 14.0


def stopped_and_started(postgres: OwnPostgres) -> Fault:
    return postgres.stop, postgres.start


def killed_and_started(postgres: OwnPostgres) -> Fault:
    return postgres.kill, postgres.start


def paused_and_resumed(postgres: OwnPostgres) -> Fault:
    return postgres.pause, postgres.resume


def urls(servers: Servers) -> list[str]:
    return [server.base_url for server in servers]


async def closings(servers: Servers) -> float:
    """How many live connections have ended."""
    total = 0.0
    for server in servers:
        async with client(server.base_url) as http:
            exposition = Samples((await http.get("/metrics")).text)
        total += sum(exposition.by("signalbox_ws_closed_total").values())
    return total


@pytest.mark.parametrize(
    "fault", [stopped_and_started, killed_and_started, paused_and_resumed], ids=lambda fault: fault.__name__
)
async def test_under_load_writes_are_refused_meanwhile_sockets_stay_and_nothing_is_lost(
    two: Servers, postgres: OwnPostgres, tmp_path: Path, fault: Callable[[OwnPostgres], Fault]
) -> None:
    inject, heal = fault(postgres)
    closed = await closings(two)
    async with (
        under_load(urls(two), tmp_path, patience_seconds=PATIENCE_SECONDS) as load,
        listening(two[0].base_url, load.ada.token) as live,
    ):
        await load.more()
        with load.history.outage(fault.__name__):
            await asyncio.to_thread(inject)
            await load.refusals(20)
            refused = await live.call("subscribe", channel=load.channel)
            assert (refused["code"], refused["retry"]) == ("dependency_unavailable", "later")
            await asyncio.to_thread(heal)
        await load.more()
        assert (await live.call("subscribe", channel=load.channel))["type"] == "reply"
        assert await closings(two) == closed


async def test_a_backend_that_crashes_takes_all_others_with_it_and_nothing_else(
    two: Servers, postgres: OwnPostgres, tmp_path: Path
) -> None:
    closed = await closings(two)
    async with under_load(urls(two), tmp_path) as load:
        for _ in range(3):
            await load.more()
            with load.history.outage("crash"):
                await asyncio.to_thread(postgres.kill_a_backend)
                await load.refusals(1)
        await load.more()
        assert await closings(two) == closed


@pytest.fixture
def cramped() -> Iterator[OwnPostgres]:
    """A PostgreSQL on a small disk of its own."""
    with small_disk(250) as folder:
        service = OwnPostgres(folder)
        yield service
        service.end()


async def test_while_the_disk_is_full_writes_are_refused_reads_go_on_and_sockets_stay(
    cramped: OwnPostgres, tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(cramped.url, RATE_LIMIT_ENABLED="false")
    async with under_load([server.base_url], tmp_path) as load:
        await load.more()
        with load.history.outage("disk"):
            await asyncio.to_thread(cramped.fill_disk)
            await load.refusals(20)
            done(await load.ada.get("/tasks"))
            await asyncio.to_thread(cramped.clear_disk)
        await load.more()
        assert await closings([server]) == 0
    server.stop()


@pytest.fixture
def cramped_log() -> Iterator[OwnPostgres]:
    """A PostgreSQL whose write-ahead log is on a small disk of its own."""
    with small_disk(64) as folder:
        service = OwnPostgres(log_folder=folder)
        yield service
        service.end()


async def test_without_room_for_its_log_postgresql_ends_itself_and_nothing_that_was_acknowledged_is_lost(
    cramped_log: OwnPostgres, tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(cramped_log.url, RATE_LIMIT_ENABLED="false")
    async with under_load([server.base_url], tmp_path) as load:
        await load.more()
        with load.history.outage("log"):
            await asyncio.to_thread(cramped_log.fill_disk)
            # What is begun is used up first; this begins the next file, for which there is no room.
            with suppress(asyncpg.PostgresError, OSError):
                await switch_log(cramped_log.url)
            await load.refusals(20)
            await asyncio.to_thread(cramped_log.clear_disk)
            await asyncio.to_thread(cramped_log.start)
        await load.more()
        assert await closings([server]) == 0
    server.stop()


async def switch_log(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        while True:
            await connection.execute("SELECT pg_logical_emit_message(false, '', 'x'), pg_switch_wal()")
    finally:
        connection.terminate()


async def test_a_disk_that_gives_out_costs_what_was_not_acknowledged_and_nothing_else(
    two: Servers, postgres: OwnPostgres, tmp_path: Path
) -> None:
    async with under_load(urls(two), tmp_path) as load:
        await load.more()
        with load.history.outage("fsync"):
            with postgres.failing_disk():
                await load.refusals(1)
            await load.more()
        await load.more()


@pytest.fixture
def proxied(
    new_database: Callable[[], str], start_server: Callable[..., ServerProcess]
) -> Iterator[tuple[ServerProcess, PostgresProxy]]:
    """A server that reaches PostgreSQL through a proxy."""
    with PostgresProxy(new_database()) as proxy:
        server = start_server(proxy.url, RATE_LIMIT_ENABLED="false")
        yield server, proxy
        server.stop()


async def test_under_load_a_commit_without_a_reply_happens_once_under_its_key(
    proxied: tuple[ServerProcess, PostgresProxy], tmp_path: Path
) -> None:
    server, proxy = proxied
    async with under_load([server.base_url], tmp_path) as load:
        for fate in (Commit.LOST, Commit.UNSENT):
            await load.more()
            with load.history.outage(fate.value):
                proxy.fail_commits(fate, times=20)
                await load.refusals(20)
                proxy.heal()
        await load.more()
    assert {entry.answer for entry in load.history.entries if entry.status == 503} == {"outcome_unknown"}


async def test_a_slow_postgresql_makes_everybody_slow_and_refuses_nobody(
    proxied: tuple[ServerProcess, PostgresProxy], tmp_path: Path
) -> None:
    server, proxy = proxied
    async with under_load([server.base_url], tmp_path, patience_seconds=10) as load:
        await load.more()
        proxy.delay(0.1)  # in either direction
        await load.going_on(5)
        proxy.heal()
        await load.more()
    assert load.history.refused == 0


async def test_a_postgresql_that_takes_two_seconds_for_each_step_harms_nobody_once_it_is_fast_again(
    proxied: tuple[ServerProcess, PostgresProxy], tmp_path: Path
) -> None:
    server, proxy = proxied
    # Nine steps are in a write under a key, so it may take as long as a request may.
    async with under_load([server.base_url], tmp_path, patience_seconds=ANSWER_SECONDS) as load:
        await load.more()
        with load.history.outage("two seconds for each step"):
            proxy.delay(1.0)  # in either direction
            await load.refusals(10)
            proxy.heal()
            await load.more()
        await load.more()
