#!/usr/bin/env python3
"""Measures live delivery side by side: bursts, a steady pace, idle sockets, resumes, and how cost grows with sockets.

    python benchmarks/fan_out.py                        every target that is configured here
    python benchmarks/fan_out.py --targets signalbox --phases burst,paced --rounds 1

Every update is an authenticated PATCH to the service, which writes it and tells its subscribers. README.md says more.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from servers import Server, Target, cpu_seconds, running
from services import postgres, unwind_when_told_to_end

HERE = Path(__file__).resolve().parent
PUBLISHERS = 8
BURST = 960
PACED = 100
PACE = 20.0
SERVER_CPU, LOAD_CPU = "0", "1"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Subscribers:
    """The process that holds the connections; it runs beside the server, on the other CPU."""

    def __init__(self, server: Server) -> None:
        python = os.environ.get("BENCH_LOAD_PYTHON", sys.executable)
        self._process = subprocess.Popen(
            ["taskset", "-c", LOAD_CPU, python, str(HERE / "subscribers.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        live = server.target.spec["live"]
        text = json.dumps(
            {"do": "how", "token": server.token, **live, "url": f"ws://127.0.0.1:{server.port}{live['path']}"}
        )
        self.ask(**json.loads(text.replace("{token}", server.token)))

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)

    @property
    def cpu(self) -> float:
        return cpu_seconds(self._process.pid)


@contextlib.contextmanager
def subscribed(server: Server, count: int) -> Iterator[Subscribers]:
    subscribers = Subscribers(server)
    try:
        subscribers.ask(do="connect", count=count)
        yield subscribers
    finally:
        subscribers.close()


class Publisher:
    """One keep-alive connection that changes titles."""

    def __init__(self, server: Server, task: str) -> None:
        spec = server.target.spec
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._path = spec["requests"]["update"]["path"].replace("{id}", task)
        self._headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def update(self, number: int) -> None:
        self._connection.request("PATCH", self._path, json.dumps({"title": f"bench-{number:06d}"}), self._headers)
        response = self._connection.getresponse()
        said = response.read()
        if response.status != 200:
            raise SystemExit(f"an update was answered {response.status}: {said[:300]!r}")


_serial = iter(range(1, 1_000_000))


def burst(server: Server, tasks: Sequence[str], subscribers: Subscribers, updates: int) -> dict[str, float]:
    """As many updates as the server takes from eight publishers."""
    subscribers.ask(do="arm", keep=False)
    publishers = [Publisher(server, task) for task in tasks[:PUBLISHERS]]
    numbers = [[next(_serial) for _ in range(updates // PUBLISHERS)] for _ in publishers]
    cpu, load, began = cpu_seconds(server.pid), subscribers.cpu, time.monotonic()
    # Publishers in a process of their own would be fairer to them still; their work is small beside the subscribers'.
    threads = [
        threading.Thread(target=lambda p=p, n=n: [p.update(i) for i in n])
        for p, n in zip(publishers, numbers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = subscribers.ask(do="wait", updates=updates // PUBLISHERS * PUBLISHERS)
    seconds = got["last"] - began
    return {
        "deliveries_per_s": got["got"] / seconds,
        "us_per_delivery": 1e6 * (cpu_seconds(server.pid) - cpu) / max(1, got["got"]),
        "lost": got["lost"],
        "load_busy": (subscribers.cpu - load) / seconds,
    }


def paced(server: Server, tasks: Sequence[str], subscribers: Subscribers, updates: int) -> dict[str, float]:
    """Twenty updates a second, and how long each takes from being sent to being received."""
    subscribers.ask(do="arm", keep=True)
    publisher = Publisher(server, tasks[0])
    sent: dict[str, float] = {}
    cpu, began = cpu_seconds(server.pid), time.monotonic()
    for turn in range(updates):
        time.sleep(max(0.0, began + turn / PACE - time.monotonic()))
        number = next(_serial)
        sent[f"bench-{number:06d}"] = time.monotonic()
        publisher.update(number)
    got = subscribers.ask(do="wait", updates=updates)
    delays = sorted(at - sent[name] for name, times in got["arrivals"].items() for at in times)
    return {
        "us_per_delivery": 1e6 * (cpu_seconds(server.pid) - cpu) / max(1, got["got"]),
        "p50_ms": 1e3 * delays[len(delays) // 2],
        "p99_ms": 1e3 * delays[int(len(delays) * 0.99)],
        "lost": got["lost"],
    }


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def idle(server: Server, counts: Sequence[int]) -> dict[str, float]:
    """What a socket that hears nothing costs."""
    found: dict[str, float] = {}
    before, open_now = memory(server.pid), 0
    with subscribed(server, 0) as subscribers:
        for count in counts:
            answer = subscribers.ask(do="connect", count=count - open_now)
            found[f"connects_per_s_{count}"] = (count - open_now) / answer["seconds"]
            open_now = count
            found[f"kb_per_socket_{count}"] = (memory(server.pid) - before) / 1000 / count
    return found


def resume(server: Server, tasks: Sequence[str], sockets: int, channels: int, missed: int) -> dict[str, float]:
    """Many connections at once that each come back to several channels at the same old position."""
    live = server.target.spec["live"]
    stream = live["stream"]
    head = server.database.query(
        server.target.database, f"SELECT COALESCE(max(head), 0) FROM streams WHERE name = '{stream}'"
    )[0]
    followed = [f"task:{task}" for task in tasks[:channels]]
    for turn in range(missed):
        Publisher(server, tasks[turn % channels]).update(next(_serial))
    frame = {"type": "connect", "id": 1, "token": server.token, "subscribe": followed, "resume": {stream: int(head)}}
    subscribers = Subscribers(server)
    try:
        how = {**live, "on_open": [json.dumps(frame)], "url": f"ws://127.0.0.1:{server.port}{live['path']}"}
        subscribers.ask(do="how", token=server.token, **how)
        subscribers.ask(do="arm", keep=False)
        cpu, began = cpu_seconds(server.pid), time.monotonic()
        subscribers.ask(do="connect", count=sockets)
        got = subscribers.ask(do="wait", updates=missed)
        return {
            "sockets": sockets, "seconds": got["last"] - began, "lost": got["lost"],
            "server_cpu_s": cpu_seconds(server.pid) - cpu,
        }  # fmt: skip
    finally:
        subscribers.close()


def main() -> None:
    unwind_when_told_to_end()
    parser = argparse.ArgumentParser(description="live delivery, side by side")
    parser.add_argument("--targets", default="signalbox,nestjs-fastify,plain-ws")
    parser.add_argument("--phases", default="idle,burst,paced,resume,flat")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results: dict[str, dict[str, list[dict[str, float]]]] = {}
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        servers: dict[str, tuple[Server, Sequence[str]]] = {}
        for name in chosen.targets.split(","):
            target = Target.load(name)
            if missing := target.missing():
                print(f"{name} is left out: {missing} is not set", file=sys.stderr)
                continue
            target.prepare(database)
            target.spec.setdefault("env", {}).update(target.spec["live"].get("env", {}))
            server = stack.enter_context(running(target, database, SERVER_CPU, cached=True))
            servers[name] = (server, random.Random(2).sample(server.reset(), 64))
            results[name] = {}
        for phase in chosen.phases.split(","):
            for turn in range(chosen.rounds + 1 if phase in {"burst", "paced"} else 1):
                for name, (server, tasks) in servers.items():
                    for found in measured(phase, server, tasks, chosen.sockets):
                        if turn or phase not in {"burst", "paced"}:  # the first round warms up, which Node.js needs
                            results[name].setdefault(phase, []).append(found)
                            print(phase, name, {key: round(value, 2) for key, value in found.items()}, flush=True)
    _report(results)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "fan_out.json").write_text(json.dumps(results, indent=1))


def measured(phase: str, server: Server, tasks: Sequence[str], sockets: int) -> Iterator[dict[str, float]]:
    """What one phase finds on one server."""
    has_journal = "stream" in server.target.spec["live"]
    match phase:
        case "burst":
            with subscribed(server, sockets) as subscribers:
                burst(server, tasks, subscribers, BURST // 3)
                yield burst(server, tasks, subscribers, BURST)
        case "paced":
            with subscribed(server, sockets) as subscribers:
                yield paced(server, tasks, subscribers, PACED)
        case "idle":
            yield idle(server, (1_000, 5_000))
        case "resume" if has_journal:
            yield resume(server, tasks, 5_000, 10, 100)
        case "flat" if has_journal:
            for count in (100, 1_000, 5_000, 10_000):
                with subscribed(server, count) as subscribers:
                    burst(server, tasks, subscribers, 40)
                    yield {"sockets": count, **burst(server, tasks, subscribers, 400)}


def _report(results: dict[str, Any]) -> None:
    """Medians of the rounds, and how ours compare."""
    print("\n| phase | measure | " + " | ".join(results) + " |\n|---|---|" + "---:|" * len(results))
    for phase in ("burst", "paced", "idle"):
        rounds = {name: found.get(phase) for name, found in results.items()}
        if not any(rounds.values()):
            continue
        for measure in next(found[0] for found in rounds.values() if found):
            cells = [
                f"{statistics.median(each[measure] for each in found):,.2f}" if found else ""
                for found in rounds.values()
            ]
            print(f"| {phase} | {measure} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
