"""The loops in Python and JavaScript do the same at every step, whatever happens to the room and the player."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from entrypoints.client.following import DriftLoop
from tests.entrypoints.client.test_following import Player
from tests.support.clients import Json

STEPS = 3000
SEEDS = range(5)
HERE = Path(__file__).parent
BEGIN_MS = 1_790_000_000_000
BEGIN = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=BEGIN_MS)


def script(seed: int) -> list[Json]:
    """What happens, step by step. Mostly only time passes."""
    random, steps, now, epoch = Random(seed), [], 0.0, 0
    for i in range(STEPS):
        step: Json = {"ms": random.choice([250, 250, 250, 40, 900])}
        now += step["ms"]
        if i == 0 or random.random() < 0.01:
            epoch += random.choice([1, 1, 1, 0, -1])
            at = BEGIN + timedelta(milliseconds=round(now) + random.choice([0, 400, 1500, -700]))
            step["state"] = {
                "status": random.choice(["playing", "playing", "playing", "paused", "waiting", "loading", "ended"]),
                "item_id": random.choice(["film", "film", "film", "another"]),
                "epoch": epoch,
                "anchor_position_ms": random.choice([random.randrange(605_000), 590_000, 0]),
                "anchor_at": at.isoformat(timespec="milliseconds"),
                "rate": random.choice([1, 1, 1.5, 0.75, 2]),
            }
        if random.random() < 0.05:
            step["move_ms"] = random.choice([-3500, -1200, -300, -45, 25, 60, 450, 2500])
        for chance, name, values in (
            (0.05, "is_ready", [True, True, False]),
            (0.02, "ahead", [0.5, 1.9, 2.1, 10.0]),
            (0.003, "is_stiff", [True, False, False]),
            (0.01, "mode", ["strict", "strict", "relaxed", "free"]),
            (0.005, "offset_ms", [0, 0, 1500, -2500]),
            (0.01, "resync", [True]),
        ):
            if random.random() < chance:
                step[name] = random.choice(values)
        steps.append(step)
    return steps


def in_python(steps: list[Json]) -> list[Json]:
    player, now, found = Player(), 0.0, []
    loop = DriftLoop(player)
    for step in steps:
        now += step["ms"]
        if not player.is_paused and player.is_ready:
            player.position += player.rate * step["ms"] / 1000
        if "move_ms" in step:
            player.position = max(0.0, player.position + step["move_ms"] / 1000)
        player.is_ready = step.get("is_ready", player.is_ready)
        player.ahead = step.get("ahead", player.ahead)
        player.is_stiff = step.get("is_stiff", player.is_stiff)
        loop.mode = step.get("mode", loop.mode)
        loop.offset_ms = step.get("offset_ms", loop.offset_ms)
        if "resync" in step:
            loop.resync()
        if "state" in step and loop.follow(step["state"]) and not loop.is_loaded:
            loop.loaded()
        wait = loop.tick(now, BEGIN_MS + now)
        told = {"wait": wait, "position": player.position, "paused": player.is_paused, "player_rate": player.rate}
        found.append({**told, **loop.report()})
    return found


async def in_javascript(steps: list[Json]) -> list[Json]:
    modules = HERE.parents[1] / "src/entrypoints/http/browser"
    process = await asyncio.create_subprocess_exec(
        "node",
        "--no-warnings",
        str(HERE / "same_loop.mjs"),
        str(modules),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate("".join(f"{json.dumps(step)}\n" for step in steps).encode())
    return [json.loads(line) for line in said.splitlines()]


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_loops_do_the_same_at_every_step(seed: int) -> None:
    steps = script(seed)
    ours, theirs = in_python(steps), await in_javascript(steps)
    assert len(ours) == len(theirs) == STEPS
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for name, value in one.items():
            same = value
            if type(value) in {int, float}:  # halves are rounded differently
                same = pytest.approx(value, abs=1 if name.endswith("_ms") else 1e-6)
            assert other[name] == same, (i, name, steps[i])


def test_the_scripts_reach_everything_that_a_loop_does() -> None:
    told = [each for seed in SEEDS for each in in_python(script(seed))]
    assert {each["sync"] for each in told} == {"strict", "relaxed", "free", "lagging"}
    for name in ("ready", "buffering", "ended", "paused"):
        assert {each[name] for each in told} == {True, False}
    assert any(each["player_rate"] not in {1, 1.5, 0.75, 2} for each in told)
