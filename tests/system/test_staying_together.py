"""Ten members whose messages are delayed and whose elements start late and stall stay together in JavaScript."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.clients import Json

MODULES = Path(__file__).parents[2] / "src/entrypoints/http/browser"
SESSION = Path(__file__).with_name("staying_together.mjs")


async def simulate(seed: int, rule: str) -> Json:
    process = await asyncio.create_subprocess_exec(
        "node", "--no-warnings", str(SESSION), str(MODULES), str(seed), rule, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    figures: Json = json.loads(said)
    return figures


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_ten_members_stay_together_for_twenty_minutes(seed: int) -> None:
    ours, theirs = await simulate(seed, "player"), await simulate(seed, "seek")
    assert ours["p50"] <= 0.06
    assert ours["p95"] <= 0.3
    assert ours["bent"] < 0.03
    assert theirs["p50"] >= 5 * ours["p50"]
    assert ours["lagging"] == 0
