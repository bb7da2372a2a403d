"""A real server process for the tests that need one: to talk to, to terminate, to kill and to start again."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.services import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 35.0  # a drain may take 30
JWT_SECRET = "only-for-tests-7hq2vz9kc4mx1tb8wd3rf6np"


class ServerProcess:
    """`signalbox serve`, another `command` or `module`, on a free port of the loopback interface.

    The environment holds nothing but `database_url`, `redis_url` and what `environment` sets besides, so that no
    setting of the developer changes a test. Everything it says goes to `log_path`.
    """

    def __init__(
        self,
        database_url: str,
        log_path: Path,
        redis_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = ("serve",),
        module: str = "entrypoints.cli",
    ) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.database_url = database_url
        self.log_path = log_path
        self._command = ("-m", module, *command)
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            "PYTHONPATH": str(ROOT / "src"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "JWT_SECRET": JWT_SECRET,
            **({} if redis_url is None else {"REDIS_URL": redis_url}),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def launch(self) -> Self:
        """Start the process without waiting for it."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def start(self) -> Self:
        """Start the process and wait until it is ready; RuntimeError with the end of its log if it never is."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self._running().poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the server did not become ready:\n{self.log()[-5000:]}")
            time.sleep(0.02)
        return self

    def restart(self) -> Self:
        """Start the process again on the same port, whatever became of the one before."""
        self.stop()
        return self.start()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._running().kill()
        self._running().wait()

    def pause(self) -> None:
        """Stop it from doing anything, while its connections stay open; until `resume`."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def terminate(self) -> int:
        """Ask the process to drain and end, wait for that, and return its exit status; TimeoutExpired after 35 s."""
        self._running().send_signal(signal.SIGTERM)
        return self._running().wait(STOP_SECONDS)

    def stop(self) -> None:
        """End the process in any way that works; does nothing if it has ended."""
        if self.is_running():
            self.resume()
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process
