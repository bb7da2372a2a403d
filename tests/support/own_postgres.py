"""A PostgreSQL of a test's own, which it may stop, kill, hang and starve of room."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from adapters.embedded import EmbeddedPostgres
from adapters.postgres import migrations


class OwnPostgres:
    """A durable PostgreSQL with one migrated database, at `url`, to which anything may be done; `start` heals it.

    With a `folder` its data is there, or else in one of its own; with a `log_folder` its write-ahead log is there.
    """

    def __init__(self, folder: Path | None = None, log_folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
        self.folder.chmod(0o711)
        self._ballast = (log_folder or self.folder) / "ballast"
        self._server = EmbeddedPostgres(self.folder)
        try:
            self.url = self._server.start()
            migrations.upgrade(self.url)
            if log_folder:
                self._move_log(log_folder)
        except BaseException:
            self.end()
            raise

    def start(self) -> None:
        """Start it again at the same address, whatever became of it."""
        self._server.stop()
        self._server.start()

    def stop(self) -> None:
        """End it in order, cutting all connections."""
        self._server.stop()

    def kill(self) -> None:
        """End all its processes as a crash would."""
        for process in self._processes():
            process.kill()

    def kill_a_backend(self) -> None:
        """End one that serves a connection, after which PostgreSQL ends all others and recovers by itself."""
        next(process for process in self._processes() if "[local]" in " ".join(process.cmdline())).kill()

    def fill_disk(self) -> None:
        """Take all the room that is left where the data is, or the log if that is apart; until `clear_disk`."""
        with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(65_536))

    def clear_disk(self) -> None:
        self._ballast.unlink()

    def pause(self) -> None:
        """Stop it from answering, while its connections stay open; until `resume`."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        for process in reversed(self._processes()):
            process.resume()

    @contextmanager
    def failing_disk(self) -> Iterator[None]:
        """Let every fsync of those who serve connections fail, as on a disk that gives out."""
        backends = [f"--attach={process.pid}" for process in self._processes()[1:]]
        failing = ["--quiet=all", "--trace=fsync,fdatasync", "--inject=fsync,fdatasync:error=EIO", "--output=/dev/null"]
        tracer = subprocess.Popen(["strace", *failing, *backends], stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            tracer.terminate()
            tracer.wait()

    def _move_log(self, folder: Path) -> None:
        self._server.stop()
        log = self.folder / "postgres" / "pg_wal"
        subprocess.run(["cp", "--archive", log, folder], check=True)
        shutil.rmtree(log)
        log.symlink_to(folder / log.name)
        self._server.start()

    def end(self) -> None:
        """Stop it for good, and remove its data."""
        self._server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes(self) -> list[psutil.Process]:
        """The first one, which would start others, and then these."""
        first = psutil.Process(self._server.pid)
        return [first, *first.children()]


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A folder with so much room, which root alone can make."""
    folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        folder.rmdir()
