"""A proxy that forwards every Upgrade and shares its connections to Signalbox mixes up nobody's requests."""

from collections.abc import Callable

import psutil
import pytest

from tests.support.clients import Wire, client
from tests.support.server import ServerProcess
from tests.system.proxy import Proxy

CARELESS = {
    "worker_processes auto": "worker_processes 1",
    "keepalive 64;": "keepalive 1;",
    "proxy_set_header Upgrade         $upgrade;": "proxy_set_header Upgrade         $http_upgrade;",
    "map $upgrade $connection_option": "map $http_upgrade $connection_option",
}
VICTIMS = 50
# The beginning of another request, which would take the first line of the next one for the end of a header. It is too
# much for one read, and starts wherever the next read does.
HIDDEN = b"\r\n" * 60_000 + b"GET /api/v1/stolen HTTP/1.1\r\nHost: localhost\r\nX-Swallowed: "


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_nobody_gets_an_answer_to_what_a_stranger_hid_in_a_body(
    start_server: Callable[..., ServerProcess], upgrade: bytes
) -> None:
    server = start_server(RATE_LIMIT_ENABLED="false")
    proxy = Proxy([server.port, server.port], CARELESS).start()
    attack = (
        b"POST /api/v1/auth/logout HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    ) % (upgrade, len(HIDDEN), HIDDEN)
    try:
        async with client(proxy.base_url) as victim:
            for _ in range(VICTIMS):
                async with await Wire.open(proxy.port) as stranger:
                    await stranger.send(attack)
                    assert (await stranger.answer())[0] == 204
                    answer = await victim.get("/client.js")
                assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert shared_connections(server) == 1
    finally:
        proxy.stop()


def shared_connections(server: ServerProcess) -> int:
    own = psutil.Process(server.pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == server.port for one in own)
