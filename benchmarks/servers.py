"""What a target is, and one running server of it: started, logged in to, seeded and asked.

A target is a JSON file in `targets/` (its keys are described in README.md), so adding a service needs no code.
"""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import Postgres, Redis, end, free_port, redis, span_sink, wait_until

TARGETS = Path(__file__).resolve().parent / "targets"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CREDENTIALS = {"email": "user1@taskflow.test", "password": "password123"}
TASKS = 2_000
PAGE = 50
# Values that every service measured here knows.
STATUSES, PRIORITIES = ("todo", "in_progress", "done"), ("low", "medium", "high")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")


class NotConfigured(Exception):
    """A variable that the target names has no value here."""


def expand(text: str, variables: dict[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}`, innermost first, so a default may name a variable too."""
    while match := VARIABLE.search(text):
        name, default = match.groups()
        value = variables.get(name) or os.environ.get(name) or default
        if value is None:
            raise NotConfigured(name)
        text = text[: match.start()] + value + text[match.end() :]
    return text


@dataclass(frozen=True)
class Target:
    name: str
    spec: dict[str, Any]

    @classmethod
    def load(cls, name: str) -> "Target":
        spec = json.loads((TARGETS / f"{name}.json").read_text())
        if "like" in spec:  # the same service, set up in another way
            model = cls.load(spec["like"]).spec
            spec = model | spec | {"env": model["env"] | spec.get("env", {})}
        return cls(name, spec)

    @property
    def title(self) -> str:
        return str(self.spec["title"])

    @property
    def database(self) -> str:
        return "bench_" + re.sub(r"\W", "_", self.name)

    def variables(self, **more: str) -> dict[str, str]:
        return {
            "HERE": str(TARGETS),
            "PYTHON": sys.executable,
            "JWT_SECRET": "only-for-measuring-0123456789-abcdefghij",
            **more,
        }

    def missing(self) -> str | None:
        """The first variable without a value, if any: then this target cannot run here."""
        try:
            expand(json.dumps(self.spec), self.variables(PORT="0", DATABASE_URL="-", REDIS_URL="-", OTLP_URL="-"))
        except NotConfigured as variable:
            return str(variable)
        return None

    def prepare(self, database: Postgres) -> None:
        """A fresh database with this target's tables."""
        database.script("postgres", f"CREATE DATABASE {self.database}")
        urls = {
            "DATABASE_URL": database.url(self.database),
            "REDIS_URL": "redis://127.0.0.1:1",
            "OTLP_URL": "http://127.0.0.1:1",
        }
        variables = self.variables(PORT="0", **urls)
        if "prepare" in self.spec:
            self.run("prepare", variables)
        if "schema_sql" in self.spec:
            database.script(self.database, Path(expand(self.spec["schema_sql"], variables)).read_text())

    def versions(self) -> Any:
        if "versions" not in self.spec:
            return None
        return json.loads(self.run("versions", self.variables(PORT="0", DATABASE_URL="-", REDIS_URL="-", OTLP_URL="-")))

    def run(self, key: str, variables: dict[str, str]) -> str:
        command = [expand(part, variables) for part in self.spec[key]]
        folder = expand(self.spec["cwd"], variables)
        done = subprocess.run(command, cwd=folder, env=self.environment(variables), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.name}: {key} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        """Nothing of ours goes in but what a process needs to run at all."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | {name: expand(value, variables) for name, value in self.spec.get("env", {}).items()}


@dataclass
class Server:
    target: Target
    pid: int
    port: int
    database: Postgres
    redis: Redis
    token: str = ""

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status, and the body: decoded when it is JSON, text otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        payload = None
        if body is not None:
            payload, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode(errors="replace")

    def is_live(self) -> bool:
        try:
            return self.call("GET", self.target.spec["http"]["health"])[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def reset(self) -> list[str]:
        """Seeds, settles the database, empties Redis and logs in; returns the ids of the tasks, newest first."""
        spec, database = self.target.spec, self.target.database
        self.database.script(database, Path(expand(spec["seed_sql"], self.target.variables())).read_text())
        self.database.script(database, "VACUUM ANALYZE")
        self.database.script(database, "CHECKPOINT")
        self.redis.command("FLUSHALL")
        self.sign_in()
        ids = [str(value) for value in self.database.query(database, spec["ids_sql"])]
        if len(ids) != TASKS:
            raise SystemExit(f"{self.target.name}: {len(ids)} tasks seeded, not {TASKS}")
        return ids

    def sign_in(self) -> None:
        login = self.target.spec["http"]["login"]
        body = {key: value.format(**CREDENTIALS) for key, value in login["body"].items()}
        status, reply = self.call("POST", login["path"], body)
        if status >= 300:
            raise SystemExit(f"{self.target.name}: login answered {status}: {reply}")
        self.token = reply[login["token"]]

    def requests(self, phase: str, ids: list[str]) -> list[tuple[str, str, Any]]:
        """Method, path and body of each request of a phase; one that names no task is a list of one."""
        template = self.target.spec["requests"][phase]
        text = json.dumps([template["method"], template["path"], template.get("body")])
        if "{id}" not in text:
            return [tuple(json.loads(text))]
        # Shuffled, so that requests in flight together do not touch neighbouring rows; and three times over with
        # other values, so that an update has something to change in each field whenever a task comes round again.
        shuffled = random.Random(1).sample(ids, len(ids))
        out: list[tuple[str, str, Any]] = []
        for turn in range(len(STATUSES) if "{status}" in text else 1):
            for number, task in enumerate(shuffled):
                filled = text.replace("{id}", task)
                filled = filled.replace("{status}", STATUSES[(number + turn) % 3])
                filled = filled.replace("{priority}", PRIORITIES[(number // 3 + turn) % 3])
                out.append(tuple(json.loads(filled)))
        return out

    def check(self, phase: str, ids: list[str]) -> None:
        """One request by itself, because wrk looks at nothing but the status, and takes a 3xx for success."""
        method, path, body = self.requests(phase, ids)[0]
        status, reply = self.call(method, path, body, self.token)
        where = f"{self.target.name}: {method} {path}"
        if status != (201 if method == "POST" else 200):
            raise SystemExit(f"{where} answered {status}: {reply}")
        if phase.startswith("list"):
            shown = [item["id"] for item in reply[self.target.spec["http"]["items"]]]
            if shown != ids[:PAGE]:
                raise SystemExit(f"{where} did not answer the {PAGE} newest tasks")
        elif body and reply["title"] != body["title"]:
            raise SystemExit(f"{where} answered {reply}")
        if (refused := self.call(method, path, body)[0]) != 401:
            raise SystemExit(f"{where} answered {refused} without a token")

    def raw_requests(self, phase: str, ids: list[str]) -> str:
        """The requests of a phase as a Lua file for load.lua."""
        lines = []
        for method, path, body in self.requests(phase, ids):
            payload = "" if body is None else json.dumps(body)
            head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {self.token}"]
            if payload:
                head += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
            lines.append(json.dumps("\r\n".join([*head, "", payload])))  # a JSON string of ASCII is a Lua string too
        return "return {\n" + ",\n".join(lines) + "\n}\n"


@contextlib.contextmanager
def running(target: Target, database: Postgres, cpu: str, cached: bool) -> Iterator[Server]:
    """A server of the target on one CPU, with a Redis of its own. Its log is shown when it fails."""
    with contextlib.ExitStack() as stack:
        own_redis = stack.enter_context(redis())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-server-"))
        port, log = free_port(), Path(folder) / "server.log"
        urls = {"DATABASE_URL": database.url(target.database), "REDIS_URL": own_redis.url}
        if "OTLP_URL" in json.dumps(target.spec["env"]):
            urls["OTLP_URL"] = stack.enter_context(span_sink())
        variables = target.variables(PORT=str(port), **urls)
        environment = target.environment(variables)
        if not cached:
            environment |= target.spec.get("no_cache_env", {})
        command = ["taskset", "-c", cpu, *(expand(part, variables) for part in target.spec["command"])]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=expand(target.spec["cwd"], variables), env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out,
            )  # fmt: skip
        try:
            server = Server(target, process.pid, port, database, own_redis)
            wait_until(server.is_live, process, log)
            yield server
            if process.poll() is not None:
                raise SystemExit(f"{target.name} ended by itself:\n{log.read_text()[-3000:]}")
        finally:
            end(process, signal.SIGTERM)
            if complaints := log.read_text().strip():
                print(f"--- log of {target.name} ends with ---\n{complaints[-1500:]}", file=sys.stderr)


def cpu_seconds(root: int) -> float:
    """User and system time of a process, its descendants and the children it has reaped."""
    ticks, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):  # one may end between the listing and the reading
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
    return ticks / TICKS_PER_SECOND


def exact_cpu_seconds(root: int) -> float:
    """As `cpu_seconds`, without the ten milliseconds that it is exact to, but only of threads that still run."""
    nanoseconds, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
                waiting += [int(child) for child in (thread / "children").read_text().split()]
    return nanoseconds / 1e9


def resident_bytes(root: int) -> int:
    """Memory of a process and its descendants."""
    pages, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
    return pages * os.sysconf("SC_PAGE_SIZE")
