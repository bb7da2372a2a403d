"""Prometheus itself reads what we give it: the exposition, the configuration, rules, dashboards, two processes."""

import asyncio
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.clients import client, listening, sign_up, until
from tests.support.server import ServerProcess
from tests.support.services import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """What promtool says, if it is content; a lint of the exposition counts as a failure too."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], check=False, input=given, capture_output=True, timeout=300
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_the_configuration_is_valid_and_finds_its_rules() -> None:
    assert "2 rule files found" in promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_the_rules_are_valid() -> None:
    promtool("check", "rules", "--lint-fatal", *sorted((PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.parametrize("name", ["hours", "days"])
def test_every_alert_fires_and_clears(name: str) -> None:
    promtool("test", "rules", PROMETHEUS / "tests" / f"{name}.yml")


@pytest.mark.parametrize("path", sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_the_expressions_of_a_dashboard_can_be_parsed(path: Path, tmp_path: Path) -> None:
    dashboard = json.loads(path.read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    texts += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    found = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(texts)
    ]
    rules = tmp_path / "panels.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": path.stem, "rules": found}]}))
    promtool("check", "rules", rules)


async def test_the_exposition_of_a_process_that_was_used_is_valid(start_server: Callable[..., ServerProcess]) -> None:
    port = free_port()
    server = start_server(PROBE_PORT=str(port))
    await used(server)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert not promtool("check", "metrics", given=answer.read())


async def test_prometheus_watches_two_processes_of_one_machine_by_our_configuration(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str], redis_url: str, tmp_path: Path
) -> None:
    database_url, ports = new_database(), [free_port(), free_port()]
    servers = [
        start_server(database_url, redis_url, INSTANCE=f"web-{number}", PROBE_PORT=str(port))
        for number, port in enumerate(ports, 1)
    ]
    await used(servers[0])
    with watching(ports, tmp_path) as ask:

        async def are_both_there() -> bool:
            found = await asyncio.to_thread(ask, "query", query="signalbox_build_info")
            return len(found.get("result", [])) == 2

        await until(are_both_there, seconds=60)
        found = await asyncio.to_thread(ask, "query", query="signalbox_build_info")
        names = {each["metric"]["process"]: each["metric"]["instance"] for each in found["result"]}
        assert names == {f"web-{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
        tasks = 'http_server_request_duration_seconds_count{route="/api/v1/tasks", method="POST"}'
        (series,) = (await asyncio.to_thread(ask, "query", query=tasks))["result"]
        assert (series["metric"]["instance"], series["value"][1]) == (f"127.0.0.1:{ports[0]}", "1")

        async def are_all_evaluated() -> bool:
            groups = (await asyncio.to_thread(ask, "rules")).get("groups", [])
            health = {rule["health"] for group in groups for rule in group["rules"]}
            assert health <= {"ok", "unknown"}, groups
            return health == {"ok"}

        await until(are_all_evaluated, seconds=90)
        alerts = (await asyncio.to_thread(ask, "alerts"))["alerts"]
        assert [alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"] == ["SignalboxWatchdog"]


async def used(server: ServerProcess) -> None:
    """Make a bit of everything happen on it."""
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        async with listening(server.base_url, ada.token, f"workspace:{ada.id}") as live:
            await ada.open_task()
            await live.event()
        assert (await ada.get("/no-such-thing")).status_code == 404


Ask = Callable[..., dict[str, Any]]


@contextmanager
def watching(ports: list[int], folder: Path) -> Iterator[Ask]:
    """Our Prometheus, asking these ports instead of the hosts of the deployment; what asks it in turn."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS / path) for path in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"

    def ask(what: str, **parameters: str) -> dict[str, Any]:
        try:
            url = f"http://{address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except OSError:  # not yet
            return {}

    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield ask
    finally:
        process.terminate()
        process.wait(30)
