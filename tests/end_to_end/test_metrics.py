"""Several processes on one machine, as in production: each tells its own figures, on a port that only we can reach."""

import asyncio
import urllib.request
from collections.abc import Callable

from tests.support.clients import client, listening, sign_up
from tests.support.exposition import Samples
from tests.support.server import ServerProcess
from tests.support.services import free_port

REQUESTS = "http_server_request_duration_seconds_count"


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return Samples(answer.read().decode())


async def test_each_process_of_a_machine_tells_its_own_figures(
    start_server: Callable[..., ServerProcess], new_database: Callable[[], str], redis_url: str
) -> None:
    database_url, ports = new_database(), (free_port(), free_port())
    one, other = [
        start_server(database_url, redis_url, INSTANCE=f"web-{number}", PROBE_PORT=str(port), ENVIRONMENT="production")
        for number, port in enumerate(ports, 1)
    ]
    async with client(one.base_url) as http, client(other.base_url) as elsewhere:
        ada = await sign_up(http)
        for _ in range(3):
            assert (await ada.get("/me")).status_code == 200
        async with listening(other.base_url, ada.token, f"workspace:{ada.id}") as live:
            await ada.open_task()
            await live.event()
            first, second = [await asyncio.to_thread(scraped, port) for port in ports]
        # To the world they say nothing.
        for public in (http, elsewhere):
            assert (await public.get("/metrics")).status_code == 404

    for found, name in ((first, "web-1"), (second, "web-2")):
        assert [dict(labels)["process"] for metric, labels in found if metric == "signalbox_build_info"] == [name]
    me = {"method": "GET", "route": "/api/v1/me", "status_code": "200", "error_type": ""}
    assert first(REQUESTS, **me) == 3
    assert not any(route == "/api/v1/me" for _, _, route, _ in second.by(REQUESTS))
    assert (first("signalbox_ws_connections"), second("signalbox_ws_connections")) == (0, 1)
    # The event was committed by the one and sent by the other, whose socket it is.
    assert first("signalbox_commit_to_send_seconds_count") == 0
    assert second("signalbox_commit_to_send_seconds_count") == 1
    assert first("process_start_time_seconds") != second("process_start_time_seconds")
