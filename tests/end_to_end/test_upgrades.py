"""A request may ask for another protocol: it gets a WebSocket, or an ordinary answer, and never a deaf connection."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.end_to_end.test_wire import GET, HIDDEN, POST, responses
from tests.support.clients import Wire, until
from tests.support.server import ServerProcess

LAST = GET + b"Connection: close\r\n\r\n"
OTHERS = {
    "h2c, of Java and curl": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
    "TLS": b"Upgrade: TLS/1.0\r\nConnection: upgrade\r\n",
    "WebSocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    "WebSocket, among others": b"Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n",
    "several": b"Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n",
}
HANDSHAKE = (
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LIVE = b"GET /api/v1/ws HTTP/1.1\r\n" + HANDSHAKE

HOPELESS = {
    "129 headers": (LIVE + b"".join(b"X-%d: x\r\n" % number for number in range(124)), 431),
    "a long header": (LIVE + b"X-Long: " + b"x" * 9_000 + b"\r\n", 431),
    "large headers": (LIVE + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 1_000) for number in range(17)), 431),
    "a long URL": (b"GET /api/v1/ws?" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HANDSHAKE, 400),
    "a URL that is just too long": (b"GET /api/v1/ws?" + b"x" * 8_180 + b" HTTP/1.1\r\n" + HANDSHAKE, 400),
    "a body": (LIVE + b"Content-Length: 5\r\n", 400),
    "chunks": (LIVE + b"Transfer-Encoding: chunked\r\n", 400),
    "no host": (LIVE.replace(b"Host: localhost\r\n", b""), 400),
    "two hosts": (LIVE + b"Host: elsewhere\r\n", 400),
    "no key": (LIVE.replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    "another path": (LIVE.replace(b"/api/v1/ws", b"/nowhere"), 403),
}


@pytest_asyncio.fixture
async def wire(shared_server: ServerProcess) -> AsyncIterator[Wire]:
    async with await Wire.open(shared_server.port) as wire:
        yield wire


@pytest.mark.parametrize("upgrade", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_is_never_taken_for_a_request_whatever_its_request_would_rather_be(
    wire: Wire, upgrade: bytes, is_chunked: bool
) -> None:
    if is_chunked:
        framing, body = b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    else:
        framing, body = b"Content-Length: %d\r\n\r\n" % len(HIDDEN), HIDDEN
    await wire.send(POST + upgrade + framing)
    await answered(wire)  # the body comes in a read of its own
    await wire.send(body + LAST)

    assert responses(await wire.rest()) == [200]


@pytest.mark.parametrize("upgrade", OTHERS.values(), ids=OTHERS)
async def test_a_request_that_asks_for_something_else_is_answered_as_if_it_did_not(wire: Wire, upgrade: bytes) -> None:
    body = b'{"title": 5}'
    login = POST.replace(b"/logout", b"/login") + upgrade + b"Content-Length: %d\r\n\r\n" % len(body)
    await wire.send(login[:-1])
    await wire.send(login[-1:] + body[:3])
    await wire.send(body[3:] + GET + upgrade.replace(b"Upgrade: websocket\r\n", b"") + b"\r\n" + LAST)

    assert responses(await wire.rest()) == [422, 200, 200]


async def test_nothing_follows_a_request_for_a_tunnel(wire: Wire) -> None:
    await wire.send(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN))
    await wire.send(HIDDEN)

    assert responses(await wire.rest()) == [400]


@pytest.mark.parametrize("line", [b"GET /live", b"GET /live HTTP/0.9", b"GET /live HTTP/2.0"])
async def test_a_version_that_nobody_speaks_here_is_refused(wire: Wire, line: bytes) -> None:
    await wire.send(line + b"\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" + HIDDEN)

    assert responses(await wire.rest()) == [400]


@pytest.mark.parametrize(("request_", "status"), HOPELESS.values(), ids=HOPELESS)
async def test_a_handshake_that_comes_to_nothing_is_answered_and_ends_the_connection(
    wire: Wire, request_: bytes, status: int
) -> None:
    await wire.send(request_ + b"\r\n" + HIDDEN)

    assert responses(await wire.rest()) == [status]


async def test_what_a_peer_sends_with_its_handshake_is_not_lost(wire: Wire) -> None:
    # A masked text frame of two bytes, `{}`: no first frame that anybody may send.
    await wire.send(LIVE + b"\r\n" + b"\x81\x82\x00\x00\x00\x00{}")

    heard = b""
    while b"the first frame has to be connect" not in heard:
        await until(wire.has_heard)
        heard += await wire.heard()


async def answered(wire: Wire) -> None:
    """Wait until an answer came, and read it."""
    await until(wire.has_heard)
    assert (await wire.answer())[0] == 204
