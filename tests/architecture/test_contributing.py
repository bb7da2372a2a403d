"""The guide to a new context names what is there, and all of it."""

import re
from pathlib import Path

from dependency_injector.providers import Dict, List

from entrypoints.container import in_memory
from tests.architecture.notes import assembly

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "tests" / "architecture" / "notes"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a context\n")[2].partition("\n## ")[0]
# What health looks at, to which no context adds.
OWN = {"needed", "own", "optional"}


def test_it_reads_every_file_of_the_example_and_no_other() -> None:
    steps = " ".join(step.partition(": ")[0] for step in re.findall(r"^\d\. (.*)$", GUIDE, re.MULTILINE))
    read = re.findall(r"`(\w+\.py)`", steps)
    assert sorted(read) == sorted(path.name for path in NOTES.glob("[!_]*.py"))


def test_the_files_that_it_names_exist() -> None:
    for path in re.findall(r"`((?:src|tests)/[\w/.]+)`", GUIDE):
        assert (ROOT / path).exists(), path


def test_it_has_a_row_for_each_list_that_a_context_can_add_to() -> None:
    house = assembly.in_memory(in_memory())
    lists = {name for name, provider in house.providers.items() if isinstance(provider, Dict | List)}
    assert set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)) == lists - OWN
