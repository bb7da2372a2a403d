"""Pages of decisions: each has a number of its own, which it says itself."""

from pathlib import Path

DECISIONS = sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("[0-9]*.md"))


def test_every_decision_has_a_number_of_its_own_and_says_it() -> None:
    numbers = [page.name[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)
    for page in DECISIONS:
        assert page.read_text().startswith(f"# {page.name[:4]} "), page.name
