"""A PostgreSQL server on our own data: starts it, takes it over from a killed process, and stops it."""

import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from adapters.embedded.directory import locked, remove, sync
from adapters.embedded.programs import (
    SUPERUSER,
    VERSION,
    WHEEL,
    DataDirectoryInUse,
    EmbeddedPostgresError,
    environment,
    programs,
)
from adapters.embedded.root import make_passable, make_readable, stand_in

DATABASE = "signalbox"
START_SECONDS = 60.0  # crash recovery included
STOP_SECONDS = 20.0
# How long a recorded server without a listening socket may still be starting up or shutting down.
SILENCE_SECONDS = 3.0
LOG_MAX_BYTES = 1_000_000
# The shortest limit of the systems we run on (macOS: 104 with the closing NUL).
SOCKET_PATH_MAX = 103

_SOCKET = ".s.PGSQL.5432"
# Other characters need quoting, which differs between the URL, PostgreSQL's settings and the two drivers.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+\Z")
_SOCKET_FOLDER = "signalbox-"
_UNFINISHED = "postgres.new-"

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

log = logging.getLogger(__name__)


class _Recorded(NamedTuple):
    """The record that a postmaster writes about itself into its data directory."""

    pid: int
    socket_folder: Path
    ready: bool


class EmbeddedPostgres:
    """A PostgreSQL server with its data in `data_dir`, for one process at a time.

    It listens on a Unix socket only, in a folder that only its user and root can enter. It runs in a session of its
    own, so that a Ctrl-C in the terminal reaches us and not the database. So it survives if we are killed: the next
    start takes it over, or recovers the data if it was killed too. If root starts it, it runs as the owner of the
    data, and for new data as `postgres` or `nobody`. Folders on the path to the data then become passable (o+x).

    With `durable=False` a crash of the machine loses the data: for tests only.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._home = data_dir.absolute()
        self._data = self._home / "postgres"
        self._log_path = self._home / "postgres.log"
        self._durable = durable
        self._programs = programs()
        self._identity: dict[str, Any] = {}
        self._lock: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._running: _Recorded | None = None

    def start(self) -> str:
        """Start the server, or take over one that a killed process left, and return the URL of our database.

        Blocks for about 0.2 s on existing data, and for a few seconds on new data. DataDirectoryInUse while another
        process has the directory. EmbeddedPostgresError, with the end of the log, if PostgreSQL does not start.
        """
        if self._running is not None:
            return self.url
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock = locked(self._home / "postgres.lock")
            if os.geteuid() == 0:
                self._step_down()
            self._make_data()
            self._running = self._run()
            self._psql(
                self._running.socket_folder,
                f"SELECT 'CREATE DATABASE {DATABASE}' WHERE NOT EXISTS"  # noqa: S608  # a constant
                f" (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec",
            )
        except PermissionError as error:
            self.stop()
            raise EmbeddedPostgresError(
                f"{error.filename or self._home} belongs to another user: run as that user, or set DATA_DIR."
            ) from error
        except BaseException:
            self.stop()
            raise
        return self.url

    @property
    def url(self) -> str:
        """The URL of our database for asyncpg and SQLAlchemy. Only while the server runs."""
        if self._running is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not running.")
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self._running.socket_folder}&port=5432"

    @property
    def pid(self) -> int:
        """The process id of the server. Only while it runs."""
        if self._running is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not running.")
        return self._running.pid

    def stop(self) -> None:
        """Stop the server after a checkpoint, and cut open connections. Does nothing if it is not running."""
        if self._running is not None:
            for request in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate: neither loses data
                if self._ended(self._running.pid, request):
                    break
            else:
                log.warning("PostgreSQL (pid %d) does not end; the next start takes it over", self._running.pid)
            self._discard_socket_folder(self._running.socket_folder)
            self._running = self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _ended(self, pid: int, request: signal.Signals) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        if self._is_up(pid):
            os.kill(pid, request)
        while self._is_up(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _is_up(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        # A server that was taken over is not our child. Its record tells if it runs, and guards against a reused pid.
        recorded = self._recorded()
        return recorded is not None and recorded.pid == pid and _exists(pid)

    # ------------------------------------------------------------------------------------------ the data directory

    def _step_down(self) -> None:
        """Choose the user that runs the server in place of root, and give them access to the files."""
        found = self._data.stat() if self._data.exists() else None
        user, group = (found.st_uid, found.st_gid) if found and found.st_uid else stand_in()
        self._identity = {"user": user, "group": group, "extra_groups": []}
        make_passable((self._data, self._programs))
        if not (self._programs / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
            for part in (self._programs.parent, self._programs.parents[2] / f"{WHEEL}.libs"):
                make_readable(part)

    def _make_data(self) -> None:
        # Made in another folder and moved when complete, so that a process killed meanwhile leaves no partial data.
        for unfinished in self._home.glob(f"{_UNFINISHED}*"):
            remove(unfinished)
        version = self._data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(VERSION):
                raise EmbeddedPostgresError(
                    f"{self._data} was made by PostgreSQL {found}, and this is {VERSION}: dump and restore it."
                )
            return
        unfinished = self._own(Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._home)))
        self._call(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            "--auth=trust",  # the folder of the socket is private
            "--encoding=UTF8",
            "--locale=C",  # the same order and the same log on every machine
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *(() if self._durable else ("--no-sync",)),
        )
        unfinished.rename(self._data)
        if self._durable:
            sync(self._home)

    def _own(self, folder: Path) -> Path:
        if self._identity:
            os.chown(folder, self._identity["user"], self._identity["group"])
        return folder

    # --------------------------------------------------------------------------------------------------- the server

    def _run(self) -> _Recorded:
        deadline = time.monotonic() + START_SECONDS
        silent_since: float | None = None
        while True:
            left = self._recorded()
            if left is not None and self._answers(left):
                log.info("taking over the PostgreSQL that an earlier run left (pid %d)", left.pid)
                return left
            recorded, said = self._launch(deadline)
            if recorded is not None:
                return recorded
            # Refused because of another server: one that is starting up or shutting down, remaining processes of a
            # killed one, or a record whose pid belongs to another program by now.
            if not ("lock file" in said or "still in use" in said) or time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL did not start; {self._log_path} ends with:\n{said}")
            if "lock file" not in said or (left is not None and _listens(left.socket_folder / _SOCKET)):
                silent_since = None
            elif silent_since is None:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > SILENCE_SECONDS:
                # If this guess is wrong, PostgreSQL's lock in shared memory still refuses a second server.
                self._forget(left)
            time.sleep(0.1)

    def _answers(self, left: _Recorded) -> bool:
        """Whether a server that an earlier process started serves exactly this directory."""
        if not _listens(left.socket_folder / _SOCKET):
            return False
        try:
            served = Path(self._psql(left.socket_folder, "SHOW data_directory"))
        except EmbeddedPostgresError:  # the server is starting up or shutting down
            return False
        if not served.exists() or not served.samefile(self._data):
            raise DataDirectoryInUse(
                f"A PostgreSQL (pid {left.pid}) that was started as {served} still has this data: end it first."
            )
        return True

    def _launch(self, deadline: float) -> tuple[_Recorded | None, str]:
        """The new server once it accepts connections, or None and its last log lines."""
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_MAX_BYTES:
            self._log_path.unlink()
        folder = self._make_socket_folder()
        settings = {
            **_SETTINGS,
            **(_DURABLE if self._durable else _FLEETING),
            "unix_socket_directories": str(folder),
        }
        with self._log_path.open("ab") as output:
            begin = output.tell()
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *(f"--{k}={v}" for k, v in settings.items())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment(),
                start_new_session=True,
                **self._identity,
            )
        try:
            while self._process.poll() is None:
                recorded = self._recorded()
                if recorded is not None and recorded.pid == self._process.pid and recorded.ready:
                    return recorded, ""
                if time.monotonic() > deadline:
                    self._process.send_signal(signal.SIGQUIT)
                    self._process.wait()
                time.sleep(0.01)
        except BaseException:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            raise
        self._discard_socket_folder(folder)
        with self._log_path.open("rb") as written:
            written.seek(begin)
            return None, written.read()[-3000:].decode(errors="replace")

    def _make_socket_folder(self) -> Path:
        """The data directory, which is private to its owner, or a short private folder if its path does not suit."""
        path = str(self._data / _SOCKET)
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX and _PLAIN_PATH.match(path):
            return self._data
        place = tempfile.gettempdir()
        if len(place) > SOCKET_PATH_MAX - 40 or not _PLAIN_PATH.match(place):
            place = "/tmp"  # noqa: S108  # mkdtemp makes a private folder with an unpredictable name
        folder = self._own(Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDER, dir=place)))
        if self._identity:
            make_passable((folder,))
        return folder

    def _discard_socket_folder(self, folder: Path) -> None:
        if folder != self._data and folder.name.startswith(_SOCKET_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)

    def _recorded(self) -> _Recorded | None:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return _Recorded(int(lines[0]), Path(lines[4]), len(lines) > 7 and lines[7].startswith("ready"))
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _forget(self, left: _Recorded | None) -> None:
        log.warning("removing what a PostgreSQL that is gone wrote about itself: %s", left or "nothing legible")
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        (self._data / f"{_SOCKET}.lock").unlink(missing_ok=True)
        if left is not None:
            self._discard_socket_folder(left.socket_folder)

    # --------------------------------------------------------------------------------------------------- its programs

    def _psql(self, socket_folder: Path, script: str) -> str:
        return self._call(
            "psql",
            *("--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1"),
            *(f"--host={socket_folder}", "--port=5432", f"--username={SUPERUSER}", "--dbname=postgres"),
            script=script,
        )

    def _call(self, program: str, *arguments: str, script: str = "") -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._programs / program, *arguments],
            input=script,
            capture_output=True,
            text=True,
            cwd="/",
            env=environment(),
            check=False,
            timeout=START_SECONDS,
            **self._identity,
        )
        if done.returncode:
            raise EmbeddedPostgresError(f"{program} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
