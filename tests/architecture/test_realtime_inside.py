"""The map of the live side shows every module that there is, and names nothing that there is not."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
HERE = "application.realtime"
PAGE = (ROOT / "docs" / "realtime-inside.md").read_text()
# In backticks, with a module and a name: `stream.Following.show`, `piece.pieces`, `application.ports.events.Broker`.
NAMES = sorted(set(re.findall(r"`((?:[a-z_]+\.)+[A-Za-z_]\w*(?:\.[a-z_]\w*)?)`", PAGE)))
MAPPED = re.findall(r"^\| `(\w+)\.py` \| \S", PAGE, re.MULTILINE)


def test_the_map_has_every_module_once() -> None:
    there = {path.stem for path in (ROOT / "src" / HERE.replace(".", "/")).glob("*.py")} - {"__init__"}
    assert sorted(MAPPED) == sorted(there)


def found(name: str) -> object:
    """What a dotted name stands for; ImportError or AttributeError if nothing does."""
    path = name.split(".")
    for length in range(len(path), 0, -1):
        for module in (".".join(path[:length]), f"{HERE}.{'.'.join(path[:length])}"):
            try:
                thing: object = importlib.import_module(module)
            except ModuleNotFoundError:
                continue
            for attribute in path[length:]:
                thing = getattr(thing, attribute)
            return thing
    raise ImportError(name)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(".py")])
def test_everything_that_the_page_names_is_there(name: str) -> None:
    thing = found(name)
    assert isinstance(thing, ModuleType | type) or callable(thing)


def test_the_states_of_a_following_are_those_of_the_page() -> None:
    states = found("stream.FollowingState")
    assert isinstance(states, type)
    (table,) = re.findall(r"^\| `stream\.FollowingState` .*\n\|---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert re.findall(r"^\| `([A-Z]+)` \|", table, re.MULTILINE) == [str(state.name) for state in states]  # type: ignore[attr-defined]
