"""What comes over the wire and is no proper HTTP is refused, and nothing hidden in it is ever taken for a request."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from time import monotonic

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.support.clients import Wire, sign_up, until
from tests.support.exposition import Samples
from tests.support.promised import stretched
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
        "bare line feeds": b"GET /live HTTP/1.1\nHost: localhost\n\n" + HIDDEN,
        "a bare line feed after a header": b"GET /live HTTP/1.1\r\nHost: localhost\n\r\n" + HIDDEN,
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


async def test_a_request_without_a_version_is_answered_once_at_most(wire: Wire) -> None:
    await wire.send(b"GET /live\r\n\r\n" + HIDDEN)
    answer = await wire.rest()

    assert len(responses(answer)) <= 1
    assert b"hidden" not in answer


async def test_a_refusal_on_the_wire_is_a_problem_like_any_other(wire: Wire) -> None:
    await wire.send(b"NONSENSE\r\n\r\n")
    status, headers, body = await wire.answer()

    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["code"] == "malformed"
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert "server" not in headers


@pytest.mark.parametrize("host", [b"", b"Host: localhost\r\nHost: elsewhere\r\n", b"Host: localhost, elsewhere\r\n"])
async def test_a_request_has_one_host(wire: Wire, host: bytes) -> None:
    await wire.send(b"GET /live HTTP/1.1\r\n" + host + b"\r\n")

    assert (await wire.answer())[0] == 400


@pytest.mark.parametrize(
    "target", [b"http://[::1/live", b"http:///live", b"http://localhost:99999999/live", b"http://a"]
)
async def test_a_target_that_is_no_url_is_answered(wire: Wire, target: bytes) -> None:
    await wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + HIDDEN)

    assert responses(await wire.rest()) == [400]


@pytest.mark.parametrize("key", [b"", b"Idempotency-Key: a-key\r\n"])
@pytest.mark.parametrize("ending", [b"", b"zz\r\n"])
async def test_a_body_that_breaks_off_has_asked_for_nothing_and_is_no_fault_of_ours(
    wire: Wire, http: httpx.AsyncClient, key: bytes, ending: bytes
) -> None:
    async def answered(status: str) -> float:
        found = Samples((await http.get("/metrics")).text)
        counts = found.by("http_server_request_duration_seconds_count").items()
        return sum(count for labels, count in counts if {"POST", status} <= set(labels))

    async def is_answered() -> bool:
        return await answered("400") > refused

    ada, body = await sign_up(http), b'{"title":"Half of it"}'
    refused, failed = await answered("400"), await answered("500")
    await wire.send(
        POST.replace(b"auth/logout", b"tasks") + b"Authorization: Bearer " + ada.token.encode() + b"\r\n" + key
    )
    await wire.send(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s" % (len(body), body, ending))
    if not ending:
        wire.abort()
    await until(is_answered)

    assert (await ada.get("/tasks")).json()["data"] == []
    assert await answered("500") == failed


async def test_trace_echoes_nothing(wire: Wire) -> None:
    await wire.send(b"TRACE /live HTTP/1.1\r\nHost: localhost\r\nX-Secret: echo-me\r\n\r\n")
    status, _, body = await wire.answer()

    assert status == 405
    assert b"echo-me" not in body


@pytest.mark.parametrize("method", [b"CONNECT", b"PROPFIND", b"M-SEARCH", b"PURGE"])
async def test_a_method_that_nothing_has_is_refused(wire: Wire, method: bytes) -> None:
    target = b"localhost:80" if method == b"CONNECT" else b"/live"
    await wire.send(method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, _, _ = await wire.answer()

    assert status in {0, 400, 404, 405, 501}


async def test_one_connection_carries_many_requests(wire: Wire) -> None:
    for _ in range(50):
        await wire.send(GET + b"\r\n")
        assert (await wire.answer())[0] == 200
    await wire.send((GET + b"\r\n") * 20)
    for _ in range(20):
        assert (await wire.answer())[0] == 200


async def test_a_refused_request_leaves_its_connection_usable(wire: Wire) -> None:
    body = b'{"title": 5}'
    for _ in range(3):
        await wire.send(POST.replace(b"/logout", b"/login") + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert (await wire.answer())[0] == 422
        await wire.send(GET + b"\r\n")
        assert (await wire.answer())[0] == 200


async def test_the_rest_of_a_refused_body_is_not_read_as_a_request(wire: Wire) -> None:
    padding = HIDDEN * 40_000
    await wire.send(POST + b"Content-Length: %d\r\n\r\n" % len(padding))
    status, _, _ = await wire.answer()
    await wire.send(padding + GET + b"Connection: close\r\n\r\n")
    rest = await wire.rest()

    assert status == 413
    assert b"hidden" not in rest
    assert responses(rest) in ([], [200])


async def test_endless_headers_are_cut_off(wire: Wire) -> None:
    await wire.send(GET)
    sent = 0
    began = monotonic()
    while not wire.is_closed() and monotonic() - began < 10:
        await wire.send(b"X-%d: %b\r\n" % (sent, b"x" * 1_000))
        sent += 1
    # The kernel takes some megabytes by itself.
    assert sent < 20_000, "twenty megabytes of headers were taken"
    assert responses(await wire.rest()) in ([], [400], [431])


CHUNKED = POST.replace(b"/logout", b"/login") + b"Transfer-Encoding: chunked\r\n"
TRAILERS = {
    "many trailers": (CHUNKED, b"t: v\r\n" * 130),
    "many headers and trailers": (
        CHUNKED + b"".join(b"X-%d: x\r\n" % number for number in range(70)),
        b"t: v\r\n" * 70,
    ),
    "large trailers": (CHUNKED, b"t: %b\r\n" % (b"v" * 1_000) * 17 + b"\r\n"),
    "large headers and trailers": (CHUNKED + b"X: %b\r\n" % (b"x" * 9_000), b"t: %b\r\n\r\n" % (b"v" * 9_000)),
    "an endless trailer": (CHUNKED, b"t: " + b"v" * 100_000),
    "an endless trailer in pieces": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\nt: ", b"v" * 100_000),
}


@pytest.mark.parametrize(("head", "trailers"), TRAILERS.values(), ids=TRAILERS)
async def test_headers_and_trailers_are_held_to_one_bound(wire: Wire, head: bytes, trailers: bytes) -> None:
    await wire.send(head + (b"" if head.endswith(b"t: ") else b"\r\n2\r\n{}\r\n0\r\n"))
    for begin in range(0, len(trailers), 1_000):
        await wire.send(trailers[begin : begin + 1_000])
        await asyncio.sleep(0)

    assert responses(await wire.rest()) == [431]


async def test_endless_trailers_are_cut_off_and_nobody_remembers_them(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    piece = b"".join(b"t%02d:vv\r\n" % (number % 100) for number in range(10_000))
    async with await Wire.open(server.port) as wire:
        await wire.send(CHUNKED + b"\r\n2\r\n{}\r\n0\r\n")
        before = most = process.memory_info().rss
        for _ in range(100):
            await wire.send(piece)
            await asyncio.sleep(0)
            most = max(most, process.memory_info().rss)
        heard = await wire.rest()

    assert responses(heard) in ([], [431])
    assert most - before < 20 * 1024 * 1024


async def test_a_trailer_is_no_header(wire: Wire) -> None:
    login = POST.replace(b"/logout", b"/login") + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    await wire.send(
        login + b"Host: elsewhere\r\nAuthorization: Bearer x\r\nExpect: 100-continue\r\n\r\n" + GET + b"\r\n"
    )

    assert (await wire.answer())[0] == 422
    assert (await wire.answer())[0] == 200


async def test_a_request_in_pieces_is_the_same_request(wire: Wire) -> None:
    requests = CHUNKED + b"X: y\r\n\r\n2\r\n{}\r\n0\r\nt: v\r\n\r\n" + GET + b"Connection: close\r\n\r\n"
    for byte in requests:
        await wire.send(bytes([byte]))
        await asyncio.sleep(0.001)

    assert responses(await wire.rest()) == [422, 200]


async def test_a_body_that_breaks_after_its_answer_gets_no_second_one(wire: Wire) -> None:
    await wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    assert (await wire.answer())[0] == 204
    await wire.send(b"zz\r\n" + HIDDEN)

    assert await wire.rest() == b""


async def test_who_drips_is_cut_off(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(REQUEST_DEADLINE_SECONDS="0.7", MAX_BODY_BYTES="1024")
    slow = POST.replace(b"/logout", b"/login") + b"Content-Length: 1000\r\n\r\n"
    large = POST + b"Content-Length: 2000\r\n\r\n"
    drips = {b"": [], b"G": [400], b"GET /live HTTP/1.1\r\nHost: loc": [], GET: [], slow: [408], large: [413]}

    async def drip(beginning: bytes) -> list[int]:
        async with await Wire.open(server.port) as wire:
            while not (wire.is_closed() or wire.has_heard()):
                await wire.send(beginning)
                beginning = b"x" if beginning else b""
                await asyncio.sleep(0.1)
            heard = await wire.heard()
            while not wire.is_closed():  # the answer is there, and nobody waits for the rest of the request for ever
                await wire.send(b"x" if beginning else b"")
                await asyncio.sleep(0.1)
            return responses(heard)

    async with asyncio.timeout(stretched(8)):
        answers = await asyncio.gather(*(drip(beginning) for beginning in drips))
    assert answers == list(drips.values())
