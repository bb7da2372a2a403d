"""How close together the members of a room stay: the shipped players of both languages in the simulation of the tests.

Prints a table of figures, and draws `staying_together.svg`. It needs no server and no quiet machine: time is virtual.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.support.staying_together import Figures, simulate  # noqa: E402

COLOURS = {"RoomPlayer": "#0a7d5a", "seek beyond 1 s": "#c2452d"}
COLUMNS = ("p50", "p95", "p95_with_stalled", "bent", "seeks_per_hour", "lagging")


def in_javascript(seed: int, rule: str) -> dict[str, Any]:
    session, modules = ROOT / "tests/system/staying_together.mjs", ROOT / "src/entrypoints/http/browser"
    said = subprocess.run(
        ["node", "--no-warnings", session, modules, str(seed), rule],
        check=True,
        capture_output=True,
    )
    figures: dict[str, Any] = json.loads(said.stdout)
    return figures


def in_python(seed: int, rule: str) -> Figures:
    return simulate(seed, by_rule=rule == "seek")


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        "| | p50, s | p95, s | p95 with those that stall, s | rate ≠ 1 | seeks/h | lagging |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, runs in rows.items():
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in runs]
            scale, digits = (100, 1) if column == "bent" else (1, 3 if column.startswith("p") else 0)
            low, middle, high = (scale * f(values) for f in (min, statistics.median, max))
            cells.append(f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f}){' %' if column == 'bent' else ''}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def drawing(traces: dict[str, list[tuple[float, float]]]) -> str:
    """The spread over the session, on a logarithmic scale from 10 ms to 100 s."""
    width, height, left, top = 960, 360, 70, 40
    steps = [0.01, 0.1, 1, 10, 100]

    def y(spread: float) -> float:
        return top + height - height * (math.log10(min(100, max(0.01, spread))) + 2) / 4

    def x(seconds: float) -> float:
        return left + width * seconds / 1200

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {top + height + 50}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="20">Spread between the furthest of ten '
        "members that are not stalled, in seconds</text>",
    ]
    for step in steps:
        parts.append(f'<path d="M{left} {y(step):.1f}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(step) + 4:.1f}" text-anchor="end">{step:g}</text>')
    parts += [
        f'<text x="{x(60 * minute)}" y="{top + height + 20}" text-anchor="middle">{minute} min</text>'
        for minute in range(0, 21, 5)
    ]
    for index, (name, trace) in enumerate(traces.items()):
        # The largest of each second, so that no peak is lost.
        peaks: dict[int, float] = {}
        for seconds, spread in trace:
            peaks[int(seconds)] = max(peaks.get(int(seconds), 0.0), spread)
        line, last = "", -math.inf
        for second, spread in peaks.items():
            line += f"{'M' if second > last + 1 else 'L'}{x(second):.1f} {y(spread):.1f}"
            last = second
        parts.append(f'<path d="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.2"/>')
        parts.append(f'<text x="{left + 150 * index}" y="{top + height + 42}" fill="{COLOURS[name]}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=10, help="how many sessions of each kind (10)")
    arguments.add_argument("--python-only", action="store_true", help="without Node.js")
    chosen = arguments.parse_args()
    seeds = range(1, chosen.seeds + 1)
    rows: dict[str, list[dict[str, float]]] = {}
    traces: dict[str, list[tuple[float, float]]] = {}
    for name, rule in (("RoomPlayer", "player"), ("seek beyond 1 s", "seek")):
        found = [in_python(seed, rule) for seed in seeds]
        traces[name] = found[0].trace
        rows[f"{name}, Python"] = [{column: getattr(run, column) for column in COLUMNS} for run in found]
        if not chosen.python_only:
            rows[f"{name}, JavaScript"] = [in_javascript(seed, rule) for seed in seeds]
    (HERE / "staying_together.svg").write_text(drawing(traces))
    print(table(rows))


if __name__ == "__main__":
    main()
