"""What comes over the wire and is no proper HTTP is refused, and nothing hidden in it is ever taken for a request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic

import httpx
import pytest
import pytest_asyncio

from tests.support.clients import API, Person, Wire, client, sign_up, until
from tests.support.server import ServerProcess

GET = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest_asyncio.fixture
async def wire(shared_server: ServerProcess) -> AsyncIterator[Wire]:
    async with await Wire.open(shared_server.port) as wire:
        yield wire


def responses(data: bytes) -> list[int]:
    """The status of every response in what a server sent."""
    return [int(part.split(b" ", 1)[0]) for part in data.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    ("name", "request_"),
    {
        "Content-Length and Transfer-Encoding": POST
        + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + HIDDEN,
        "Transfer-Encoding and Content-Length": POST
        + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n"
        + HIDDEN,
        "two different Content-Lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + HIDDEN,
        "two equal Content-Lengths": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
        "a list of Content-Lengths": POST + b"Content-Length: 0, 0\r\n\r\n" + HIDDEN,
        "a signed Content-Length": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
        "a negative Content-Length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
        "a hexadecimal Content-Length": POST + b"Content-Length: 0x2c\r\n\r\n" + HIDDEN,
        "an endless Content-Length": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + HIDDEN,
        "an unknown transfer coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
        "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        "a tab in Transfer-Encoding": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        "a bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + HIDDEN,
        "a signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + HIDDEN,
        "an endless chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n" + HIDDEN,
        "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + HIDDEN,
        "a chunk that ends in a bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" + HIDDEN,
        "a chunk size that ends in a bare LF": POST + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + HIDDEN,
        "a folded header": GET + b"X-Folded: a\r\n b\r\n\r\n" + HIDDEN,
        "a folded Transfer-Encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        "a header without a colon": GET + b"nonsense\r\n\r\n" + HIDDEN,
        "a header without a name": GET + b": nonsense\r\n\r\n" + HIDDEN,
        "a NUL in a header": GET + b"X-Nul: a\x00b\r\n\r\n" + HIDDEN,
        "a CR in a header": GET + b"X-Cr: a\rb\r\n\r\n" + HIDDEN,
        "no version": b"GET /live\r\n\r\n" + HIDDEN,
        "an unknown version": b"GET /live HTTP/9.9\r\nHost: localhost\r\n\r\n" + HIDDEN,
        "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
        "an unknown method": b"NONSENSE /live HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
        "a method in lower case": b"get /live HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        "noise": bytes(range(256)),
        "a space in the path": b"GET /li ve HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN,
    }.items(),
)
async def test_what_two_servers_could_read_differently_is_refused_and_ends_the_connection(
    wire: Wire, name: str, request_: bytes
) -> None:
    await wire.send(request_)
    answer = await wire.rest()

    found = responses(answer)
    assert all(400 <= status < 500 or status == 505 for status in found), answer
    assert len(found) <= 1, answer
    assert b"hidden" not in answer
