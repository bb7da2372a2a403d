#!/usr/bin/env python3
"""Measures Signalbox and the services it is compared with, side by side: requests/s and server CPU per request.

    python benchmarks/side_by_side.py                   everything that is configured here
    python benchmarks/side_by_side.py --targets signalbox --phases get --rounds 1
    python benchmarks/side_by_side.py --smoke           asks each service once and measures nothing

Absolute figures of a shared machine say little: its speed changes twofold within seconds. So all servers stay up,
the load goes round them in slices of one second, and only ratios within one round are compared. README.md says
what is measured and why so.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import TARGETS, Server, Target, cpu_seconds, running
from services import Postgres, postgres, unwind_when_told_to_end

HERE = Path(__file__).resolve().parent
PHASES = {
    "list_cached": "list of 50, cached",
    "list_uncached": "list of 50, uncached",
    "get": "get",
    "create": "create",
    "update": "update",
}
SERIALS_PER_RUN = 1_000_000
TOGETHER = ("signalbox", "nestjs-fastify", "fastapi")


@dataclass
class Load:
    """What one run of wrk saw, and the CPU that its requests took; several add up."""

    requests: int = 0
    seconds: float = 0.0
    bytes: int = 0
    failed: int = 0
    latency_us: Counter[int] = field(default_factory=Counter)
    cpu: Counter[str] = field(default_factory=Counter)  # microseconds of "server", "postgres" and "redis"

    def add(self, other: "Load") -> None:
        self.requests += other.requests
        self.seconds += other.seconds
        self.bytes += other.bytes
        self.failed += other.failed
        self.latency_us.update(other.latency_us)
        self.cpu.update(other.cpu)

    def percentile_ms(self, share: float) -> float:
        rank, seen = share * self.latency_us.total(), 0
        for value in sorted(self.latency_us):
            seen += self.latency_us[value]
            if seen >= rank:
                return value / 1e3
        return float("nan")

    def figures(self) -> dict[str, float]:
        requests = max(1, self.requests)
        return {
            "requests_per_s": self.requests / self.seconds,
            "server_us": self.cpu["server"] / requests,
            "postgres_us": self.cpu["postgres"] / requests,
            "redis_us": self.cpu["redis"] / requests,
            "server_busy": self.cpu["server"] / 1e6 / self.seconds,
            "p50_ms": self.percentile_ms(0.50),
            "p99_ms": self.percentile_ms(0.99),
            "bytes": self.bytes / requests,
            "failed": self.failed,
        }


class Wrk:
    """Drives one server at a time from a CPU that the servers do not use."""

    def __init__(self, cpu: str, connections: int, folder: Path) -> None:
        self._cpu, self._connections, self._folder, self._runs = cpu, connections, folder, 0

    def _requests_file(self, server: Server) -> Path:
        return self._folder / f"{server.port}.lua"

    def load_requests(self, server: Server, phase: str, ids: list[str]) -> None:
        self._requests_file(server).write_text(server.raw_requests(phase, ids))

    def run(self, server: Server, seconds: int) -> Load:
        self._runs += 1
        variables = os.environ | {
            "BENCH_REQUESTS": str(self._requests_file(server)),
            "BENCH_SERIAL": str(self._runs * SERIALS_PER_RUN),
        }
        command = ["taskset", "-c", self._cpu, "wrk", "-t1", f"-c{self._connections}", f"-d{seconds}s"]
        command += ["--timeout", "10s", "-s", str(HERE / "load.lua"), f"http://127.0.0.1:{server.port}"]
        processes = {"server": server.pid, "postgres": server.database.pid, "redis": server.redis.pid}
        before = {name: cpu_seconds(pid) for name, pid in processes.items()}
        out = subprocess.run(command, env=variables, capture_output=True, text=True)
        cpu = {name: round((cpu_seconds(pid) - before[name]) * 1e6) for name, pid in processes.items()}
        load = Load(cpu=Counter(cpu))
        for line in out.stdout.splitlines():
            word, *numbers = line.split() or [""]
            if word == "RUN":
                requests, microseconds, load.bytes, load.failed = map(int, numbers)
                load.requests, load.seconds = requests, microseconds / 1e6
            elif word == "LATENCY":
                load.latency_us[int(numbers[0])] += int(numbers[1])
        if not load.requests:
            raise SystemExit(f"wrk got no answer from {server.target.name}:\n{out.stdout}{out.stderr}")
        return load


class Fleet:
    """The servers of a run. They start once and stay: a just-in-time compiler needs seconds of load to be itself."""

    def __init__(self, stack: ExitStack, database: Postgres, cpu: str) -> None:
        self._stack, self._database, self._cpu = stack, database, cpu
        self._servers: dict[tuple[str, bool], Server] = {}
        self._met: set[tuple[str, str]] = set()

    def server(self, target: Target, phase: str) -> Server:
        """One server a target, and a second one for what is measured with its cache off."""
        cached = not phase.endswith("_uncached") or "no_cache_env" not in target.spec
        if (target.name, cached) not in self._servers:
            started = running(target, self._database, self._cpu, cached)
            self._servers[target.name, cached] = self._stack.enter_context(started)
        return self._servers[target.name, cached]

    def meets_first(self, target: Target, phase: str) -> bool:
        first = (target.name, phase) not in self._met
        self._met.add((target.name, phase))
        return first


def measure(
    phase: str, targets: list[Target], fleet: Fleet, wrk: Wrk, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """One phase of one round: each target on fresh data, warm, then in slices that alternate. Figures by target."""
    servers = [fleet.server(target, phase) for target in targets]
    for server in servers:
        ids = server.reset()
        server.check(phase, ids)
        wrk.load_requests(server, phase, ids)
    if options.smoke:
        return {}
    for server in servers:
        wrk.run(server, options.first_warmup if fleet.meets_first(server.target, phase) else options.warmup)
    total = {server.target.name: Load() for server in servers}
    for number in range(options.slices):
        turn = number % len(servers)
        for server in servers[turn:] + servers[:turn]:
            total[server.target.name].add(wrk.run(server, 1))  # one second is wrk's least
    return {name: load.figures() for name, load in total.items()}


# --------------------------------------------------------------------------------------------------- report


def median_of(cells: list[dict[str, Any]], phase: str, name: str, figure: str) -> tuple[float, float, float]:
    """Median, least and greatest over the rounds."""
    series = [cell["results"][name][figure] for cell in cells if cell["phase"] == phase]
    return statistics.median(series), min(series), max(series)


def ratio_of(cells: list[dict[str, Any]], phase: str, name: str, other: str, figure: str) -> float:
    """Median of the ratios within each round, in which both met the same machine."""
    results: list[dict[str, dict[str, float]]] = [cell["results"] for cell in cells if cell["phase"] == phase]
    # A figure may be nought where a service does not use Redis in a phase at all.
    ratios = [result[name][figure] / result[other][figure] for result in results if result[other][figure]]
    return statistics.median(ratios) if ratios else float("nan")


def table(report: dict[str, Any], targets: list[Target], figure: str, precision: str) -> list[str]:
    first, *others = targets
    cells = report["cells"]
    heads = ["", *(target.title for target in targets), *(f"{first.title} ÷ {other.title}" for other in others)]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for phase in report["phases"]:
        row = [PHASES[phase]]
        for target in targets:
            spread = median_of(cells, phase, target.name, figure)
            middle, least, greatest = (format(value, precision) for value in spread)
            row.append(middle if report["rounds"] == 1 else f"{middle} ({least}–{greatest})")
        for other in others:
            ratio = ratio_of(cells, phase, first.name, other.name, figure)
            goal = other.spec.get("goal", {}).get(phase) if figure == "server_us" else None
            verdict = "" if goal is None else f" (goal ≤ {goal}: {'met' if ratio <= goal else 'missed'})"
            row.append(f"{ratio:.2f}{verdict}")
        lines.append("| " + " | ".join(row) + " |")
    return lines


def markdown(report: dict[str, Any], targets: list[Target]) -> str:
    lines: list[str] = []
    for figure, title, precision in (
        ("server_us", "Server CPU per request, µs", ",.0f"),
        ("requests_per_s", "Requests per second", ",.0f"),
        ("p50_ms", "Latency, median, ms", ".1f"),
        ("p99_ms", "Latency, 99th percentile, ms", ".1f"),
        ("postgres_us", "PostgreSQL CPU per request, µs", ",.0f"),
        ("redis_us", "Redis CPU per request, µs", ",.0f"),
        ("bytes", "Bytes of a response, with headers", ",.0f"),
    ):
        lines += [f"### {title}", "", *table(report, targets, figure, precision), ""]
    failed = sum(result["failed"] for cell in report["cells"] for result in cell["results"].values())
    busy = [result["server_busy"] for cell in report["cells"] for result in cell["results"].values()]
    lines += [
        f"Medians of {report['rounds']} rounds (least–greatest); a ratio is the median of the rounds' ratios. "
        f"Requests that failed: {failed:.0f}. The servers were {min(busy):.0%}–{max(busy):.0%} busy.",
        "",
        "Environment: " + ", ".join(f"{key} {value}" for key, value in report["environment"].items()) + ".",
    ]
    for target in targets:
        versions = report["versions"][target.name] or {}
        lines.append(f"{target.title}: " + ", ".join(f"{key} {value}" for key, value in versions.items()) + ".")
    return "\n".join(lines) + "\n"


def environment(database: Postgres, server: Server) -> dict[str, Any]:
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:  # where PostgreSQL's data lie too, so what fsync costs
        filesystem = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": processor[1] if processor else platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "file system": filesystem,
        "PostgreSQL": database.query("postgres", "SHOW server_version")[0].split()[0],
        "Redis": server.redis.version(),
        "wrk": wrk.split()[1] if wrk else "unknown",
    }


# ----------------------------------------------------------------------------------------------------- main


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = ", ".join(sorted(path.stem for path in TARGETS.glob("*.json")))
    parser.add_argument(
        "--targets", help=f"of {known}; ratios are of the first to the others; default: all that can run"
    )
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=6, help="of one second, for each target and phase of a round")
    parser.add_argument("--first-warmup", type=int, default=15, help="seconds, when a server first meets a phase")
    parser.add_argument("--warmup", type=int, default=2, help="seconds, in later rounds")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--smoke", action="store_true", help="ask each service once and measure nothing")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "run", help="writes OUT.json and OUT.md")
    return parser.parse_args()


def chosen_targets(names: str | None, otherwise: Sequence[str] = TOGETHER) -> list[Target]:
    if names:
        targets = [Target.load(name) for name in names.split(",")]
        for target in targets:
            if variable := target.missing():
                raise SystemExit(f"{target.name} needs {variable} in the environment; see benchmarks/README.md")
        return targets
    targets = [Target.load(name) for name in otherwise]
    for target in targets:
        if variable := target.missing():
            print(f"{target.title} is left out: {variable} is not set (see benchmarks/README.md)", file=sys.stderr)
    return [target for target in targets if not target.missing()]


def main() -> None:
    options = arguments()
    unwind_when_told_to_end()
    targets = chosen_targets(options.targets)
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not installed")
    phases = options.phases.split(",")
    report: dict[str, Any] = {"rounds": 1 if options.smoke else options.rounds, "phases": phases, "cells": []}
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        fleet, wrk = Fleet(stack, database, options.server_cpu), Wrk(options.load_cpu, options.connections, folder)
        for target in targets:
            target.prepare(database)
        report["environment"] = environment(database, fleet.server(targets[0], phases[0]))
        report["versions"] = {target.name: target.versions() for target in targets}
        for number in range(report["rounds"]):
            turn = number % len(targets)
            for phase in phases:
                results = measure(phase, targets[turn:] + targets[:turn], fleet, wrk, options)
                report["cells"].append({"round": number, "phase": phase, "results": results})
                for name, figures in results.items():
                    shown = " ".join(f"{key}={value:,.4g}" for key, value in figures.items())
                    print(f"round {number + 1} {phase:14} {name:15} {shown}", flush=True)
                if options.smoke:
                    print(f"{phase}: {', '.join(target.name for target in targets)} answer as they should", flush=True)
        if not options.smoke:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
            options.out.with_suffix(".md").write_text(markdown(report, targets))
            print(markdown(report, targets))


if __name__ == "__main__":
    main()
