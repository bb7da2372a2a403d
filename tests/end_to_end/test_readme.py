"""What the README and the pages behind it say is so: their commands run, and their tables are complete."""

import asyncio
import json
import os
import re
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from adapters.embedded import EmbeddedPostgres
from domain.errors import DomainError
from entrypoints.cli import main
from entrypoints.container import in_memory
from tests.support.services import free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PATIENCE_SECONDS = 60.0
ROOM = r"demo room +(\S+) +"


@dataclass(frozen=True, slots=True)
class Step:
    """A block of the tour, and the lines that it prints if the README is right."""

    script: str
    shown: tuple[str, ...]


class FirstTerminal:
    """`make run`, as the reader has it in a terminal, with its data and its port out of everybody's way."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.said = ""
        self._process: Process | None = None

    async def start(self) -> Self:
        """Start it, and wait until it says that it serves."""
        # The environment that these tests run in is the one that `make` would make.
        self._process = await asyncio.create_subprocess_exec(
            *("make", "-o", ".venv/.runtime", "run"),
            cwd=ROOT,
            env=clean_environment(DATA_DIR=str(self.data_dir), PORT=str(self.port)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "stop  " not in self.said:
                line = await self._process.stdout.readline()
                assert line, f"it did not start:\n{self.said}"
                self.said += line.decode()
        return self

    async def ended(self) -> None:
        """Wait until it has ended, for whatever reason."""
        if self._process is not None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._process.communicate()
            self._process = None

    async def stop(self) -> None:
        """End the server, and its database if that is left."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGTERM)
                await self.ended()
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
        if (self.data_dir / "postgres" / "postmaster.pid").exists():
            left = EmbeddedPostgres(self.data_dir, durable=False)
            await asyncio.to_thread(left.start)
            await asyncio.to_thread(left.stop)


class SecondTerminal:
    """A shell that is given one block after the other, as by copy and paste, and keeps what it knows."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pasted = 0

    @classmethod
    async def open(cls) -> Self:
        return cls(
            await asyncio.create_subprocess_exec(
                *("bash", "-euo", "pipefail"),
                cwd=ROOT,
                env=clean_environment(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
            )
        )

    async def paste(self, step: Step) -> str:
        """Run a block until it is through, and everything it should print is there."""
        assert self._process.stdin
        assert self._process.stdout
        self._pasted += 1
        through = f"block {self._pasted} is through"
        self._process.stdin.write(f"{step.script}\necho '{through}'\n".encode())
        missing = [through, *step.shown]
        printed = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while missing:
                    some = await self._process.stdout.read(65_536)
                    assert some, f"the shell gave up on\n{step.script}\n{printed}"
                    printed += some.decode()
                    missing = [line for line in missing if not prints(line, printed)]
        except TimeoutError:
            pytest.fail(f"missing {missing} after\n{step.script}\n{printed}")
        return printed

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.communicate()


def prints(shown: str, printed: str) -> bool:
    """Whether a line that the README shows is among those that were printed; `…` stands for anything.

    Several programs print to one terminal, so JSON of one may follow that of another on the same line.
    """
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.search(rf"(?:^|(?<=\}})){pattern}(?:\r?$|(?=\{{))", printed, re.MULTILINE) is not None


def clean_environment(**added: str) -> Mapping[str, str]:
    """Nothing of the developer's settings, proxies or `make` flags."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ} | added


def section(title: str) -> str:
    """The part of the README below a heading."""
    _, _, after = README.partition(f"\n## {title}\n")
    assert after, title
    return after.partition("\n## ")[0]


def tour(server: FirstTerminal) -> Iterator[Step]:
    """The blocks of the tour, for this server instead of the one that the README starts."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section("A two-minute tour"), re.DOTALL | re.MULTILINE)
    for place, (kind, text) in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else ("", "")
        if kind == "sh":
            script = text
            if place == 0:
                first, second, rest = text.split("\n", 2)
                assert (first, second) == ("SIGNALBOX=http://127.0.0.1:8000", "DATA_DIR=var")
                script = f"SIGNALBOX={server.url}\nDATA_DIR={server.data_dir}\n{rest}"
            yield Step(script, tuple(following[1].splitlines()) if following[0] == "text" else ())


@pytest_asyncio.fixture
async def first_terminal() -> AsyncIterator[FirstTerminal]:
    # Not below pytest's own folders, which nobody but their owner may enter, while PostgreSQL never runs as root.
    folder = Path(tempfile.mkdtemp(prefix="signalbox-tour-"))
    folder.chmod(0o711)
    server = FirstTerminal(folder / "var")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def second_terminal() -> AsyncIterator[SecondTerminal]:
    terminal = await SecondTerminal.open()
    yield terminal
    await terminal.close()


async def test_the_tour_does_what_the_readme_shows(
    first_terminal: FirstTerminal, second_terminal: SecondTerminal
) -> None:
    (email, password) = re.findall(r'"email": "(.*?)", "password": "(.*?)"', section("A two-minute tour"))[0]
    assert re.search(rf"demo account +{email} +password {password}\n", first_terminal.said)
    assert f"serves on {first_terminal.url}\n" in first_terminal.said
    rooms = re.findall(ROOM, first_terminal.said)
    steps = list(tour(first_terminal))
    assert sum(bool(step.shown) for step in steps) >= 7
    for step in steps:
        await second_terminal.paste(step)
        if "kill -9" in step.script:
            await first_terminal.ended()
            first_terminal.said = ""
            await first_terminal.start()
    assert re.findall(ROOM, first_terminal.said) == rooms
    assert len(rooms) == 1


async def test_what_first_steps_does_to_watch_together_leads_to_a_room_that_plays(
    first_terminal: FirstTerminal, second_terminal: SecondTerminal
) -> None:
    text = (ROOT / "docs" / "start.md").read_text().partition("\n## Watch together\n")[2].partition("\n## ")[0]
    *_, saving, calling = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    page = first_terminal.data_dir / "page"
    saving = saving.replace("var/page", str(page)).partition("python3")[0]
    await second_terminal.paste(Step(saving, ()))
    documented = (ROOT / "docs" / "realtime.md").read_text().partition("```html\n")[2].partition("```")[0]
    assert (page / "index.html").read_text() == documented
    (room,) = re.findall(ROOM, first_terminal.said)
    calling = calling.replace("http://127.0.0.1:8000", first_terminal.url)
    shown = ('{"status":"loading","item_id":"…",…}', f"http://127.0.0.1:8080/#…,{room}")
    await second_terminal.paste(Step(calling, shown))


def test_the_readme_shows_the_swapped_adapter_as_it_is_tested() -> None:
    (shown,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert shown == (ROOT / "tests" / "examples" / "test_swap_an_adapter.py").read_text()


def test_every_make_command_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, page.relative_to(ROOT)


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} leads to {target}"


def test_every_path_that_is_named_exists() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:src|tests|docs|migrations|benchmarks)/[\w./]+)`", page.read_text()):
            assert (ROOT / path).exists(), f"{page.relative_to(ROOT)} names {path}"


def test_every_endpoint_is_in_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi"]) == 0
    described = json.loads(capsys.readouterr().out)["paths"]
    there = {f"{method.upper()} {path}" for path, operations in described.items() for method in operations}
    tables = re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/[^`?]*)`", API, re.MULTILINE)
    assert {f"{method} /api/v1{path}" for method, path in tables} == there


def test_every_code_of_a_refusal_is_in_its_table() -> None:
    table = API.partition("\n## Errors\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| \d+ \|(.*?)\|", table, re.MULTILINE))))
    elsewhere = {"method_not_allowed", "internal_error"}  # refused before, or against, any rule of ours
    only_live = {"too_many_channels"}
    kinds = {"error", "conflict", "unauthenticated", "gone"}  # what is raised is always something more special
    assert documented == {error.code for error in subclasses(DomainError)} - only_live - kinds | elsewhere


def test_every_event_is_in_its_table() -> None:
    table = API.partition("\n## Events\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z._]+)` \| (\w+) \| (\w+) \|([^|]*)\|([^|]*)\|$", table, re.MULTILINE)
    types = in_memory().catalogue().types
    assert [row[0] for row in rows if row[0] not in types] == []
    assert {row[:3] for row in rows} == {(kind.type, kind.stream, kind.resource) for kind in types.values()}
    for name, _, _, changes, data in rows:
        for shown, fields in ((changes, types[name].changes), (data, types[name].data)):
            assert shown.strip().startswith(("all fields", "the fields")) or named(shown) >= set(fields), name
            assert bool(shown.strip()) == bool(fields), name


def named(cell: str) -> set[str]:
    """The names in a cell of a table."""
    return set(re.findall(r"`([a-z_]+)`", cell))


def subclasses(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    yield kind
    for sub in kind.__subclasses__():
        if sub.__module__.split(".")[0] in {"domain", "application", "adapters", "entrypoints"}:  # none of a test
            yield from subclasses(sub)
