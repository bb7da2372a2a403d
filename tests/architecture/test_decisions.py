"""Every decision has one page and one row in the index, and a number without a page is explained."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
INDEX = (FOLDER / "README.md").read_text()
HEAD = re.compile(r"# (\d{4}) (.+)\n\nStatus: (?:accepted|replaced by \d{4}), (\d{4}-\d\d-\d\d)")
PAGES = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_index_has_each_page_with_its_title_and_date() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \| (\d{4}-\d\d-\d\d) \|$", INDEX, re.MULTILINE)
    found = []
    for page in PAGES:
        written = re.match(
            r"# (\d{4}) (.+)\n\nStatus: (?:accepted|replaced by \d{4}), (\d{4}-\d\d-\d\d)", page.read_text()
        )
        assert written, f"{page.name} begins with its number, title, status and date"
        assert written[1] == page.name[:4], page.name
        found.append((written[1], page.name, written[2], written[3]))
    assert listed == found


def test_numbers_are_given_once_and_those_without_a_page_are_explained() -> None:
    numbers = [int(page.name[:4]) for page in PAGES]
    assert len(set(numbers)) == len(numbers)
    missing = set(range(1, max(numbers) + 1)) - set(numbers)
    (sentence,) = re.findall(r"^(.*) have no page\.", INDEX, re.MULTILINE)
    assert missing == {int(number) for number in re.findall(r"\d{4}", sentence)}
