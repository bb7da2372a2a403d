#!/usr/bin/env python3
"""Measures what rooms cost: a thousand of ten members each, whose players report every 5 s, on one core.

    python benchmarks/rooms.py                                 1,000 rooms, with Redis and without
    python benchmarks/rooms.py --rooms 100 --targets signalbox --seconds 10
    python benchmarks/rooms.py --targets signalbox --profile   where the time of reports goes (needs py-spy)

The rooms are opened and joined over HTTP. Each member has a connection, which follows the room, hears what the players
of the others say, and is present. Then the server is watched at rest, while all report, and while some seek as well.
"""

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import cpu_profile
from fan_out import reissued
from servers import Server, Target, exact_cpu_seconds, resident_bytes, running
from services import Postgres, postgres, unwind_when_told_to_end
from side_by_side import chosen_targets

HERE = Path(__file__).resolve().parent
TARGETS = ("signalbox", "signalbox-alone")
SEATS = 10
FIRST = 100_000  # the number of the first account
ACCOUNTS = """
INSERT INTO accounts (id, email, display_name, password_hash, role, created_at, updated_at, version)
SELECT format('01900000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid,
       format('member%s@taskflow.test', n), format('Member %s', n), '', 'user', now(), now(), 1
FROM generate_series({first}, {last}) AS n;
"""
CALL = re.compile(r"^db_client_operation_duration_seconds_count\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)


class Members:
    """The process that holds all connections. It runs on the load's CPU."""

    def __init__(self, server: Server, rooms: int, cpu: str) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", cpu, sys.executable, str(HERE / "room_members.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        secret = server.target.variables()["JWT_SECRET"]
        accounts = [f"01900000-0000-7000-8000-{FIRST + number:012d}" for number in range(rooms * SEATS)]
        tokens = [reissued(server.token, secret, sub=account, sid=str(uuid4())) for account in accounts]
        self.ask("how", port=server.port, path=server.target.spec["live"]["path"], tokens=tokens, seats=SEATS)

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise SystemExit(f"members of rooms: {what}: {answer['error']}")
        return dict(answer)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Meter:
    """CPU, memory and statements of a server, since it was read last."""

    def __init__(self, server: Server, members: Members) -> None:
        self._server, self._members = server, members
        self._pids = {"server": server.pid, "postgres": server.database.pid, "redis": server.redis.pid}
        self._began = time.monotonic()
        self._cpu = self._read_cpu()
        self._calls = self._read_calls()
        self._transactions = self._read_transactions()

    def read(self) -> dict[str, Any]:
        seconds, cpu = time.monotonic() - self._began, self._read_cpu()
        calls, transactions = self._read_calls(), self._read_transactions()
        asked = {name: count - self._calls[name] for name, count in calls.items() if count > self._calls[name]}
        return {
            "seconds": seconds,
            "cpu": {name: spent - self._cpu[name] for name, spent in cpu.items()},
            "calls": dict(sorted(asked.items(), key=lambda call: -call[1])),
            "statements": sum(count for name, count in asked.items() if name.startswith("postgresql")),
            "transactions": transactions - self._transactions,
            "memory": resident_bytes(self._server.pid),
            "redis_memory": resident_bytes(self._server.redis.pid),
        }

    def _read_cpu(self) -> dict[str, float]:
        return {name: exact_cpu_seconds(pid) for name, pid in self._pids.items()}

    def _read_calls(self) -> Counter[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        token = self._server.target.spec["env"]["METRICS_TOKEN"]
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        said = connection.getresponse().read().decode()
        connection.close()
        found: Counter[str] = Counter()
        for match in CALL.finditer(said):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"]))
            found[f"{labels['system']} {labels['operation']}"] += int(float(match["count"]))
        return found

    def _read_transactions(self) -> int:
        """Those that PostgreSQL counted itself, of the server's database."""
        database = self._server.target.database
        statement = f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        return int(self._server.database.query("postgres", statement)[0])


def settled(server: Server, seconds: float = 60.0) -> None:
    """Return once the server rests, so that what came before does not count for what comes next."""
    until, spent = time.monotonic() + seconds, exact_cpu_seconds(server.pid)
    while time.monotonic() < until:
        time.sleep(1)
        before, spent = spent, exact_cpu_seconds(server.pid)
        if spent - before < 0.15:
            return


def measured(target: Target, database: Postgres, options: argparse.Namespace) -> dict[str, Any]:
    """All steps, from an empty server to rooms in which some seek; of each what it took."""
    found: dict[str, Any] = {}
    with running(target, database, options.server_cpu, cached=True) as server:
        server.reset()
        database.script(target.database, ACCOUNTS.format(first=FIRST, last=FIRST + options.rooms * SEATS - 1))
        database.script(target.database, "VACUUM ANALYZE")
        members = Members(server, options.rooms, options.load_cpu)
        try:

            def step(name: str, what: str, **how: Any) -> None:
                meter = Meter(server, members)
                said = members.ask(what, **how)
                found[name] = {"took": said["seconds"], **meter.read(), "said": said}
                print(f"  {target.name}: {name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
                if not how.get("reports"):  # a player that pauses for 15 s says something new afterwards
                    settled(server)

            found["empty"] = Meter(server, members).read()
            step("build", "build", at_once=16)
            step("connect", "connect", at_once=32)
            step("rest", "watch", seconds=options.seconds, reports=False, seeks=0)
            step("begin", "begin", pace=options.pace)
            step("first", "watch", seconds=options.warmup, reports=True, seeks=0)
            if options.profile:
                found["profile"] = profile(server, members, options)
                return found
            step("reports", "watch", seconds=options.seconds, reports=True, seeks=0)
            step("seeks", "watch", seconds=options.seconds, reports=True, seeks=options.seeks)
        finally:
            members.close()
    return found


def profile(server: Server, members: Members, options: argparse.Namespace) -> str:
    """Samples the server while all report, and some seek if that is asked for."""
    sampler = shutil.which("py-spy")
    if not sampler:
        raise SystemExit("py-spy is not installed: pip install py-spy")
    with tempfile.TemporaryDirectory() as folder:
        raw = options.raw or Path(folder) / "stacks"
        command = ["taskset", "-c", options.load_cpu, sampler, "record", "--native", "--format", "raw", "--rate", "200"]
        command += ["--pid", str(server.pid), "--duration", str(int(options.seconds)), "--output", str(raw)]
        how = {"seconds": options.seconds + 4, "reports": True, "seeks": options.seeks}
        load = threading.Thread(target=members.ask, args=("watch",), kwargs=how)
        load.start()
        done = subprocess.run(command, capture_output=True, text=True)
        load.join()
        if done.returncode:
            raise SystemExit(done.stderr)
        return cpu_profile.markdown(cpu_profile.read_samples(raw.read_text()), 40)


def rows(found: dict[str, Any], rooms: int) -> dict[str, str]:
    """What is shown of a target, by title."""
    build, connect, rest, reports, seeks = (found[name] for name in ("build", "connect", "rest", "reports", "seeks"))
    told, said = reports["said"], seeks["said"]
    resting = rest["cpu"]["server"] / rest["seconds"]
    net = reports["cpu"]["server"] - resting * reports["seconds"]

    def busy(step: dict[str, Any], who: str) -> str:
        return f"{step['cpu'][who] / step['seconds']:.0%}"

    def statements(step: dict[str, Any]) -> str:
        return f"{step['statements'] / step['seconds']:.1f} / {step['transactions'] / step['seconds']:.1f}"

    def delay(shares: dict[str, float]) -> str:
        return f"{shares['p50']:.1f} / {shares['p99']:.1f}"

    def megabytes(of: str) -> str:
        return f"{found['empty'][of] / 1e6:.0f} / {found['seeks'][of] / 1e6:.0f}"

    grown = found["seeks"]["memory"] - found["empty"]["memory"]
    return {
        "rooms opened/s, with nine who join": f"{rooms / build['took']:.0f}",
        "server CPU of a room and its joins, ms": f"{build['cpu']['server'] * 1e3 / rooms:.1f}",
        "connections/s, which follow and are present": f"{rooms * SEATS / connect['took']:.0f}",
        "server CPU of a connection, ms": f"{connect['cpu']['server'] * 1e3 / rooms / SEATS:.2f}",
        "at rest: server busy": busy(rest, "server"),
        "reports/s": f"{told['reports'] / told['seconds']:,.0f}",
        "values/s that arrive": f"{told['values'] / told['seconds']:,.0f}",
        "reports: server busy": busy(reports, "server"),
        "reports: server CPU of a report, µs": f"{reports['cpu']['server'] * 1e6 / max(1, told['reports']):.0f}",
        "of which beyond rest, µs": f"{net * 1e6 / max(1, told['reports']):.0f}",
        "reports: Redis busy": busy(reports, "redis"),
        "reports: load process busy": f"{told['load_seconds'] / told['seconds']:.0%}",
        "reports: answered, p50 / p99, ms": delay(told["waits"]),
        "statements/s by the server / transactions/s by PostgreSQL, at rest": statements(rest),
        "the same, while all report": statements(reports),
        "seeks/s": f"{said['seeks'] / said['seconds']:.1f}",
        "seeks: server busy": busy(seeks, "server"),
        "a seek: sent to answered, p50 / p99, ms": delay(said["answer"]),
        "a seek: answered to heard, p50 / p99, ms": delay(said["since_answer"]),
        "a seek: its `at` to heard, p50 / p99, ms": delay(said["since_at"]),
        "a seek: its `at` to heard by all nine, p50 / p99, ms": delay(said["last_since_at"]),
        "memory of the server, empty / in the end, MB": megabytes("memory"),
        "memory for each room / member, kB": f"{grown / 1e3 / rooms:.0f} / {grown / 1e3 / rooms / SEATS:.1f}",
        "memory of Redis, empty / in the end, MB": megabytes("redis_memory"),
        "refused / lost / ended": f"{told['refused'] + said['refused']} / {said['lost']} / {said['ended']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--rooms", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each step that is watched")
    parser.add_argument("--warmup", type=float, default=8.0, help="of reports before any are measured")
    parser.add_argument("--seeks", type=float, default=5.0, help="a second")
    parser.add_argument("--pace", type=float, default=10.0, help="rooms that begin to play in a second")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--raw", type=Path, help="keep py-spy's stacks here")
    parser.add_argument("--out", type=Path, help="keep all figures here, as JSON")
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    options = parser.parse_args()
    unwind_when_told_to_end()
    found: dict[str, Any] = {}
    with postgres() as database:
        for target in chosen_targets(options.targets):
            target.prepare(database)
            found[target.name] = measured(target, database, options)
            if options.profile:
                print(f"### {target.title}, {options.rooms} rooms\n\n{found[target.name]['profile']}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    if not options.profile:
        shown = {name: rows(steps, options.rooms) for name, steps in found.items()}
        print(f"| {options.rooms} rooms of {SEATS} | {' | '.join(shown)} |\n|---|{'---:|' * len(shown)}")
        for title in next(iter(shown.values())):
            print(f"| {title} | {' | '.join(row[title] for row in shown.values())} |")


if __name__ == "__main__":
    main()
