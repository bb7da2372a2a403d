"""Fifteen minutes of people who come, go, break off and do what is not allowed; nothing of it may stay behind.

One server with PostgreSQL and Redis is visited by callers that abort, resume, send too much and are refused, while
others write. Every ten seconds memory, open files, threads, tasks and connections are looked at. It fails if one of
them grows, by the Theil-Sen slope of its samples behind the first third, or does not come back to where it was at
rest once nobody comes any more. See README.md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import httpx
from services import Postgres, Redis, end, free_port, postgres, redis, unwind_when_told_to_end, wait_until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ROOT = Path(__file__).parents[1]
API = "/api/v1"
DATABASE = "soak"
POOL = 10
SAMPLE_SECONDS = 10.0
WARM_UP_SECONDS = 30.0
REST_SECONDS = 60.0
PEOPLE = 12
TASKS = 200
JWT_SECRET = "only-for-the-soak-0123456789-abcdefghij"
METRIC = re.compile(r"^(\w+)(?:\{[^}]*\})? ([\d.e+-]+)$", re.MULTILINE)
# What is done to the other end of a connection, so that it gets a reset and no goodbye.
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Sample:
    """What the server holds at a moment; `files` are those beside the connections of its pool (`backends`)."""

    at: float
    rss_mib: float
    files: int
    threads: int
    tasks: int
    sockets: int
    backends: int
    redis_clients: int


# How much each may grow in the whole of what is looked at, and how far from its rest it may come to rest again.
GROWTH = {"rss_mib": 16.0, "files": 10.0, "threads": 1.0, "tasks": 20.0, "backends": 3.0, "redis_clients": 1.0}
REST = {"files": 2, "threads": 1, "tasks": 2, "sockets": 0, "redis_clients": 1}


class Server:
    """`signalbox serve` as a process, and what can be seen of it from outside."""

    def __init__(self, store: Postgres, cache: Redis, folder: Path) -> None:
        self.store, self.cache = store, cache
        self.port, self.probe_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(ROOT / "src"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PROBE_PORT": str(self.probe_port),
            "DATABASE_URL": store.url(DATABASE),
            "DATABASE_POOL_SIZE": str(POOL),
            "REDIS_URL": cache.url,
            "JWT_SECRET": JWT_SECRET,
            "RATE_LIMIT_ENABLED": "false",
            "LOG_LEVEL": "error",
            "MAX_BODY_BYTES": "65536",
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.store.query("postgres", f"CREATE DATABASE {DATABASE}")
        command = [sys.executable, "-m", "entrypoints.cli"]
        subprocess.run([*command, "migrate"], check=True, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL)
        with self.log.open("wb") as out:
            process = subprocess.Popen([*command, "serve"], cwd=ROOT, env=self._environment, stdout=out, stderr=out)
        self.pid = process.pid
        try:
            wait_until(self._is_ready, process, self.log)
            yield
        finally:
            end(process, signal.SIGTERM)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/ready", timeout=2, trust_env=False).status_code == 200
        return False

    async def sample(self, http: httpx.AsyncClient, began: float) -> Sample:
        metrics = await http.get(f"http://127.0.0.1:{self.probe_port}/metrics")
        found = {name: float(value) for name, value in METRIC.findall(metrics.text)}
        rss_kib, threads, files = self._process()
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'signalbox'"
        (backends,) = await asyncio.to_thread(self.store.query, DATABASE, count)
        clients = await asyncio.to_thread(self._redis_clients)
        return Sample(
            round(time.monotonic() - began, 1),
            round(rss_kib / 1024, 1),
            files - backends,
            threads,
            int(found["signalbox_tasks"]),
            int(found["signalbox_ws_connections"]),
            backends,
            clients,
        )

    def _process(self) -> tuple[int, int, int]:
        """Resident memory in KiB, threads and open files, as the kernel knows them."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return (
            int(fields["VmRSS"].split()[0]),
            int(fields["Threads"]),
            len(list(Path(f"/proc/{self.pid}/fd").iterdir())),
        )

    def _redis_clients(self) -> int:
        with socket.create_connection(("127.0.0.1", self.cache.port), timeout=10) as connection:
            connection.sendall(b"INFO clients\r\n")
            said = connection.recv(65_536).decode()
        found = re.search(r"connected_clients:(\d+)", said)
        return int(found[1]) - 1 if found else 0  # this one is no client of the server


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: str
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Crowd:
    """Everybody who comes; `done` counts what they did, by its outcome."""

    def __init__(self, server: Server, http: httpx.AsyncClient) -> None:
        self.server, self.http = server, http
        self.done: Counter[str] = Counter()
        self.people: list[Person] = []
        self.tasks: list[str] = []
        self.team = ""
        self.head = 0  # the highest offset that anybody heard of
        self.renewed = 0.0

    async def settle(self) -> None:
        """Sign everybody up, in one workspace with some tasks."""
        for number in range(PEOPLE):
            body = {"email": f"p{number}@example.org", "password": "correct horse battery", "display_name": "P"}
            said = (await self.http.post(f"{API}/auth/register", json=body)).raise_for_status().json()
            self.people.append(Person(said["user"]["id"], body["email"], said["access_token"]))
        self.renewed = time.monotonic()
        owner = self.people[0]
        made = await self.http.post(f"{API}/workspaces", json={"name": "Soak"}, headers=owner.headers)
        self.team = made.raise_for_status().json()["id"]
        for person in self.people[1:]:
            where = f"{API}/workspaces/{self.team}/invitations"
            made = await self.http.post(where, json={"role": "member"}, headers=owner.headers)
            token = {"token": made.raise_for_status().json()["token"]}
            came = await self.http.post(f"{API}/invitations/accept", json=token, headers=person.headers)
            came.raise_for_status()
        for number in range(TASKS):
            body = {"title": f"Task {number}", "workspace_id": self.team}
            made = await self.http.post(f"{API}/tasks", json=body, headers=owner.headers)
            self.tasks.append(made.raise_for_status().json()["id"])

    async def come(self, seconds: float) -> None:
        """Do everything for so long, then leave."""
        until = time.monotonic() + seconds
        acts: list[tuple[Callable[[], Awaitable[str]], int, float]] = [
            (self.write, 2, 0.05),
            (self.read, 2, 0.1),
            (self.visit, 12, 0.1),
            (self.follow, 2, 0.2),
            (self.abort, 3, 0.1),
            (self.send_too_much, 1, 0.3),
            (self.fail_to_shake_hands, 2, 0.2),
            (self.sign_in_and_out, 1, 2.0),
        ]
        await asyncio.gather(*(self._keep(act, until, pause) for act, times, pause in acts for _ in range(times)))

    async def _keep(self, act: Callable[[], Awaitable[str]], until: float, pause: float) -> None:
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(30):
                    outcome = await act()
            except (httpx.HTTPError, OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
                outcome = f"failed: {type(error).__name__}"
            self.done[f"{act.__name__}: {outcome}"] += 1
            await asyncio.sleep(random.uniform(0, 2 * pause))

    def anybody(self) -> Person:
        return random.choice(self.people)

    async def write(self) -> str:
        title = {"title": f"Title {random.random()}"}
        where = f"{API}/tasks/{random.choice(self.tasks)}"
        return str((await self.http.patch(where, json=title, headers=self.anybody().headers)).status_code)

    async def read(self) -> str:
        where = f"{API}/tasks?workspace_id={self.team}&limit={random.randint(1, 50)}"
        return str((await self.http.get(where, headers=self.anybody().headers)).status_code)

    async def visit(self) -> str:
        """Connect, resume from somewhere, hear a little, and leave in one of three ways."""
        person, channel = self.anybody(), f"workspace:{self.team}"
        address = f"ws://127.0.0.1:{self.server.port}{API}/ws"
        socket = await connect(
            address, compression=None, proxy=None, ping_interval=None, close_timeout=5, open_timeout=25
        )
        try:
            opening: dict[str, Any] = {"type": "connect", "id": 1, "token": person.token, "subscribe": [channel, "me"]}
            if random.random() < 0.5:
                opening["resume"] = {channel: max(0, self.head - random.randint(0, 500))}
            await socket.send(json.dumps(opening))
            await socket.send(json.dumps({"type": "presence", "id": 2, "channel": f"presence:{channel}"}))
            for number in range(random.randint(0, 5)):
                task = f"task:{random.choice(self.tasks)}"
                await socket.send(json.dumps({"type": "subscribe", "id": 3 + number, "channel": task}))
            heard = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0, 2)):
                    while True:
                        frame = json.loads(await socket.recv())
                        self.head = max(self.head, frame.get("offset", 0) if frame.get("stream") == channel else 0)
                        heard += 1
            way = random.choice(("goodbye", "reset", "abort"))
            if way == "reset":
                socket.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            if way != "goodbye":
                socket.transport.abort()
        except ConnectionClosed as closed:
            return f"closed with {closed.rcvd.code if closed.rcvd else None}"
        else:
            return f"{way} after {'some' if heard else 'nothing'}"
        finally:
            await socket.close()

    async def follow(self) -> str:
        """Read an event stream for a while, and break off."""
        headers = self.anybody().headers | {"Last-Event-ID": str(max(0, self.head - random.randint(0, 500)))}
        where = f"{API}/events/stream?channel=workspace:{self.team}"
        async with self.http.stream("GET", where, headers=headers) as response:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0, 2)):
                    async for _ in response.aiter_bytes():
                        pass
            return str(response.status_code)

    async def abort(self) -> str:
        """Ask, and hang up: in the middle of the question, or before the answer, with a reset or without."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        body = json.dumps({"title": "never", "workspace_id": self.team}).encode()
        head = (
            f"POST {API}/tasks HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer {self.anybody().token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        sent = (head + body)[: random.choice((len(head) // 2, len(head), len(head) + 5, len(head) + len(body)))]
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(random.choice((0, 0.001, 0.01)))
        way = random.choice(("reset", "close"))
        if way == "reset":
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, RESET)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return way

    async def send_too_much(self) -> str:
        body = json.dumps({"title": "x" * 100_000, "workspace_id": self.team}).encode()
        answer = await self.http.post(f"{API}/tasks", content=body, headers=self.anybody().headers)
        return str(answer.status_code)

    async def fail_to_shake_hands(self) -> str:
        """Come with a foreign page, a bad token, a first frame that is none, or nothing to say."""
        address = f"ws://127.0.0.1:{self.server.port}{API}/ws"
        way = random.choice(("origin", "token", "frame", "silence"))
        options = {"origin": "https://elsewhere.example"} if way == "origin" else {}
        try:
            socket = await connect(address, compression=None, proxy=None, close_timeout=5, **options)  # type: ignore[arg-type]
        except InvalidHandshake:
            return f"{way}: refused"
        try:
            if way == "silence":
                await asyncio.sleep(0.5)
                return way
            await socket.send('{"type":"connect","id":1,"token":"x"}' if way == "token" else "nonsense")
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return f"{way}: {closed.rcvd.code if closed.rcvd else None}"
        finally:
            await socket.close()

    async def sign_in_and_out(self) -> str:
        """Somebody signs in and out; and everybody anew before the tokens run out."""
        index = random.randrange(PEOPLE)
        person = self.people[index]
        body = {"email": person.email, "password": "correct horse battery"}
        said = await self.http.post(f"{API}/auth/login", json=body)
        if time.monotonic() - self.renewed > 300:
            self.renewed = time.monotonic()
            for number, each in enumerate(self.people):
                again = {"email": each.email, "password": "correct horse battery"}
                answer = (await self.http.post(f"{API}/auth/login", json=again)).raise_for_status().json()
                self.people[number] = Person(each.id, each.email, answer["access_token"])
            return "everybody"
        headers = {"Authorization": f"Bearer {said.raise_for_status().json()['access_token']}"}
        return str((await self.http.post(f"{API}/auth/logout", headers=headers)).status_code)


def slope(samples: list[Sample], name: str) -> float:
    """The median of the slopes between all pairs of samples, per second: a few outliers do not move it."""
    points = [(sample.at, float(getattr(sample, name))) for sample in samples]
    return statistics.median((b - a) / (t - s) for (s, a), (t, b) in combinations(points, 2) if t > s)


async def soak(server: Server, minutes: float) -> tuple[list[str], dict[str, Any]]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False, limits=limits) as http:
        crowd = Crowd(server, http)
        await crowd.settle()
        await crowd.come(WARM_UP_SECONDS)
        began = time.monotonic()
        rest = await at_rest(server, began)
        crowd.done.clear()
        coming = asyncio.create_task(crowd.come(60 * minutes))
        samples: list[Sample] = []
        while not coming.done():
            await asyncio.wait([coming], timeout=SAMPLE_SECONDS)
            if not coming.done():
                samples.append(await server.sample(http, began))
                print(json.dumps(asdict(samples[-1])), flush=True)
        await coming
    again = await at_rest(server, began, rest)
    judged = samples[len(samples) // 3 :]
    seconds = judged[-1].at - judged[0].at
    grown = {name: slope(judged, name) * seconds for name in GROWTH}
    faults = [f"{name} grew by {by:.1f} in {seconds:.0f} s" for name, by in grown.items() if by > GROWTH[name]]
    for name, most in REST.items():
        if getattr(again, name) > getattr(rest, name) + most:
            faults.append(f"{name} is {getattr(again, name)} at rest, and was {getattr(rest, name)}")
    if again.backends > POOL + 2:
        faults.append(f"{again.backends} connections to PostgreSQL")
    report = {
        "minutes": minutes,
        "rest_before": asdict(rest),
        "rest_after": asdict(again),
        "least": {name: min(getattr(s, name) for s in judged) for name in Sample.__dataclass_fields__},
        "most": {name: max(getattr(s, name) for s in judged) for name in Sample.__dataclass_fields__},
        "grown": {name: round(by, 2) for name, by in grown.items()},
        "done": dict(sorted(crowd.done.items())),
        "samples": [asdict(sample) for sample in samples],
    }
    return faults, report


async def at_rest(server: Server, began: float, wanted: Sample | None = None) -> Sample:
    """A sample once nobody is there any more: when it is as `wanted`, or no longer falls."""
    limit = time.monotonic() + REST_SECONDS
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        last = await server.sample(http, began)
        while time.monotonic() < limit:
            await asyncio.sleep(2)
            now = await server.sample(http, began)
            is_steady = now.sockets == 0 and (now.files, now.tasks) == (last.files, last.tasks)
            if wanted is None and is_steady and time.monotonic() > limit - REST_SECONDS + 20:
                return now
            if wanted and all(getattr(now, name) <= getattr(wanted, name) + most for name, most in REST.items()):
                return now
            last = now
        return last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    chosen = parser.parse_args()
    unwind_when_told_to_end()
    with tempfile.TemporaryDirectory() as folder, postgres() as store, redis() as cache:
        server = Server(store, cache, Path(folder))
        with server.running():
            faults, report = asyncio.run(soak(server, chosen.minutes))
        said = server.log.read_text(errors="replace")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report | {"faults": faults, "log": said[-5000:]}, indent=2))
    print(json.dumps({name: value for name, value in report.items() if name != "samples"}, indent=2))
    print(*(faults or ["nothing grew, and everything came back to rest"]), sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
