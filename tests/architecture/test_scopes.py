"""No use case forgets to ask what the credential of its actor may: each is called here with one that may nothing."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import walk_packages
from typing import get_type_hints
from uuid import UUID

import pytest
from dependency_injector.providers import Factory, Resource

import application
from application.principal import Principal
from application.scopes import UNGIVEN, ScopeMissing
from domain.identity import AccountRole
from domain.ids import AccountId
from entrypoints.container import Container, in_memory
from tests.architecture import notes
from tests.architecture.notes import assembly

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
POWERLESS = Principal(AccountId(ID), ID, AccountRole.ADMIN, datetime.max.replace(tzinfo=UTC), frozenset())
# Those that need no scope, and why.
FREE = {"Tickets.issue": "the connection that it opens has the same scopes, and asks for them"}


def use_cases() -> dict[str, tuple[type, str]]:
    """The public methods that are told their actor, and whose they are, by `Class.method`; those of notes, too."""
    found = {}
    modules = [
        *walk_packages(application.__path__, "application."),
        *walk_packages(notes.__path__, "tests.architecture.notes."),
    ]
    for module in modules:
        if "ports" in module.name or "__main__" in module.name:
            continue
        for kind in vars(import_module(module.name)).values():
            if inspect.isclass(kind) and kind.__module__ == module.name:
                for name, method in vars(kind).items():
                    if not name.startswith("_") and is_use_case(method):
                        found[f"{kind.__name__}.{name}"] = kind, name
    return found


def is_use_case(method: object) -> bool:
    return inspect.iscoroutinefunction(method) and list(inspect.signature(method).parameters)[1:2] == ["actor"]


USE_CASES = use_cases()


def called(house: Container, kind: type, name: str) -> Awaitable[object]:
    """This use case on nothing, by somebody whose credential may nothing."""
    made = (provider() for provider in house.providers.values() if not isinstance(provider, Resource | Factory))
    method: Callable[..., Awaitable[object]] = getattr(next(thing for thing in made if isinstance(thing, kind)), name)
    hints = get_type_hints(method)
    assert hints.pop("actor") in (Principal, Principal | None)
    needed = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty][1:]
    return method(POWERLESS, *(f"workspace:{ID}" if hints[name] is str else None for name in needed))


@pytest.fixture(scope="module")
def house() -> Container:
    """An assembly with notes, in which nobody may do anything, so that one serves all."""
    return assembly.in_memory(in_memory())


@pytest.mark.parametrize("use_case", sorted(USE_CASES.keys() - FREE.keys()))
async def test_a_use_case_asks_for_a_scope_before_anything_else(house: Container, use_case: str) -> None:
    with pytest.raises(ScopeMissing) as refused:
        await called(house, *USE_CASES[use_case])
    assert refused.value.extra["required_scope"] in {scope.name for scope in (*UNGIVEN, *house.scopes())}


def test_what_is_said_to_need_none_is_there() -> None:
    assert FREE.keys() <= USE_CASES.keys()


def test_scopes_have_names_of_their_own_and_none_is_for_sessions_only() -> None:
    names = [scope.name for scope in in_memory().scopes()]
    assert len(set(names)) == len(names)
    assert not {scope.name for scope in UNGIVEN} & {*names}


def test_every_channel_needs_a_scope_that_there_is() -> None:
    house = assembly.in_memory(in_memory())
    assert {feeds.scope for feeds in house.feeds()} <= set(house.scopes())
