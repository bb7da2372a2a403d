"""Every type of event that the domain announces is in the catalogue, and nothing is that nobody announces."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.kernel import Aggregate
from domain.tasks import Task
from entrypoints.container import in_memory

DOMAIN = Path(__file__).parents[2] / "src" / "domain"


def announced() -> Iterator[str]:
    """The types in calls of `_announce`, and of what leads to it."""
    for path in sorted(DOMAIN.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr=name), args=parts) if name.startswith(("_announce", "_tell")):
                    yield from (p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str))


def below(kind: type[Aggregate]) -> Iterator[type[Aggregate]]:
    """The classes that are made from this one. An aggregate of many verbs is made in several steps."""
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_what_is_announced_is_in_the_catalogue_and_nothing_else_is() -> None:
    assert set(announced()) == set(in_memory().catalogue().types)


def test_every_aggregate_has_its_types_in_the_catalogue_once() -> None:
    # With slots a dataclass is made anew from the class as it is written, which stays until it is collected.
    kinds = [kind for kind in below(Aggregate) if vars(sys.modules[kind.__module__]).get(kind.__name__) is kind]
    kinds = [kind for kind in kinds if kind.__module__.startswith("domain.") and "announces" in vars(kind)]
    names = [name for kind in kinds for name in kind.announces]

    assert set(kinds) == set(in_memory().aggregates())
    assert len(names) == len(set(names))


def test_a_type_that_two_aggregates_announce_is_refused() -> None:
    house = in_memory()
    house.aggregates.add_args(Task)
    with pytest.raises(ValueError, match=r"two aggregates announce task\.created"):
        house.catalogue()


def test_a_type_says_what_happened_and_where() -> None:
    for kind in in_memory().catalogue().types.values():
        assert kind.description.endswith("."), kind.type
        assert all(text.endswith(".") for text in kind.data.values()), kind.type
        assert kind.version >= 1
        assert kind.stream in {"account", "workspace", "room"}
