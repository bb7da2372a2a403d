"""Rules, alerts and dashboards watch what is there: each metric and label they name is exposed, each alert leads on."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.http.house import watched_house
from tests.support.exposition import Samples

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS, GRAFANA = DEPLOY / "prometheus", DEPLOY / "grafana"
OPERATIONS = (DEPLOY.parent / "docs" / "operations.md").read_text()
# What Prometheus adds to what it is told, and what it says of its own.
ADDED = {"instance", "job", "le"}
OWN = {"up": ADDED, "ALERTS": ADDED | {"alertname", "alertstate"}}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    return [rule for path in files for group in read(path)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboards() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels(dashboard: Any) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for dashboard in dashboards().values():
        yield from (target["expr"] for panel in panels(dashboard) for target in panel["targets"])
        yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])


def exposed() -> dict[str, set[str]]:
    """Every series that there can be, with the labels it has."""
    house = watched_house()
    house.exposition()
    found = dict(OWN)
    for family in house.metrics().registry.collect():
        labels = {*(getattr(family, "_labelnames", None) or ()), *ADDED}
        labels |= {label for sample in family.samples for label in sample.labels}
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        found |= {family.name + suffix: labels for suffix in suffixes}
    return found


def named(expression: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """The series that an expression names, each with what it asks of its labels: operator and value."""
    bare = re.sub(r"\[[^]]*\]", "", expression)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    for match in re.finditer(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?P<labels>\{[^}]*\})?(?P<call>\s*\()?", _unquoted(bare)):
        if match["call"] or match["name"] in {"and", "or", "unless", "bool", "offset"}:
            continue
        labels = bare[slice(*match.span("labels"))] if match["labels"] else ""
        yield (
            match["name"],
            {
                label: (operator, value)
                for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', labels)
            },
        )


def _unquoted(text: str) -> str:
    """The text with quotes emptied, as long as before."""
    return re.sub(r'"[^"]*"', lambda quoted: '"' + " " * (len(quoted[0]) - 2) + '"', text)


def test_what_rules_and_dashboards_name_is_exposed_or_recorded() -> None:
    known = exposed()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = [pair for expression in expressions() for pair in named(expression)]
    assert {name for name, _ in asked} - known.keys() - recorded == set()
    for name, labels in asked:
        if name in known:
            assert set(labels) <= known[name], name


def test_what_is_recorded_is_used_and_what_is_exposed_of_ours_is_shown() -> None:
    asked = {name for expression in expressions() for name, _ in named(expression)}
    assert {rule["record"] for rule in rules() if "record" in rule} <= asked
    shown = {
        name for d in dashboards().values() for p in panels(d) for t in p["targets"] for name, _ in named(t["expr"])
    }
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    shown |= {name for record in shown & recorded.keys() for name, _ in named(recorded[record])}
    ours = {re.sub(r"_(bucket|count|sum)\Z", "", name) for name in exposed() if name.startswith("signalbox_")}
    assert ours == {re.sub(r"_(bucket|count|sum)\Z", "", name) for name in shown if name.startswith("signalbox_")}


def test_values_of_labels_that_are_asked_for_are_counted_from_zero() -> None:
    found = Samples(watched_house().exposition()().decode())
    for expression in expressions():
        for name, labels in named(expression):
            wanted = {(label, value) for label, (operator, value) in labels.items() if operator == "="} - {
                ("job", "signalbox")
            }
            if name.startswith("signalbox_") and ":" not in name and wanted:
                assert any(metric == name and wanted <= set(given) for metric, given in found), (name, wanted)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket", "none"}
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/operations.md", alert["alert"].lower())
    assert f'| <a id="{anchor}"></a>`{alert["alert"]}` | {alert["labels"]["severity"]} |' in OPERATIONS


def test_every_alert_is_tested_to_fire_and_to_clear() -> None:
    outcomes: dict[str, set[bool]] = {}
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for test in read(path)["tests"]:
            for check in test.get("promql_expr_test", []):
                (name,) = re.findall(r'alertname="(\w+)"', check["expr"])
                outcomes.setdefault(name, set()).add(bool(check["exp_samples"]))
    needed = {alert["alert"]: {True, False} for alert in alerts()} | {"SignalboxWatchdog": {True}}
    assert outcomes == needed


def test_the_job_that_rules_ask_for_is_the_one_that_is_scraped() -> None:
    jobs = {job["job_name"] for job in read(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    asked = {labels["job"][1] for e in expressions() for _, labels in named(e) if "job" in labels}
    assert asked <= jobs


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_can_be_read_and_says_what_to_do(name: str) -> None:
    dashboard = dashboards()[name]
    sources = read(GRAFANA / "provisioning" / "datasources" / "signalbox.yml")["datasources"]
    assert dashboard["uid"] == f"signalbox-{name}"
    assert dashboard["description"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith((".", "?")), panel["title"]
        assert "\n" not in panel["description"]
        assert panel["datasource"]["uid"] in {source["uid"] for source in sources}
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    for (one, a), (other, b) in combinations(places, 2):
        is_apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert is_apart, f"{one} lies over {other}"
