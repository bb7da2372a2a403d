"""Traces, as the collector of two server processes on one PostgreSQL and one Redis gets them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from time import perf_counter

import pytest
import pytest_asyncio

from tests.support.clients import Person, client, done, listening, sign_up
from tests.support.collector import Collector, Recorded, collecting
from tests.support.exposition import Samples
from tests.support.promised import stretched, within
from tests.support.server import ServerProcess

Pair = tuple[ServerProcess, ServerProcess]


@pytest_asyncio.fixture(scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module")
async def two(
    new_database: Callable[[], str], redis_url: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """Two instances whose every trace is recorded."""
    database, folder = new_database(), tmp_path_factory.mktemp("two")
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "DRAIN_SECONDS": "0"}
    servers = [
        ServerProcess(database, folder / f"{name}.log", redis_url, {"INSTANCE": name, **traced})
        for name in ("one", "other")
    ]
    try:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        yield servers[0], servers[1]
    finally:
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


def names(spans: list[Recorded]) -> list[str]:
    return [span.name for span in sorted(spans, key=lambda span: span.began_ns)]


def only(spans: list[Recorded], name: str) -> Recorded:
    (found,) = [span for span in spans if span.name == name]
    return found


def has(person: Person, *expected: str) -> Callable[[Recorded], bool]:
    """Whether a tree is somebody's, begins with the first name, and has all the others as often as they are named."""

    def wanted(root: Recorded) -> bool:
        found = names(root.below())
        return (
            root.attributes.get("user.id") == person.id
            and root.name == expected[0]
            and all(found.count(name) >= expected.count(name) for name in expected)
        )

    return wanted


async def test_a_write_is_one_tree_down_to_its_delivery_on_each_instance(two: Pair, collector: Collector) -> None:
    one, other = two
    async with AsyncExitStack() as stack:
        ada = await sign_up(await stack.enter_async_context(client(one.base_url)))
        for server in (one, other, other):
            await stack.enter_async_context(listening(server.base_url, ada.token, f"workspace:{ada.id}"))
        answer = await ada.post("/tasks", {"title": "Write the plan"}, headers={"X-Request-Id": "the-write"})
        deliver = "deliver task.created"
        root = await collector.tree(has(ada, "POST /api/v1/tasks", deliver, deliver, "publish"))

    assert root.instance == "one"
    assert root.attributes["signalbox.request_id"] == "the-write"
    assert root.attributes["http.response.status_code"] == 201
    assert root.attributes["user.id"] == ada.id
    assert root.attributes["db_calls"] > 0
    assert not root.failed

    use_case = only(root.children, "Tasks.open")
    steps = names(use_case.children)
    assert [name for name in steps if name in {"acquire", "commit", "publish"}][-2:] == ["commit", "publish"]
    assert any(name.startswith("SELECT ") for name in steps[: steps.index("commit")])
    assert all(span.instance == "one" and not span.children for span in use_case.children)
    assert only(use_case.children, "commit").attributes == {"db.system.name": "postgresql"}
    assert only(use_case.children, "publish").attributes == {"db.system.name": "redis"}
    assert only(root.children, "limit").attributes == {"db.system.name": "redis"}

    deliveries = {span.instance: span for span in root.children if span.name == deliver}
    assert {name: span.attributes["signalbox.receivers"] for name, span in deliveries.items()} == {"one": 1, "other": 2}
    assert all(span.attributes["signalbox.stream"] == f"workspace:{ada.id}" for span in deliveries.values())
    assert {span.trace_id for span in root.below()} == {root.trace_id}
    commit = only(use_case.children, "commit")
    assert all(span.began_ns >= commit.began_ns for span in deliveries.values())
    assert sorted(names(root.children)) == sorted(["limit", "Tasks.open", deliver, deliver])
    assert answer.headers["x-request-id"] == "the-write"


async def test_a_socket_command_is_a_trace_of_its_own_that_is_linked_to_its_connection(
    two: Pair, collector: Collector
) -> None:
    one, other = two
    async with AsyncExitStack() as stack:
        ada = await sign_up(await stack.enter_async_context(client(one.base_url)))
        live = await stack.enter_async_context(listening(one.base_url, ada.token, f"workspace:{ada.id}"))
        await stack.enter_async_context(listening(other.base_url, ada.token, f"workspace:{ada.id}"))
        await live.call("call", method="task.create", params={"title": "Write the plan"})
        refused = await live.call("call", method="task.claim", params={"id": ada.id})
        deliver = "deliver task.created"
        call = await collector.tree(has(ada, "ws call", deliver, deliver))
        refusal = await collector.tree(lambda root: root.name == "ws call" and "error.type" in root.attributes)
        opening = await collector.tree(lambda root: has(ada, "ws connect")(root) and root.instance == "one")
        upgrade = await collector.tree(lambda root: [root.id] == opening.links)

    assert upgrade.name == "GET /api/v1/ws"
    assert len({call.trace_id, refusal.trace_id, upgrade.trace_id, opening.trace_id}) == 4
    connection = upgrade.attributes["connection"]
    for command in (call, refusal, opening):
        assert command.links == [upgrade.id]
        assert command.attributes["connection"] == connection
    assert "commit" in names(only(call.children, "Tasks.open").children)
    assert {span.instance for span in call.children if span.name == deliver} == {"one", "other"}
    assert "presence change" in names(opening.children)
    assert refused["code"] == refusal.attributes["error.type"] == "not_found"
    assert not refusal.failed
    assert only(refusal.children, "Tasks.claim").attributes == {"error.type": "not_found"}


async def test_who_waits_for_the_commits_of_others_has_that_in_its_own_trace(two: Pair, collector: Collector) -> None:
    async with client(two[0].base_url) as http:
        ada = await sign_up(http)
        await asyncio.gather(*(ada.open_task(str(number)) for number in range(20)))
        await collector.until(lambda: len(list(filter(has(ada, "POST /api/v1/tasks"), collector.trees()))) == 20)
    for root in filter(has(ada, "POST /api/v1/tasks"), collector.trees()):
        assert names(only(root.children, "Tasks.open").children).count("commit") == 1
    assert "group commit" not in names(list(collector.spans.values()))


@pytest.fixture
def hanging() -> Iterator[str]:
    """A collector that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_collector_that_hangs_costs_spans_and_nothing_else(
    start_server: Callable[..., ServerProcess], hanging: str
) -> None:
    server = await asyncio.to_thread(start_server, OTEL_EXPORTER_OTLP_ENDPOINT=hanging, DRAIN_SECONDS="0")
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        took: list[float] = []
        while not (lost := Samples((await http.get("/metrics")).text)("signalbox_spans_dropped_total")):
            took.append(await timed(ada))
        took += [await timed(ada) for _ in range(50)]
    assert lost > 0
    assert sorted(took)[len(took) // 2] < stretched(0.5)
    assert max(took) < stretched(2.0)
    with within(5):
        assert await asyncio.to_thread(server.terminate) == 0
    assert server.log().count("traces are lost") == 1


async def timed(person: Person) -> float:
    began = perf_counter()
    done(await person.get("/me"))
    return perf_counter() - began
