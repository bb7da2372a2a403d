"""The house is complete: each context has each floor, each port an adapter in both assemblies and a contract suite."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from dependency_injector.providers import Factory, List, Resource

from application.reactions import EveryWork
from entrypoints import container
from entrypoints.container import Container, assembled, assemblies, in_memory, table
from entrypoints.settings import Settings
from tests.architecture.notes import assembly as notes
from tests.contracts.house import House

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
LINES_MAX = 400
TABLE_LINES_MAX = 130

# What all contexts share; every other module of the domain is a context.
SHARED = {"access", "attempts", "channels", "errors", "ids", "kernel", "mail", "text", "values", "words"}
# Contexts without a module of that name in the domain, and the module that is theirs instead.
DOMAIN_ELSEWHERE = {"events": "kernel"}  # an event is what every aggregate announces
CONTEXTS = sorted({module.name for module in iter_modules([str(SRC / "domain")])} - SHARED | set(DOMAIN_ELSEWHERE))
# Contexts that are being built, one floor after the other. Those that have every floor do not stand here.
BEGUN: set[str] = set()
FLOORS = (
    "src/domain/{}",
    "src/application/{}",
    "src/application/ports/{}",
    "src/adapters/postgres/{}",
    "src/adapters/memory/{}",
    "src/entrypoints/http/{}",
    "tests/contracts/test_{}",
)
OVER_REDIS = Settings(
    database_url="postgresql://nowhere.invalid/signalbox",
    redis_url="redis://nowhere.invalid",
    jwt_secret="only-for-tests-0123456789-abcdefghij",
)
MADE: Mapping[str, Callable[[], Container]] = {
    "over Redis": lambda: assembled(OVER_REDIS),
    "in one process": lambda: assembled(in_memory().settings()),
    "in memory": in_memory,
}
# Floors whose contexts import-linter holds to be independent of each other.
HELD_APART = ["domain", "application", "application.ports", "entrypoints.http", "entrypoints.container"]
# Those with suites of their own: adapters that every assembly has, and what stands behind or in for another port.
SUITES_OF_THEIR_OWN = {
    "authenticators",
    "hasher",
    "observer",
    "one_time_codes",
    "process_cache",
    "process_limiter",
    "secrets",
    "stored_task_queries",
    "tokens",
}
FORBIDDEN_NAMES = re.compile(r"I(?=[A-Z][a-z])|Abstract|Base(?=[A-Z])|.*(Impl|Manager|Helpers?|Utils?)\Z")


@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("context", sorted({*CONTEXTS} - BEGUN))
def test_every_context_has_every_floor(context: str, floor: str) -> None:
    module = _module(context, floor)
    assert _is_there(module), f"missing: {module}.py"


def test_a_context_that_is_begun_is_not_finished() -> None:
    for context in BEGUN:
        missing = [module for module in (_module(context, floor) for floor in FLOORS) if not _is_there(module)]
        assert missing, f"{context} has every floor, so it is not one of BEGUN"


@pytest.mark.parametrize("floor", HELD_APART)
def test_the_contexts_of_a_floor_are_held_to_be_independent(floor: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    brought = {*CONTEXTS, *(context.__name__.rpartition(".")[2] for context in assemblies.CONTEXTS)}
    there = {module.name for module in iter_modules([str(SRC / floor.replace(".", "/"))])}
    assert {f"{floor}.{context}" for context in brought & there} in map(set, held), floor


def test_every_port_of_the_assembly_is_held_to_its_contract_on_both_stores() -> None:
    bound = {name for name, provided in _bindings().items() if _is_port(get_origin(provided) or provided)}
    missing = bound - House.__annotations__.keys()
    assert missing == SUITES_OF_THEIR_OWN, "House of tests/contracts/house.py lacks one"


def test_every_port_is_bound_in_the_assembly() -> None:
    reached = _reachable([*_bindings().values(), *_rows(notes.in_memory(in_memory()))])
    unbound = _names(set(_ports()) - reached)
    assert not unbound, f"no provider in entrypoints/container leads to {unbound}"


def test_the_real_assembly_keeps_nothing_in_memory() -> None:
    house = assembled(OVER_REDIS)
    wrong = {name for name, module in _adapters(house) if module.startswith("adapters.memory")}
    # Counts for the process alone while Redis is away, and keeps what every process can have again.
    assert wrong == {"process_limiter", "process_cache"}


def test_the_in_memory_assembly_needs_no_service() -> None:
    needs = ("adapters.postgres", "adapters.redis", "adapters.outbound")
    assert [name for name, module in _adapters(in_memory()) if module.startswith(needs)] == []


@pytest.mark.parametrize("assembly", MADE)
def test_everything_in_an_assembly_can_be_made(assembly: str) -> None:
    made = MADE[assembly]()
    made.check_dependencies()
    for provider in made.providers.values():
        # A resource connects, and a factory waits for what only its caller knows.
        if not isinstance(provider, Resource | Factory):
            provider()


@pytest.mark.parametrize("assembly", MADE)
def test_a_unit_of_work_has_every_repository_that_a_use_case_sees(assembly: str) -> None:
    repositories = MADE[assembly]().repositories()
    seen = {
        name: get_type_hints(member.fget)["return"]
        for slice in EveryWork.__mro__
        for name, member in vars(slice).items()
        if isinstance(member, property)
    }
    assert repositories.keys() == seen.keys()
    assert [name for name, port in seen.items() if port not in repositories[name].__mro__] == []


def test_every_port_with_promises_is_named_in_a_contract_suite() -> None:
    suites = " ".join(path.read_text() for path in sorted((ROOT / "tests" / "contracts").rglob("*.py")))
    words = set(re.findall(r"\w+", suites))
    promising = {port for port in _ports() if any(callable(member) for member in _own_members(port))}
    unnamed = _names(port for port in promising if port.__name__ not in words)
    assert not unnamed, f"no suite in tests/contracts names {unnamed}"


def test_the_domain_imports_the_standard_library_and_itself() -> None:
    for path in sorted((SRC / "domain").rglob("*.py")):
        for module in _imports(path):
            top = module.partition(".")[0]
            assert top in sys.stdlib_module_names or top == "domain", f"{path.relative_to(ROOT)} imports {module}"


def test_nothing_imports_through_src() -> None:
    for path in _sources("src", "tests", "migrations"):
        assert not [module for module in _imports(path) if module.split(".")[0] == "src"], path.relative_to(ROOT)


def test_no_module_is_too_long_to_read() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in _sources("src") if (lines := _line_count(path)) > LINES_MAX}
    assert not long, f"past {LINES_MAX} lines a module becomes a package of the same name: {long}"


def test_the_table_of_the_assembly_fits_on_one_screen() -> None:
    assert _line_count(Path(table.__file__)) <= TABLE_LINES_MAX


def test_no_name_says_nothing() -> None:
    for path in _sources("src", "tests"):
        names = [node.name for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)]
        assert not [name for name in names if FORBIDDEN_NAMES.match(name)], path.relative_to(ROOT)
        assert not re.fullmatch(r"_*(utils?|helpers?|managers?|common|misc)", path.stem), path.relative_to(ROOT)


def test_no_two_public_classes_share_a_name() -> None:
    found: dict[str, list[str]] = {}
    for path in _sources("src"):
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: places for name, places in found.items() if len(places) > 1}


# --------------------------------------------------------------------------------------------------- looking at ports


def _ports() -> list[type]:
    """Every Protocol in application/ports."""
    found = []
    for path in sorted((SRC / "application" / "ports").rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
        found += [thing for thing in vars(import_module(name)).values() if _is_port(thing) and thing.__module__ == name]
    return found


def _is_port(thing: object) -> bool:
    return isinstance(thing, type) and bool(getattr(thing, "_is_protocol", False)) and thing.__module__ != "typing"


def _bindings() -> dict[str, object]:
    """What each provider of the assembly provides; from the annotations in the source, for the library forgets it."""
    found: dict[str, object] = {}
    for info in iter_modules(container.__path__, f"{container.__name__}."):
        module = import_module(info.name)
        for node in ast.walk(_tree(Path(str(module.__file__)))):
            match node:
                case ast.ClassDef(name="Container"):
                    found |= _annotated(node, module)
                case ast.FunctionDef():
                    annotated = _annotated(node, module)
                    found |= {name: annotated[local] for name, local in _set(node) if local in annotated}
    return found


def _annotated(scope: ast.ClassDef | ast.FunctionDef, module: ModuleType) -> dict[str, object]:
    """What is annotated as a provider in this class or function, by its name there."""
    found = {}
    for node in ast.walk(scope):
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Subscript(ast.Name("Provider"), provided))
                | ast.arg(arg=name, annotation=ast.Subscript(ast.Name("Provider"), provided))
            ):
                found[name] = eval(ast.unparse(provided), vars(module))
    return found


def _set(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """The names in the assembly that this function gives to providers, each with the name that it has here."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(attr="set_providers"), keywords=given):
                yield from ((str(each.arg), each.value.id) for each in given if isinstance(each.value, ast.Name))


def _rows(assembly: Container) -> set[type]:
    """What the rows of the lists are, each of which a context hands in; there is one at least in each."""
    lists = [provider for provider in assembly.providers.values() if isinstance(provider, List)]
    return {kind for rows in lists for row in rows() for kind in type(row).__mro__}


def _reachable(annotations: Iterable[object]) -> set[type]:
    """The protocols that these annotations name, and those that one gets by calling and reading them.

    Rows of lists, which are dataclasses, have them as fields.
    """
    seen: set[type] = set()
    waiting = list(annotations)
    while waiting:
        annotation = waiting.pop()
        if get_args(annotation):
            waiting += [get_origin(annotation), *get_args(annotation)]
        elif isinstance(annotation, type) and annotation not in seen:
            seen.add(annotation)
            if _is_port(annotation):
                waiting += annotation.__mro__
                waiting += [get_type_hints(member).get("return") for member in _own_functions(annotation)]
            elif is_dataclass(annotation):
                waiting += get_type_hints(annotation).values()
    return set(filter(_is_port, seen))


def _own_members(port: type) -> list[object]:
    return [member for name, member in vars(port).items() if not name.startswith("_") or name == "__call__"]


def _own_functions(port: type) -> Iterator[Any]:
    for member in _own_members(port):
        if isinstance(member, property):
            yield member.fget
        elif callable(member):
            yield member


def _adapters(assembly: Any) -> Iterator[tuple[str, str]]:
    """The providers that stand for a port, by name, and the module of what each provides."""
    for name, provided in _bindings().items():
        if _is_port(get_origin(provided) or provided):
            yield name, type(getattr(assembly, name)()).__module__


def _names(ports: Iterable[type]) -> str:
    return ", ".join(sorted(f"{port.__module__}.{port.__name__}" for port in ports))


# ------------------------------------------------------------------------------------------------- looking at sources


def _module(context: str, floor: str) -> str:
    name = DOMAIN_ELSEWHERE.get(context, context) if floor.startswith("src/domain") else context
    return floor.format(name)


def _is_there(module: str) -> bool:
    return (ROOT / f"{module}.py").exists() or (ROOT / module).is_dir()


def _sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _line_count(path: Path) -> int:
    return len(path.read_text().splitlines())


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module)
