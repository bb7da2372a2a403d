#!/usr/bin/env python3
"""Measures live delivery side by side: who subscribes gets what others change, and this is what that costs.

    python benchmarks/fan_out.py                                        all services that are configured, three rounds
    python benchmarks/fan_out.py --targets signalbox --phases burst,paced --rounds 1
    python benchmarks/fan_out.py --targets signalbox --profile          where the time of a burst goes (needs py-spy)

Each update is an authenticated request to the running service, so all that it does for one is in the figures. As with
side_by_side.py the servers of all services stay up and take turns in slices, and ratios within a round are what counts.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import cpu_profile
from servers import TARGETS, Server, Target, exact_cpu_seconds, expand, resident_bytes, running
from services import Postgres, postgres, unwind_when_told_to_end
from side_by_side import chosen_targets, environment

HERE = Path(__file__).resolve().parent
TOGETHER = ("signalbox", "nestjs-fastify", "plain-ws")
PHASES = ("burst", "paced", "idle", "resume", "flat")
TOKEN_SECONDS = 6 * 3_600
PER_ACCOUNT = 8  # of the ten connections that one may have: those of a slice before may still be counted for a moment
BUSY = 0.85
STALL_SECONDS = 15.0
CHANNELS = 10  # that one comes back to
POSITIONS = 10  # different ones, so that not everybody misses the same page
GOALS = {"idle": 20.0, "resume": 10.0}
_numbers = itertools.count(1)


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def reissued(token: str, secret: str, **claims: Any) -> str:
    """A token of the service with other claims, signed again: thousands of logins would take minutes."""
    head, body, _ = token.split(".")
    said = decoded(body) | {"exp": int(time.time()) + TOKEN_SECONDS} | claims
    signed = f"{head}.{encoded(json.dumps(said).encode())}"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


@dataclass
class Place:
    """A server with its data, and whoever may subscribe to it."""

    server: Server
    tasks: list[str]
    tokens: list[str]
    is_warm: bool = False

    @property
    def live(self) -> dict[str, Any]:
        return dict(self.server.target.spec["live"])

    @property
    def name(self) -> str:
        return self.server.target.name


def settle(server: Server) -> None:
    """Seeds once. A live server follows positions in its journal, so the data are never replaced beneath it."""
    target = server.target
    if "seed_sql" in target.spec:
        server.reset()
    if "seed_sql" in target.spec["live"]:
        path = Path(expand(target.spec["live"]["seed_sql"], target.variables()))
        server.database.script(target.database, path.read_text())
        server.database.script(target.database, "VACUUM ANALYZE")


def place_of(server: Server) -> Place:
    """Signs in and issues the tokens, for a server whose data are there."""
    spec, secret = server.target.spec, server.target.variables()["JWT_SECRET"]
    if "seed_sql" not in spec:
        return Place(server, ["none"], [""])
    server.sign_in()
    server.token = reissued(server.token, secret)
    ids = [str(value) for value in server.database.query(server.target.database, spec["ids_sql"])]
    tokens = [server.token]
    if accounts := spec["live"].get("accounts"):
        numbers = range(accounts["first"], accounts["first"] + accounts["count"])
        subjects = [accounts["id"].format(number=number) for number in numbers]
        tokens = [reissued(server.token, secret, sub=subject, sid=str(uuid4())) for subject in subjects]
    # The last of them, as the seed of a live target may add tasks of its own that are newer.
    return Place(server, random.Random(1).sample(ids[-2_000:], 256), tokens)


# ------------------------------------------------------------------------------------------------ who listens


class Subscribers:
    """A process full of connections to one server. It runs on the load's CPU."""

    def __init__(self, place: Place, cpu: str, openings: Sequence[str] = (), proofs: int = 1) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", cpu, sys.executable, str(HERE / "subscribers.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._place, self._count = place, 0
        live = place.live
        proof = live.get("proof")
        self._openings = len(openings) or 1
        self.ask(
            "how",
            port=place.server.port,
            path=live["path"],
            tokens=place.tokens,
            openings=list(openings) or [live.get("opening")],
            replies=live.get("replies", []),
            ready=live["ready"],
            proof=[proof[0], proof[1] * proofs] if proof else None,
            update=live["update"],
            ping=live.get("ping"),
            pong=live.get("pong"),
        )

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise SystemExit(f"subscribers of {self._place.name}: {what}: {answer['error']}")
        return dict(answer)

    def connect(self, count: int, at_once: int = 64) -> dict[str, Any]:
        """Opens connections until there are `count`."""
        live, more = self._place.live, count - self._count
        if "accounts" in live and count > PER_ACCOUNT * len(self._place.tokens):
            raise SystemExit(f"{self._place.name}: {count} connections need more accounts than are seeded")
        self._count = count
        return self.ask("connect", count=more, at_once=at_once)

    def wait(self, updates: int | Sequence[int]) -> dict[str, Any]:
        each = [updates] * self._openings if isinstance(updates, int) else list(updates)
        return self.ask("wait", updates=each, stall=STALL_SECONDS)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def subscribed(place: Place, count: int, options: argparse.Namespace, **more: Any) -> Iterator[Subscribers]:
    subscribers = Subscribers(place, options.load_cpu, **more)
    try:
        if count:
            subscribers.connect(count)
        calm(place)
        yield subscribers
    finally:
        subscribers.close()
        calm(place)


def calm(place: Place) -> None:
    """Waits until a server has done what came and went: a goodbye costs it too, and would fall into the next slice."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = exact_cpu_seconds(place.server.pid)
        time.sleep(0.3)
        if exact_cpu_seconds(place.server.pid) - before < 0.03:
            return


# ----------------------------------------------------------------------------------------------- who publishes


def publish(
    place: Place, count: int, options: argparse.Namespace, pace: float | None = None, tasks: Sequence[str] = ()
) -> tuple[dict[str, float], dict[str, float], float]:
    """Changes that many titles, over keep-alive connections, each in a thread on the load's CPU.

    When each was sent and when it was answered, by number, and the CPU that this took. With a `pace` each is sent when
    its time has come, whether those before it are answered or not.
    """
    request, tasks = place.live["publish"], tasks or place.tasks
    template = json.dumps(request["body"])
    todo = iter([(turn, f"{next(_numbers):06d}") for turn in range(count)])
    sent: dict[str, float] = {}
    answered: dict[str, float] = {}
    problems: list[str] = []
    began, cpu = time.monotonic() + 0.01, [0.0]
    lock = threading.Lock()

    def work() -> None:
        os.sched_setaffinity(0, {int(options.load_cpu)})  # of this thread only
        connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=30)
        headers = {"Authorization": f"Bearer {place.server.token}", "Content-Type": "application/json"}
        try:
            while not problems:
                with lock:
                    turn, number = next(todo, (-1, ""))
                if turn < 0:
                    break
                if pace:
                    time.sleep(max(0.0, began + turn / pace - time.monotonic()))
                path = request["path"].replace("{id}", tasks[turn % len(tasks)])
                sent[number] = time.monotonic()
                connection.request(request["method"], path, template.replace("{title}", f"bench-{number}"), headers)
                response = connection.getresponse()
                said = response.read()
                answered[number] = time.monotonic()
                if not 200 <= response.status < 300:
                    problems.append(f"{response.status} {said[:300]!r}")
        except (OSError, http.client.HTTPException) as error:
            problems.append(repr(error))
        finally:
            connection.close()
            with lock:
                cpu[0] += time.thread_time()

    threads = [threading.Thread(target=work) for _ in range(options.publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise SystemExit(f"{place.name}: an update failed: {problems[0]}")
    return sent, answered, cpu[0]


# ------------------------------------------------------------------------------------------------- the phases


@dataclass
class Slices:
    """What slices of one target in one phase of a round add up to."""

    updates: int = 0
    received: int = 0
    seconds: float = 0.0  # from the first to the last receipt
    wall: float = 0.0  # from the first update sent to the last receipt
    server: float = 0.0
    load: float = 0.0
    lost: int = 0
    doubled: int = 0
    ended: int = 0
    bytes: int = 0  # of the frames of updates, where they were looked at one by one
    since: dict[str, Counter[int]] = field(default_factory=lambda: {"sent": Counter(), "answered": Counter()})

    def percentile_ms(self, since: str, share: float) -> float:
        rank, seen = share * self.since[since].total(), 0
        for value in sorted(self.since[since]):
            seen += self.since[since][value]
            if seen >= rank:
                return value / 10
        return float("nan")

    def figures(self) -> dict[str, float]:
        found = {
            "deliveries_per_s": self.received / max(self.seconds, 1e-9),
            "server_us": self.server * 1e6 / max(1, self.received),
            "server_busy": self.server / self.wall,
            "load_busy": self.load / self.wall,
            "updates_per_s": self.updates / self.wall,
            "lost": self.lost,
            "doubled": self.doubled,
            "ended": self.ended,
        }
        if self.since["sent"]:
            found["frame_bytes"] = self.bytes / self.since["sent"].total()
            for since, share in itertools.product(("sent", "answered"), (50, 99)):
                found[f"{since}_p{share}_ms"] = self.percentile_ms(since, share / 100)
        return found


def one_slice(
    place: Place, subscribers: Subscribers, count: int, options: argparse.Namespace, pace: float | None = None
) -> Slices:
    """So many updates, until each connection has had each."""
    subscribers.ask("arm", record=pace is not None)
    server, load = exact_cpu_seconds(place.server.pid), exact_cpu_seconds(subscribers.process.pid)
    sent, answered, publishing = publish(place, count, options, pace)
    got = subscribers.wait(count)
    # Waiting for what comes twice is in here too; it costs next to nothing.
    out = Slices(count, got["received"], got["last"] - got["first"], max(got["last"], 0) - min(sent.values()))
    out.server = exact_cpu_seconds(place.server.pid) - server
    out.load = exact_cpu_seconds(subscribers.process.pid) - load + publishing
    out.lost, out.doubled, out.ended = got["lost"], got["doubled"], got["ended"]
    out.bytes = got["bytes"]
    if pace is not None and not out.lost:
        for since, delays in subscribers.ask("delays", sent=sent, answered=answered).items():
            out.since[since].update({int(value): times for value, times in delays.items()})
    return out


def add(total: Slices, more: Slices) -> None:
    for name in ("updates", "received", "seconds", "wall", "server", "load", "lost", "doubled", "bytes"):
        setattr(total, name, getattr(total, name) + getattr(more, name))
    total.ended = more.ended
    for since, delays in more.since.items():
        total.since[since].update(delays)


def warm_up(place: Place, subscribers: Subscribers, options: argparse.Namespace) -> None:
    until = time.monotonic() + (options.warmup if place.is_warm else options.first_warmup)
    while time.monotonic() < until:
        one_slice(place, subscribers, options.updates, options)
    place.is_warm = True


def fan_out(phase: str, places: Sequence[Place], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Burst or paced: all servers with their subscribers connected, in slices that alternate."""
    with ExitStack() as stack:
        sides = [(place, stack.enter_context(subscribed(place, options.sockets, options))) for place in places]
        for place, subscribers in sides:
            warm_up(place, subscribers, options)
        total = {place.name: Slices() for place in places}
        for number in range(options.slices):
            turn = number % len(sides)
            for place, subscribers in sides[turn:] + sides[:turn]:
                calm(place)
                if phase == "burst":
                    found = one_slice(place, subscribers, options.updates, options)
                else:
                    updates = round(options.pace * options.seconds)
                    found = one_slice(place, subscribers, updates, options, options.pace)
                add(total[place.name], found)
        return {name: slices.figures() for name, slices in total.items()}


def idle(target: Target, database: Postgres, options: argparse.Namespace) -> dict[str, float]:
    """Memory of a server of its own, since one that has delivered has memory to give away."""
    found: dict[str, float] = {}
    with running(target, database, options.server_cpu, cached=True) as server:
        place = place_of(server)
        publish(place, options.publishers * 4, options)
        with subscribed(place, 0, options) as subscribers:
            time.sleep(options.rest)
            before = resident_bytes(server.pid)
            found["before_mb"] = before / 1e6
            for count in options.idle_sockets:
                opened = subscribers.connect(count)
                time.sleep(options.rest)
                found[f"kb_{count}"] = (resident_bytes(server.pid) - before) / 1e3 / count
                found[f"connects_per_s_{count}"] = (
                    (opened["open"] - found.get("open", 0)) / opened["seconds"] if opened["seconds"] else 0
                )
                found["open"] = opened["open"]
            subscribers.ask("arm")
            publish(place, 1, options)
            got = subscribers.wait(1)
            found |= {"lost": got["lost"], "ended": got["ended"]}
    return found


def journal_reads(place: Place) -> int:
    """How often the journal was read by index or from end to end, as PostgreSQL counts it a moment later."""
    time.sleep(1.5)
    server = place.server
    statement = "SELECT sum(idx_scan + seq_scan)::bigint FROM pg_stat_user_tables WHERE relname = 'events'"
    return int(server.database.query(server.target.database, statement)[0])


def resume(place: Place, options: argparse.Namespace) -> dict[str, float]:
    """Everybody comes back at once, each to ten channels: tasks of one stream, and then a stream for each."""
    found: dict[str, float] = {}
    live, server = place.live, place.server
    workspace, task, first = live["places"]
    ours = live["workspace"]
    variants = {
        "one_stream": [(f"task:{id}", f"workspace:{ours}", id) for id in place.tasks[:CHANNELS]],
        "ten_streams": [
            (
                f"workspace:{workspace.format(number=n)}",
                f"workspace:{workspace.format(number=n)}",
                task.format(number=n),
            )
            for n in range(first, first + CHANNELS)
        ],
    }
    for name, channels in variants.items():
        streams = sorted({stream for _, stream, _ in channels})
        publish(place, len(channels), options, tasks=[id for _, _, id in channels])  # so that each stream is there
        heads: list[dict[str, int]] = []
        for _ in range(POSITIONS):
            listed = ", ".join(f"'{stream}'" for stream in streams)
            statement = f"SELECT name || ' ' || head FROM streams WHERE name IN ({listed})"
            rows = server.database.query(server.target.database, statement)
            heads.append({stream: int(head) for stream, head in (row.split() for row in rows)})
            publish(place, options.missed // POSITIONS, options, tasks=[id for _, _, id in channels])
        step = options.missed // POSITIONS
        openings = [
            json.dumps(
                {
                    "type": "connect",
                    "id": 1,
                    "token": "{token}",
                    "subscribe": [c for c, _, _ in channels],
                    "resume": head,
                }
            )
            for head in heads
        ]
        reads = journal_reads(place)
        with subscribed(place, 0, options, openings=openings, proofs=CHANNELS) as subscribers:
            server_cpu, load = exact_cpu_seconds(server.pid), exact_cpu_seconds(subscribers.process.pid)
            opened = subscribers.connect(options.resumes, at_once=options.resumes_at_once)
            got = subscribers.wait([step * (POSITIONS - number) for number in range(POSITIONS)])
            seconds = max(got["last"], opened["began"] + opened["seconds"]) - opened["began"]
            server_cpu = exact_cpu_seconds(server.pid) - server_cpu
            load = exact_cpu_seconds(subscribers.process.pid) - load
            found |= {
                f"{name}_seconds": seconds,
                f"{name}_server_ms_each": server_cpu * 1e3 / options.resumes,
                f"{name}_events": got["received"],
                f"{name}_lost": got["lost"],
                f"{name}_doubled": got["doubled"],
                f"{name}_journal_reads": journal_reads(place) - reads,
                f"{name}_load_busy": load / seconds,
            }
    return found


def flat(place: Place, options: argparse.Namespace) -> dict[str, float]:
    """Cost per delivery by number of sockets, at one pace; net of what the updates and idle sockets cost by themselves.

    An update costs as much as many deliveries, so with 100 sockets it would be most of the figure.
    """
    found: dict[str, float] = {}
    updates: int = round(options.flat_pace * options.flat_seconds)

    def update_cost() -> float:
        before = exact_cpu_seconds(place.server.pid)
        publish(place, updates, options, options.flat_pace)
        return (exact_cpu_seconds(place.server.pid) - before) / float(updates)

    for count in options.flat_sockets:
        update = update_cost()
        with subscribed(place, count, options) as subscribers:
            one_slice(place, subscribers, min(updates, 50), options)
            calm(place)
            before = exact_cpu_seconds(place.server.pid)
            time.sleep(options.rest)
            resting = (exact_cpu_seconds(place.server.pid) - before) / options.rest
            total = one_slice(place, subscribers, updates, options, options.flat_pace)
            figures = total.figures()
            net = total.server - updates * update - resting * total.wall
            found |= {
                f"update_us_{count}": update * 1e6,
                f"gross_us_{count}": figures["server_us"],
                f"net_us_{count}": net * 1e6 / max(1, total.received),
                f"resting_{count}": resting,
                f"load_busy_{count}": figures["load_busy"],
                f"lost_{count}": figures["lost"],
            }
    return found


# --------------------------------------------------------------------------------------------------- profile


def profile(place: Place, options: argparse.Namespace) -> str:
    """Samples the server while bursts follow each other."""
    sampler = shutil.which("py-spy")
    if not sampler:
        raise SystemExit("py-spy is not installed: pip install py-spy")
    with subscribed(place, options.sockets, options) as subscribers, tempfile.TemporaryDirectory() as folder:
        warm_up(place, subscribers, options)
        before = one_slice(place, subscribers, options.updates, options).figures()
        raw = options.raw or Path(folder) / "stacks"
        command = ["taskset", "-c", options.load_cpu, sampler, "record", "--native", "--format", "raw"]
        command += ["--pid", str(place.server.pid), "--rate", "400", "--duration", str(options.profile_seconds)]
        process = subprocess.Popen([*command, "--output", str(raw)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while process.poll() is None:
            one_slice(place, subscribers, options.updates, options)
        if process.returncode:
            raise SystemExit(process.stdout.read().decode() if process.stdout else "py-spy failed")
        head = (
            f"### {place.server.target.title}, burst to {options.sockets:,} sockets: {before['server_us']:.2f} µs of "
        )
        head += f"server CPU a delivery, {before['deliveries_per_s']:,.0f} deliveries/s, without the sampler\n\n"
        return head + cpu_profile.markdown(cpu_profile.read_samples(raw.read_text()), 30)


# ---------------------------------------------------------------------------------------------------- report


def series(report: dict[str, Any], phase: str, name: str, figure: str) -> list[float]:
    results = [cell["results"].get(name, {}) for cell in report["cells"] if cell["phase"] == phase]
    return [result[figure] for result in results if figure in result]


def rows_of(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Phase, figure, title and format of what was measured."""
    found: list[tuple[str, str, str, str]] = [
        ("burst", "deliveries_per_s", "burst: deliveries/s", ",.0f"),
        ("burst", "server_us", "burst: server CPU per delivery, µs", ".2f"),
        ("burst", "load_busy", "burst: load process busy", ".0%"),
        ("paced", "server_us", "paced: server CPU per delivery, µs", ".2f"),
        ("paced", "sent_p50_ms", "paced: sent to received, p50 ms", ".1f"),
        ("paced", "sent_p99_ms", "paced: sent to received, p99 ms", ".1f"),
        ("paced", "answered_p99_ms", "paced: answered to received, p99 ms", ".1f"),
        ("paced", "frame_bytes", "bytes of an update, without the frame's header", ",.0f"),
    ]
    known = {(phase, figure) for phase, figure, _, _ in found}
    for cell in report["cells"]:
        if cell["phase"] in {"idle", "resume", "flat"}:
            for figures in cell["results"].values():
                for figure in figures:
                    if (cell["phase"], figure) not in known:
                        known.add((cell["phase"], figure))
                        precision = ".0%" if "busy" in figure or "resting" in figure else ",.2f"
                        found.append((cell["phase"], figure, f"{cell['phase']}: {figure.replace('_', ' ')}", precision))
    return found


def verdict(phase: str, figure: str, ratio: float, goal: dict[str, float]) -> str:
    key = {"deliveries_per_s": "burst", "server_us": "paced" if phase == "paced" else "", "sent_p99_ms": "p99"}.get(
        figure
    )
    if not key or key not in goal:
        return ""
    at_least = key == "burst"
    met = ratio >= goal[key] if at_least else ratio <= goal[key]
    return f" (goal {'≥' if at_least else '≤'} {goal[key]:g}: {'met' if met else 'missed'})"


def markdown(report: dict[str, Any], targets: Sequence[Target]) -> str:
    first, *others = targets
    heads = ["", *(target.title for target in targets), *(f"{first.title} ÷ {other.title}" for other in others)]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for phase, figure, title, precision in rows_of(report):
        values = {target.name: series(report, phase, target.name, figure) for target in targets}
        if not any(values.values()):
            continue
        row = [title]
        for target in targets:
            seen = values[target.name]
            shown = (
                [format(value, precision) for value in (statistics.median(seen), min(seen), max(seen))] if seen else []
            )
            row.append("" if not seen else shown[0] if len(seen) == 1 else f"{shown[0]} ({shown[1]}–{shown[2]})")
        for other in others:
            pairs = zip(values[first.name], values[other.name], strict=False)
            ratios = [ours / theirs for ours, theirs in pairs if theirs]
            ratio = statistics.median(ratios) if ratios else None
            goal = other.spec["live"].get("goal", {})
            row.append("" if ratio is None else f"{ratio:.2f}{verdict(phase, figure, ratio, goal)}")
        lines.append("| " + " | ".join(row) + " |")
    lost = sum(
        value
        for cell in report["cells"]
        for figures in cell["results"].values()
        for figure, value in figures.items()
        if "lost" in figure or "doubled" in figure or figure == "ended"
    )
    lines += ["", f"Deliveries lost or doubled, and connections ended by a server: {lost:.0f}."]
    lines += [f"**{warning}**" for warning in report["warnings"]]
    lines += ["", "Environment: " + ", ".join(f"{key} {value}" for key, value in report["environment"].items()) + "."]
    for target in targets:
        versions = report["versions"][target.name] or {}
        lines.append(f"{target.title}: " + ", ".join(f"{key} {value}" for key, value in versions.items()) + ".")
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------------ main


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = ", ".join(sorted(path.stem for path in TARGETS.glob("*.json") if '"live"' in path.read_text()))
    parser.add_argument("--targets", help=f"of {known}; ratios are of the first to the others")
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=3, help="of each target in a round of burst and paced")
    parser.add_argument("--sockets", type=int, default=1_000, help="in burst and paced")
    parser.add_argument("--updates", type=int, default=300, help="in a slice of burst")
    parser.add_argument("--pace", type=float, default=20.0, help="updates a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a slice of paced")
    parser.add_argument("--publishers", type=int, default=8, help="keep-alive connections that updates go over")
    parser.add_argument("--first-warmup", type=float, default=15.0, help="seconds of bursts, when a server is new")
    parser.add_argument("--warmup", type=float, default=2.0, help="seconds of bursts, later")
    parser.add_argument("--rest", type=float, default=3.0, help="seconds without load before memory is read")
    parser.add_argument("--idle-sockets", type=numbers, default=[1_000, 5_000])
    parser.add_argument("--resumes", type=int, default=5_000, help="connections that come back at once")
    parser.add_argument("--resumes-at-once", type=int, default=500, help="handshakes in flight")
    parser.add_argument("--missed", type=int, default=100, help="updates that the one away longest has missed")
    parser.add_argument("--flat-sockets", type=numbers, default=[100, 1_000, 5_000, 10_000])
    parser.add_argument("--flat-pace", type=float, default=5.0, help="updates a second; 10,000 sockets get each")
    parser.add_argument("--flat-seconds", type=float, default=20.0)
    parser.add_argument("--profile", action="store_true", help="profile the first target in bursts, measure nothing")
    parser.add_argument("--profile-seconds", type=int, default=20)
    parser.add_argument("--raw", type=Path, help="keep py-spy's stacks here")
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder for fan_out.json and fan_out.md")
    return parser.parse_args()


def measure(
    phase: str, targets: Sequence[Target], places: Sequence[Place], database: Postgres, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    with_journal = [place for place in places if "places" in place.live]
    match phase:
        case "burst" | "paced":
            return fan_out(phase, places, options)
        case "idle":
            return {target.name: idle(target, database, options) for target in targets}
        case "resume":
            return {place.name: resume(place, options) for place in with_journal}
        case "flat":
            return {place.name: flat(place, options) for place in with_journal}
    raise SystemExit(f"there is no phase {phase}; there are {', '.join(PHASES)}")


def main() -> None:
    options = arguments()
    unwind_when_told_to_end()
    targets = chosen_targets(options.targets, TOGETHER)
    if silent := [target.name for target in targets if "live" not in target.spec]:
        raise SystemExit(f"{', '.join(silent)}: its description says nothing about live delivery")
    if not shutil.which("taskset"):
        raise SystemExit("taskset is not installed")
    if options.profile:
        del targets[1:]
    report: dict[str, Any] = {"cells": [], "warnings": []}
    report["settings"] = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        places = []
        for target in targets:
            target.prepare(database)
            server = stack.enter_context(running(target, database, options.server_cpu, cached=True))
            settle(server)
            places.append(place_of(server))
        if options.profile:
            print(profile(places[0], options))
            return
        report["environment"] = environment(database, places[0].server)
        report["versions"] = {target.name: target.versions() for target in targets}
        for number in range(options.rounds):
            turn = number % len(targets)
            for phase in options.phases.split(","):
                order = places[turn:] + places[:turn]
                results = measure(phase, [place.server.target for place in order], order, database, options)
                report["cells"].append({"round": number, "phase": phase, "results": results})
                for name, figures in results.items():
                    shown = " ".join(f"{key}={value:,.4g}" for key, value in figures.items())
                    print(f"round {number + 1} {phase:7} {name:15} {shown}", flush=True)
                    for figure, value in figures.items():
                        if "load_busy" in figure and value > BUSY:
                            warning = f"{phase}, {name}: the load was {value:.0%} busy, so it may be what is measured."
                            report["warnings"].append(warning)
                            print(f"WARNING: {warning}", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "fan_out.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "fan_out.md").write_text(markdown(report, targets))
    print(markdown(report, targets))


if __name__ == "__main__":
    main()
