"""A real nginx with the configuration of deploy/nginx, moved to this machine: other addresses, folders and patience."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.server import ROOT
from tests.support.services import free_port, listens

START_SECONDS = 10.0


class Proxy:
    """nginx on a free port of the loopback interface, in front of servers on these ports.

    `changes` are texts of nginx.conf and what stands there instead; each has to be there.
    """

    def __init__(self, servers: Sequence[int], changes: Mapping[str, str] | None = None) -> None:
        self.port, self.tls_port, self._inner_port = free_port(), free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="signalbox-nginx-"))
        # Its workers are nobody when root starts it.
        self.folder.chmod(0o755)
        shutil.copytree(ROOT / "deploy/nginx", self.folder, dirs_exist_ok=True)
        self._replace("servers.conf", {f"web-{n}:8000": f"127.0.0.1:{port}" for n, port in enumerate(servers, 1)})
        self._replace("tls.conf", {"listen 8443": f"listen 127.0.0.1:{self.tls_port}"})
        here = {
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "listen 127.0.0.1:8081": f"listen 127.0.0.1:{self._inner_port}",
            "/tmp/": f"{self.folder}/",
            "access_log /dev/stdout": f"access_log {self.folder}/access.log",
        }
        self._replace("nginx.conf", here | dict(changes or {}))
        self._process: subprocess.Popen[bytes] | None = None

    def test(self) -> str:
        """What `nginx -t` says of it; nothing if nothing is to say but that all is well."""
        tested = subprocess.run([*self._command, "-t", "-q"], capture_output=True, text=True, check=False)
        return tested.stdout + tested.stderr

    def start(self) -> Self:
        with (self.folder / "error.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "-g", "daemon off;"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"nginx did not start:\n{self.log()}")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.folder)

    def log(self) -> str:
        """What nginx said of requests and of its own troubles."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def raw(self, sent: bytes) -> bytes:
        """All that comes back to these bytes until nginx hangs up; a client of HTTP would mend how they are spelled."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(sent)
            answer = bytearray()
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65_536):
                    answer += piece
            return bytes(answer)

    @property
    def _command(self) -> list[str]:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "there is no nginx"
        return [program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr"]

    def _replace(self, name: str, changes: Mapping[str, str]) -> None:
        text = (self.folder / name).read_text()
        for old, new in changes.items():
            assert old in text, f"deploy/nginx/{name} does not say {old}"
            text = text.replace(old, new)
        (self.folder / name).write_text(text)
