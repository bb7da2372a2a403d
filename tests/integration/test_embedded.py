"""The embedded PostgreSQL keeps its promises through kills, interrupts and awkward paths, with real processes."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.embedded import DataDirectoryInUse, EmbeddedPostgres, EmbeddedPostgresError
from tests.support.clients import until
from tests.support.promised import within

SRC = Path(__file__).parents[2] / "src"
# Starts it, says so, and stops it on the end of its input or on an interrupt.
HOLDER = """
import asyncio, pathlib, signal, sys, asyncpg
from adapters.embedded import EmbeddedPostgres

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored

async def answers():
    connection = await asyncpg.connect(postgres.url)
    try:
        return await connection.fetchval("SELECT count(*) FROM kept")
    finally:
        await connection.close()

postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
print(postgres.start(), postgres.pid, flush=True)
try:
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted, and it still answers:", asyncio.run(answers()), flush=True)
postgres.stop()
"""


class Holder:
    """Another process that holds an embedded PostgreSQL; it is killed, if need be, at the end of the block."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC)},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def ready(self) -> tuple[str, int]:
        """The URL, and the pid of the server."""
        url, pid = self.line().split()
        return url, int(pid)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="signalbox-embedded-"))
    yield folder / "var"
    recorded = folder / "var" / "postgres" / "postmaster.pid"
    if recorded.exists():
        EmbeddedPostgres(folder / "var").start()
        _end(int(recorded.read_text().split()[0]))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """Where it was started once and stopped. What is there is for copying."""
    folder = Path(tempfile.mkdtemp(prefix="signalbox-embedded-"))
    _start_and_stop(folder / "var")
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture
def used(home: Path, initialised: Path) -> Path:
    """A home in which it was started before, as to make new data takes longer than all the rest."""
    subprocess.run(["cp", "-a", initialised, home], check=True)
    return home


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGINT)
    while _runs(pid):
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether the process is there and more than a zombie that nobody waits for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


async def _keep(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    await connection.close()


async def _kept(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        number: int = await connection.fetchval("SELECT number FROM kept")
    finally:
        await connection.close()
    return number


async def test_a_second_start_is_fast_and_finds_the_data_of_the_first(home: Path) -> None:
    first = EmbeddedPostgres(home)
    await _keep(first.start())
    first.stop()

    with within(5):
        second = EmbeddedPostgres(home)
        url = second.start()
    assert await _kept(url) == 7
    second.stop()
    assert not (home / "postgres" / "postmaster.pid").exists()


async def test_both_drivers_read_its_url(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    postgres = EmbeddedPostgres(used)
    url = postgres.start()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT current_database()") == "signalbox"
    await connection.close()
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as through_sqlalchemy:
        assert await through_sqlalchemy.scalar(text("SELECT current_database()")) == "signalbox"
    await engine.dispose()
    postgres.stop()


async def test_it_keeps_what_it_acknowledges_and_listens_on_no_network(used: Path) -> None:
    postgres = EmbeddedPostgres(used)
    connection = await asyncpg.connect(postgres.start())
    names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses", "max_connections")
    settings = {name: await connection.fetchval(f"SHOW {name}") for name in names}
    await connection.close()
    postgres.stop()
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "max_connections": "100",
    }


async def test_a_killed_server_comes_back_with_all_that_was_committed(used: Path) -> None:
    first = EmbeddedPostgres(used)
    await _keep(first.start())
    os.kill(first.pid, signal.SIGKILL)
    first.stop()

    second = EmbeddedPostgres(used)
    assert await _kept(second.start()) == 7
    second.stop()


async def test_the_server_of_a_killed_process_is_taken_over_and_can_be_stopped(used: Path) -> None:
    with Holder(used) as holder:
        url, pid = holder.ready()
        await _keep(url)
    assert _runs(pid)

    successor = EmbeddedPostgres(used)
    assert successor.start() == url
    assert successor.pid == pid
    assert await _kept(url) == 7
    successor.stop()
    # It takes its record away, by which it is known to have stopped, just before it ends.
    await until(lambda: not _runs(pid))


async def test_killing_the_process_and_its_server_loses_nothing(used: Path) -> None:
    with Holder(used) as holder:
        url, pid = holder.ready()
        await _keep(url)
    os.kill(pid, signal.SIGKILL)

    successor = EmbeddedPostgres(used)
    assert await _kept(successor.start()) == 7
    assert successor.pid != pid
    successor.stop()


async def test_a_record_whose_pid_now_belongs_to_another_process_is_no_obstacle(used: Path) -> None:
    first = EmbeddedPostgres(used)
    await _keep(first.start())
    os.kill(first.pid, signal.SIGKILL)
    first.stop()
    record = used / "postgres" / "postmaster.pid"
    owner = record.stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None) as stranger:
        for file in (record, used / "postgres" / ".s.PGSQL.5432.lock"):
            _, _, rest = file.read_text().partition("\n")
            file.write_text(f"{stranger.pid}\n{rest}")
        second = EmbeddedPostgres(used)
        assert await _kept(second.start()) == 7
        second.stop()
        assert stranger.poll() is None
        stranger.kill()


async def test_a_record_that_a_power_cut_emptied_is_no_obstacle(used: Path) -> None:
    first = EmbeddedPostgres(used)
    await _keep(first.start())
    first.stop()
    (used / "postgres" / "postmaster.pid").write_text("")
    second = EmbeddedPostgres(used)
    assert await _kept(second.start()) == 7
    second.stop()


def test_an_initialisation_that_was_killed_leaves_nothing_half_made(home: Path) -> None:
    with Holder(home):
        while not any(home.glob("postgres.new-*/base")):
            time.sleep(0.002)
    assert not (home / "postgres").exists()

    _start_and_stop(home)
    assert sorted(path.name for path in home.iterdir()) == ["postgres", "postgres.lock", "postgres.log"]


def test_two_processes_cannot_have_the_same_data(used: Path) -> None:
    with Holder(used) as holder:
        holder.ready()
        with pytest.raises(DataDirectoryInUse, match=rf"\(pid {holder.process.pid}\) runs on {used}"):
            EmbeddedPostgres(used).start()
        assert holder.stop() == 0
    _start_and_stop(used)


async def test_an_interrupt_in_the_terminal_ends_it_only_when_it_is_stopped(used: Path) -> None:
    with Holder(used) as holder:
        url, pid = holder.ready()
        await _keep(url)
        os.killpg(holder.process.pid, signal.SIGINT)
        assert holder.line() == "interrupted, and it still answers: 1"
        assert holder.process.wait(30) == 0
    assert not _runs(pid)


async def test_a_folder_that_no_socket_fits_into_is_served_from_a_short_one(tmp_path: Path) -> None:
    home = tmp_path / ("long " * 20) / "ünd, odd:"
    postgres = EmbeddedPostgres(home)
    await _keep(postgres.start())
    folder = Path(str(make_url(postgres.url).query["host"]))
    assert not folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.stop()

    again = EmbeddedPostgres(home)
    assert await _kept(again.start()) == 7
    again.stop()
    assert not folder.exists()


def test_data_of_another_version_is_refused_with_its_name(used: Path) -> None:
    (used / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 17"):
        EmbeddedPostgres(used).start()
    (used / "postgres" / "PG_VERSION").write_text("18\n")


def test_data_that_cannot_be_started_is_told_with_the_end_of_the_log(used: Path) -> None:
    (used / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match="could not find the database system"):
        EmbeddedPostgres(used).start()


def test_it_runs_as_whoever_starts_it_but_never_as_root(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    owner = (home / "postgres" / "postmaster.pid").stat().st_uid
    private = (home / "postgres").stat().st_mode & 0o777 == 0o700
    postgres.stop()
    assert owner != 0
    assert os.geteuid() in {0, owner}
    assert private


def test_an_ordinary_user_needs_no_help(home: Path, initialised: Path) -> None:
    user = os.geteuid()
    if user:
        _start_and_stop(home)
    else:
        user = pwd.getpwnam("nobody").pw_uid  # to whom whoever made `initialised` has opened the way to the programs
        home.parent.chmod(0o777)
        assert _start_and_stop_as(user, home) == 0
    assert (home / "postgres").stat().st_uid == user


def _start_and_stop(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    postgres.stop()


def _start_and_stop_as(user: int, home: Path) -> int:
    """The exit status of that user's attempt: in a fork, because an interpreter may lie where they cannot go."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        _start_and_stop(home)
    except BaseException:  # noqa: BLE001  # whatever it is must not reach the test run that was forked
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
