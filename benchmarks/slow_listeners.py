#!/usr/bin/env python3
"""Measures what listeners who never read cost those who do: commit to receive, beside a thousand of them.

    python benchmarks/slow_listeners.py                  three rounds: beside nobody, who read, and who never read
    python benchmarks/slow_listeners.py --rounds 1 --others 50 --readers 10 --updates 100     whether it works

As long as the kernel takes what is written to somebody who never reads, nobody can know that they do not, and they cost
a write for each update, as any listener does: they are compared with as many who do read. Once they take nothing more
they should cost nothing, until they are cut: they are compared with nobody. One server stays up. The order changes with
each round, and the ratio within a round is what counts.
"""

import argparse
import http.client
import re
import statistics
import time

from fan_out import Place, Slices, Subscribers, one_slice, place_of, settle, subscribed
from servers import resident_bytes, running
from services import postgres, unwind_when_told_to_end
from side_by_side import chosen_targets

NOBODY, READING, SILENT = "nobody else", "as many who read", "those who never read"
STALLED = "those who take nothing more"
BESIDE = (NOBODY, READING, SILENT, STALLED)
STALL_SECONDS = 60.0


def congested(place: Place) -> int:
    """How many connections the server knows that take less than they are sent."""
    connection = http.client.HTTPConnection("127.0.0.1", place.server.port, timeout=10)
    token = place.server.target.spec["env"]["METRICS_TOKEN"]
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
    said = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"^signalbox_ws_congested (\S+)$", said, re.MULTILINE)
    assert found, said[:300]
    return int(float(found[1]))


def stall(place: Place, readers: Subscribers, options: argparse.Namespace) -> None:
    """Fill up those who never read, until the server leaves them out."""
    until = time.monotonic() + STALL_SECONDS
    while congested(place) < options.others:
        if time.monotonic() > until:
            raise SystemExit(f"only {congested(place)} of {options.others} take nothing more")
        one_slice(place, readers, 50, options, 5 * options.pace)
        time.sleep(0.6)  # the server counts twice a second


def slice_beside(place: Place, others_are: str, options: argparse.Namespace) -> tuple[Slices, float]:
    """Delays of some who read, beside `options.others` of another kind, and the megabytes that these cost."""
    others = Subscribers(place, options.load_cpu)
    try:
        with subscribed(place, options.readers, options) as readers:
            before = resident_bytes(place.server.pid)
            if others_are != NOBODY:
                others.ask("connect", count=options.others, at_once=64, stalled=others_are in (SILENT, STALLED))
            if others_are == STALLED:
                stall(place, readers, options)
            found = one_slice(place, readers, options.updates, options, options.pace)
            return found, (resident_bytes(place.server.pid) - before) / 1e6
    finally:
        others.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--others", type=int, default=1_000)
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--pace", type=float, default=20.0, help="updates a second")
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    options = parser.parse_args()
    unwind_when_told_to_end()
    (target,) = chosen_targets("signalbox", ("signalbox",))
    ratios: dict[str, list[float]] = {SILENT: [], STALLED: []}
    with postgres() as database:
        target.prepare(database)
        with running(target, database, options.server_cpu, cached=True) as server:
            settle(server)
            place = place_of(server)
            slice_beside(place, NOBODY, options)  # to warm up
            for number in range(options.rounds):
                p99: dict[str, float] = {}
                for beside in BESIDE[:: 1 if number % 2 else -1]:
                    found, grown = slice_beside(place, beside, options)
                    p50, p99[beside] = (found.percentile_ms("answered", share) for share in (0.5, 0.99))
                    print(
                        f"round {number + 1}: beside {beside}: p50 {p50:.1f} ms, p99 {p99[beside]:.1f} ms,"
                        f" lost {found.lost}, doubled {found.doubled}, memory {grown:+.1f} MB",
                        flush=True,
                    )
                for beside, measure in ((SILENT, READING), (STALLED, NOBODY)):
                    ratios[beside].append(p99[beside] / max(p99[measure], 0.1))
    for beside, measure in ((SILENT, READING), (STALLED, NOBODY)):
        by_round = ratios[beside]
        print(f"p99 beside {beside} / beside {measure}: median {statistics.median(by_round):.2f}")
        print(f"of each round: {' '.join(f'{ratio:.2f}' for ratio in by_round)}")


if __name__ == "__main__":
    main()
