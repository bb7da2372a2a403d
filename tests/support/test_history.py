"""The checkers see what they are there to see: each doctored history has one flaw, and it is named."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.support.history import Entry, History, delays, holes, lost_or_made_up, outages, repeated_effects

RECOVERY, PATIENCE = 2.0, 3.0


class Story:
    """A history with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.history = History(lambda: self.now)

    def write(self, value: str, status: int = 201, answer: str = "id", key: str = "", took: float = 0.1) -> None:
        """A write from its beginning to its end; without a status no answer comes."""
        write = self.history.write("ada", value, key)
        self.now += took
        if status:
            write.answered(status, answer, retry_after=status == 503)
        else:
            write.lost()

    def hear(self, *offsets: int) -> None:
        for offset in offsets:
            self.history.hear("bob", offset)


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_was_acknowledged_has_to_be_there(story: Story) -> None:
    story.write("a")
    assert lost_or_made_up(story.history.entries, {"a": "id"}) == []
    assert lost_or_made_up(story.history.entries, {}) == ["a was acknowledged and lost"]


def test_what_was_refused_must_not_be_there(story: Story) -> None:
    story.write("a", 503, "dependency_unavailable")
    assert lost_or_made_up(story.history.entries, {}) == []
    assert lost_or_made_up(story.history.entries, {"a": "id"}) == ["a was refused and is there"]


@pytest.mark.parametrize(("status", "answer"), [(0, ""), (503, "outcome_unknown"), (500, "internal_error")])
def test_what_nobody_knows_may_be_there_or_not(story: Story, status: int, answer: str) -> None:
    story.write("a", status, answer)
    story.write("a", 409, "still_running")
    assert lost_or_made_up(story.history.entries, {}) == []
    assert lost_or_made_up(story.history.entries, {"a": "id"}) == []


def test_what_is_still_under_way_may_be_there_or_not(story: Story) -> None:
    story.history.write("ada", "a")
    assert lost_or_made_up(story.history.entries, {}) == lost_or_made_up(story.history.entries, {"a": "id"}) == []


def test_what_nobody_wrote_must_not_be_there(story: Story) -> None:
    assert lost_or_made_up(story.history.entries, {"a": "id"}) == ["a was never written and is there"]


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ([4, 5, 6], []),
        ([5, 6], ["bob heard 5 behind 3"]),
        ([4, 6], ["bob heard 6 behind 4"]),
        ([4, 4, 5, 6], ["bob heard 4 behind 4"]),
        ([4, 5], ["bob ended at 5 of 6"]),
        ([], ["bob ended at 3 of 6"]),
    ],
)
def test_a_subscriber_hears_everything_once_and_in_order(story: Story, heard: Sequence[int], wrong: list[str]) -> None:
    story.history.begin("bob", 3)
    story.hear(*heard)
    assert holes(story.history.entries, 6) == wrong


def test_a_subscriber_that_never_began_is_a_flaw(story: Story) -> None:
    story.hear(2)
    assert holes(story.history.entries, 2) == ["bob heard 2 behind 0"]


def test_a_resync_excuses_a_jump(story: Story) -> None:
    story.history.begin("bob", 0)
    story.hear(1)
    story.history.begin("bob", 4)
    story.hear(5)
    assert holes(story.history.entries, 5) == []


def test_a_key_has_one_effect(story: Story) -> None:
    story.write("a", key="k")
    assert repeated_effects(story.history.entries, ["a"]) == []
    assert repeated_effects(story.history.entries, ["a", "a"]) == ["a happened 2 times"]
    assert repeated_effects(story.history.entries, []) == ["a was answered and never happened"]


def test_a_key_may_have_no_effect_if_nobody_was_told_of_one(story: Story) -> None:
    story.write("a", 0, key="k")
    assert repeated_effects(story.history.entries, []) == []


def test_a_key_is_answered_the_same_every_time(story: Story) -> None:
    story.write("a", answer="one", key="k")
    story.write("a", answer="one", key="k")
    assert repeated_effects(story.history.entries, ["a"]) == []
    story.write("a", answer="two", key="k")
    assert repeated_effects(story.history.entries, ["a"]) == ["a was answered ['one', 'two']"]


def found_wrong(story: Story) -> list[str]:
    return outages(story.history.entries, RECOVERY, PATIENCE)


@pytest.mark.parametrize(("status", "told"), [(0, "no answer"), (503, "503 x")])
def test_nothing_fails_outside_of_an_outage(story: Story, status: int, told: str) -> None:
    story.write("a", status, "x")
    assert found_wrong(story) == [f"a: {told}, outside of every outage"]


def test_in_an_outage_and_for_a_moment_after_it_writes_may_be_refused(story: Story) -> None:
    story.write("a")
    with story.history.outage("no database"):
        story.write("b", 503, "x")
        story.write("c", 0)
    story.write("d", 503, "x", took=1)
    story.write("e")
    assert found_wrong(story) == []


def test_an_outage_has_to_be_over_in_time(story: Story) -> None:
    with story.history.outage("no database"):
        story.write("a", 503, "x")
    story.write("b", 503, "x", took=2.5)
    story.write("c", 503, "x")
    story.write("d")
    assert found_wrong(story) == [
        "c: 503 x, outside of every outage",
        "no write succeeded within 2 s after: no database",
    ]


def test_an_outage_excuses_only_what_it_is_about(story: Story) -> None:
    with story.history.outage("no database"):
        story.write("a", 500, "internal_error")
        story.history.write("ada", "b").answered(503, "x")
        story.write("c", 503, "x", took=3.5)
    story.write("d")
    assert found_wrong(story) == [
        "a: 500 internal_error, which is no 503 with Retry-After",
        "b: 503 x, which is no 503 with Retry-After",
        "c: 503 x after 3.50 s",
    ]


def test_a_refusal_by_a_rule_is_no_failure(story: Story) -> None:
    story.write("a", 422, "validation_failed")
    assert found_wrong(story) == []


def test_a_delay_counts_from_the_acknowledgement(story: Story) -> None:
    story.write("a")
    story.now += 0.5
    story.history.hear("bob", 1, "a")
    story.history.hear("bob", 2, "never acknowledged")
    assert delays(story.history.entries) == {("bob", "a"): pytest.approx(0.5)}


def test_a_history_is_a_line_for_each_entry(story: Story, tmp_path: Path) -> None:
    story.write("a", key="k")
    story.hear(1)
    story.history.save(tmp_path / "history.jsonl")
    lines = (tmp_path / "history.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Entry) for line in lines] == story.history.entries
