"""Which requests are recorded, and what becomes of the spans: an assembly in memory before a real collector."""

import asyncio
import re
from collections.abc import AsyncIterator
from time import monotonic

import pytest
import pytest_asyncio
from dependency_injector.providers import Singleton

from adapters.telemetry import tracing
from adapters.telemetry.tracing import Traces
from application.ports.tasks import TaskQueries
from entrypoints.container import Container
from tests.http.house import house_in_memory, observed, visited
from tests.support.clients import done, sign_up, until
from tests.support.collector import Collector, collecting
from tests.support.promised import within

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


def traced_house(endpoint: str, ratio: float, **changes: object) -> Container:
    """An assembly in memory whose traces go there."""
    traces = Singleton(Traces, endpoint, "signalbox", "0", "here")
    return observed(house_in_memory(traces=traces, **changes), traces, ratio)


@pytest.mark.parametrize(("ratio", "flag"), [(1.0, "00"), (1.0, "01"), (0.0, "00"), (0.0, "01")])
async def test_a_caller_names_the_trace_and_has_no_say_in_whether_it_is_recorded(
    collector: Collector, ratio: float, flag: str
) -> None:
    async with visited(traced_house(collector.endpoint, ratio)) as http:
        ada = await sign_up(http)
        given = {"traceparent": f"00-{TRACE}-{SPAN}-{flag}"}
        assert (await ada.get("/tasks/none", headers=given)).json()["trace_id"] == TRACE
        task = done(await ada.post("/tasks", {"title": "Traced"}, headers=given))
        (event,) = done(await ada.get(f"/tasks/{task['id']}/history"))["data"]
        # What follows from it, on whichever instance, goes by what was decided here.
        kept = "01" if ratio else "00"
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-{kept}", event["traceparent"])
        if ratio:
            await collector.until(lambda: sum(span.parent_id == SPAN for span in collector.spans.values()) == 2)
    assert bool(collector.spans) is bool(ratio)
    assert {span.trace_id for span in collector.spans.values() if span.parent_id == SPAN} <= {TRACE}


async def test_a_mistake_of_ours_is_an_error_and_a_refusal_is_none(collector: Collector) -> None:
    class Broken(TaskQueries):
        async def view(self, *_: object) -> object:  # type: ignore[override]
            raise RuntimeError("a drawer that jams")

    async with visited(traced_house(collector.endpoint, 1.0, task_queries=Singleton(Broken))) as http:
        ada = await sign_up(http)
        assert (await ada.get(f"/tasks/{ada.id}")).status_code == 500
        assert (await ada.get("/workspaces/00000000-0000-7000-8000-000000000000")).status_code == 404
        broken = await collector.tree(lambda root: root.name == "GET /api/v1/tasks/{id}")
        refused = await collector.tree(lambda root: root.attributes.get("http.response.status_code") == 404)
    assert [(span.failed, span.attributes["error.type"]) for span in broken.below()] == [
        (True, "internal_error"),
        (True, "RuntimeError"),
    ]
    assert [(span.failed, span.attributes["error.type"]) for span in refused.below()] == [(False, "not_found")] * 2
    assert b"a drawer that jams" not in collector.raw


async def test_what_nobody_takes_is_counted_and_no_end_waits_for_it() -> None:
    traces = Traces("http://127.0.0.1:9", "signalbox", "0", "here")
    for _ in range(10):
        traces.tracer.start_span("lost").end()
    await until(lambda: traces.dropped == 10)
    traces.tracer.start_span("lost in the end").end()
    with within(tracing.CLOSE_SECONDS + 1):
        await asyncio.to_thread(traces.close)
    await until(lambda: traces.dropped == 11)


async def test_what_does_not_fit_is_counted(collector: Collector) -> None:
    traces = Traces(collector.endpoint, "signalbox", "0", "here")
    # The collector is on this loop, so it takes nothing meanwhile.
    count = tracing.QUEUE_MAX + 2 * tracing.BATCH_MAX
    began = monotonic()
    for _ in range(count):
        traces.tracer.start_span("one of many").end()
    took = monotonic() - began
    assert traces.dropped > 0
    # More, if the collector got a batch after its export had been given up.
    await collector.until(lambda: len(collector.spans) + traces.dropped >= count)
    await asyncio.to_thread(traces.close)
    # Unless the first batch was waiting for so long that it is lost as well.
    assert len(collector.spans) >= tracing.QUEUE_MAX or took > tracing.EXPORT_SECONDS / 2
