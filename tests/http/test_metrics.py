"""What Prometheus is told: by whom it may be asked, in which form, under which labels, and from zero."""

import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from application.ports.observer import by_name
from entrypoints.container import in_memory
from tests.http.house import visited, watched_house
from tests.support.clients import sign_up, until
from tests.support.exposition import Labels, Samples

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-machine-that-scrapes"
UNITS = ("seconds", "bytes", "info", "entries")
# What the process and its garbage collector say of themselves is named by prometheus_client.
FOREIGN = ("process_", "python_")


async def exposition(**settings: object) -> str:
    house = watched_house(**settings)
    async with visited(house) as http:
        await http.get("/ready")
        await until(lambda: house.heart().tasks > 0 and house.drift().seconds is not None)
        return (await http.get("/metrics")).text


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


@pytest.mark.parametrize(
    ("environment", "token", "presented", "status"),
    [
        ("development", "", "", 200),
        ("production", "", "", 404),
        ("production", TOKEN, f"Bearer {TOKEN}", 200),
        ("production", TOKEN, "", 401),
        ("production", TOKEN, f"Bearer {TOKEN}x", 401),
        ("development", TOKEN, "", 401),
    ],
)
async def test_metrics_are_for_whoever_has_the_token(environment: str, token: str, presented: str, status: int) -> None:
    async with visited(watched_house(environment=environment, metrics_token=token)) as http:
        answer = await http.get("/metrics", headers={"Authorization": presented} if presented else {})
        assert answer.status_code == status
        if status != 200:
            assert answer.headers["content-type"] == "application/problem+json"


async def test_an_exposition_has_the_form_that_prometheus_reads() -> None:
    text = await exposition()
    Samples(text)  # nothing is there twice
    found = families(text)
    names = [family.name for family in found]
    assert len(set(names)) == len(names)
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    typed = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    assert described == set(typed)
    for name, kind in typed.items():
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
        assert kind in {"counter", "gauge", "histogram"}, name
        assert name.endswith("_total") == (kind == "counter"), name
        # `promtool check metrics` takes these for parts of a histogram.
        assert not name.endswith(("_count", "_sum", "_bucket", "_created")), name
        assert kind != "histogram" or name.endswith("_seconds"), name
        for unit in UNITS:
            assert f"_{unit}_" not in name.removesuffix("_total") + "_" or name.removesuffix("_total").endswith(unit), (
                name
            )
    for family in found:
        assert family.documentation.endswith(".") or family.name.startswith(FOREIGN), family.name


async def test_a_histogram_counts_up_to_everything() -> None:
    found = Samples(await exposition())
    buckets: dict[tuple[str, Labels], list[tuple[float, float]]] = {}
    for (name, labels), value in found.items():
        if name.endswith("_bucket"):
            others = tuple(label for label in labels if label[0] != "le")
            buckets.setdefault((name, others), []).append((float(dict(labels)["le"]), value))
    assert buckets
    for (name, labels), counts in buckets.items():
        assert counts == sorted(counts)
        assert [count for _, count in counts] == sorted(count for _, count in counts)
        assert counts[-1][0] == float("inf")
        assert counts[-1][1] == found[name.replace("_bucket", "_count"), labels]


async def test_requests_are_counted_by_route_and_never_by_path() -> None:
    async with visited(watched_house()) as http:
        ada = await sign_up(http)
        task = await ada.open_task()
        for _ in range(3):
            assert (await ada.get(f"/tasks/{task['id']}")).status_code == 200
        assert (await ada.get("/tasks/11111111-1111-7111-8111-111111111111")).status_code == 404
        assert (await http.get("/no/such/path")).status_code == 404
        assert (await http.get("/api/v1/tasks")).status_code == 401
        assert (await http.request("BREW", "/live")).status_code == 405
        found = Samples((await http.get("/metrics")).text)
    count = "http_server_request_duration_seconds_count"
    routes = {dict(labels)["route"] for name, labels in found if name == count}
    (route,) = [found_route for found_route in routes if found_route.startswith("/api/v1/tasks/{")]
    assert found(count, method="GET", route=route, status_code="200", error_type="") == 3
    assert found(count, method="GET", route=route, status_code="404", error_type="not_found") == 1
    assert found(count, method="GET", route="unrouted", status_code="401", error_type="token_missing") == 1
    assert not any("11111111" in value or "such" in value for _, labels in found for _, value in labels)
    assert {dict(labels)["method"] for name, labels in found if name == count} == {"GET", "POST", "_OTHER"}
    assert found("http_server_active_requests") == 1  # this one


async def test_every_outcome_is_there_before_it_happens() -> None:
    text = await exposition()
    zeros = sum(sample.value == 0 for family in families(text) for sample in family.samples if "_total" in sample.name)
    rows = by_name(in_memory().counted())
    assert {"login_address", "login_account", "register", "password"} <= set(rows["rate_limited"].outcomes)
    assert zeros > sum(len(row.outcomes) for row in rows.values())
    found = Samples(text)
    for name, label, outcomes in (
        ("logins", "outcome", rows["login"].outcomes),
        ("refreshes", "outcome", rows["refresh"].outcomes),
        ("token_rejected", "reason", rows["token_rejected"].outcomes),
        ("rate_limited", "policy", rows["rate_limited"].outcomes),
        ("commit_unknown", "outcome", rows["commit_unknown"].outcomes),
        ("consumed_events", "outcome", rows["consumed"].outcomes),
        ("elapsed", "outcome", rows["elapsed"].outcomes),
        ("ws_opened", "status_code", rows["socket_opened"].outcomes),
    ):
        for outcome in outcomes:
            assert found(f"signalbox_{name}_total", **{label: outcome}) == 0
    assert found("signalbox_ws_closed_total", code="4100", by="server") == 0
    assert found("signalbox_ws_closed_total", code="", by="network") == 0
    assert found("signalbox_ws_command_duration_seconds_count", command="call", outcome="ok") == 0


async def test_what_can_be_read_off_is_read_when_somebody_asks() -> None:
    found = Samples(await exposition())
    assert found("signalbox_build_info", version="1.2.3", process="web-1") == 1
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "signalbox_tasks"):
        assert found(name) > 0
    assert found("signalbox_memory_limit_bytes") >= found("signalbox_memory_used_bytes") > 0
    assert found("signalbox_ready") == 1
    assert found("signalbox_clock_offset_seconds") == 0  # one clock for both
    assert found("signalbox_broker_connected") == 1
    for name in ("streams", "failing_streams", "lag_seconds"):
        assert found(f"signalbox_consumer_{name}", consumer="tasks_release") == 0


async def test_what_is_not_known_is_missing_and_not_zero(tmp_path: Path) -> None:
    async with visited(watched_house(data_dir=tmp_path / "none")) as http:
        found = Samples((await http.get("/metrics")).text)
    assert {"signalbox_ready", "signalbox_disk_free_bytes"}.isdisjoint(name for name, _ in found)


async def test_the_table_of_operations_names_every_metric_as_it_is() -> None:
    house = watched_house()
    house.exposition()
    rows = []
    for family in house.metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", None) or ())
        rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation.rstrip('.')}. |")
    table = "\n".join(["| metric | type | labels | |", "|---|---|---|---|", *sorted(rows)])
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert table in operations, f"docs/operations.md needs this table:\n{table}"
