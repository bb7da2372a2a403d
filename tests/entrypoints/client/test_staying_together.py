"""Ten members whose messages are delayed and whose players start late and stall stay together, by the shipped loop."""

import pytest

from tests.support.staying_together import simulate


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_members_stay_together_for_twenty_minutes(seed: int) -> None:
    ours, theirs = simulate(seed), simulate(seed, by_rule=True)
    assert ours.p50 <= 0.06
    assert ours.p95 <= 0.3
    assert ours.bent < 0.03
    assert theirs.p50 >= 5 * ours.p50
    assert ours.lagging == 0
