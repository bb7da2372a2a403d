"""The page about faults names tests that there are."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/\S+\.py)::(\w+)`")


def functions(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    }


def test_every_fault_is_proved_by_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs/faults.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert rows
    assert not [row for row in rows if not NAMED.search(row)]
    named = {named for row in rows for named in NAMED.findall(row)}
    assert not [f"{path}::{name}" for path, name in named if name not in functions(ROOT / path)]


def test_every_test_under_load_is_on_the_page() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    there = {
        name
        for path in (ROOT / "tests/faults").glob("test_*.py")
        for name in functions(path)
        if name.startswith("test_")
    }
    assert not {name for name in there if name not in page}
