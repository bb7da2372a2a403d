"""Two processes of Signalbox behind the nginx of deploy/nginx: what passes, what does not, and what a restart costs."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from entrypoints.client import Client
from tests.support.clients import API, PASSWORD, Json, Person, client, done, listening, sign_up, until
from tests.support.server import ServerProcess
from tests.system.proxy import Proxy

Site = tuple[Proxy, list[ServerProcess]]

MIB = 1024 * 1024
# The real times are for people on slow lines.
IMPATIENT = {
    "client_header_timeout       10s": "client_header_timeout 1s",
    "client_body_timeout         10s": "client_body_timeout 1s",
}


@pytest.fixture(scope="module")
def site(new_database: Callable[[], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    logs = tmp_path_factory.mktemp("site")
    settings = {
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "LOG_FORMAT": "json",
        "DRAIN_SECONDS": "1",
        "RATE_LIMIT_MAX_REQUESTS": "100000",
    }
    database_url = new_database()
    servers = [ServerProcess(database_url, logs / f"{number}.log", redis_url, settings) for number in range(2)]
    proxy = Proxy([server.port for server in servers], IMPATIENT)
    try:
        for server in servers:
            server.start()
        proxy.start()
        yield proxy, servers
    finally:
        for server in servers:
            server.stop()
        proxy.stop()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with client(site[0].base_url) as http:
        yield http


@contextlib.asynccontextmanager
async def calling_from(address: str, site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with another network address, as all of 127.0.0.0/8 is this machine."""
    async with client(site[0].base_url, transport=httpx.AsyncHTTPTransport(local_address=address)) as http:
        yield http


def lines(server: ServerProcess) -> list[Json]:
    whole = server.log().rpartition("\n")[0]  # the last one may be half written
    return [json.loads(line) for line in whole.splitlines()]


def test_nginx_has_nothing_to_say_against_the_configuration() -> None:
    proxy = Proxy([8000, 8001])
    try:
        assert proxy.test() == ""
    finally:
        proxy.stop()


async def test_requests_go_to_every_process(site: Site, http: httpx.AsyncClient) -> None:
    for _ in range(8):
        assert (await http.get("/api/openapi.json")).status_code == 200
    await until(
        lambda: all(any(line.get("http.route") == "/api/openapi.json" for line in lines(server)) for server in site[1])
    )


async def test_events_come_over_a_socket_and_over_a_stream_as_they_happen(site: Site, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    channel = f"workspace:{ada.id}"
    async with (
        listening(site[0].base_url, ada.token, channel) as live,
        http.stream("GET", f"{API}/events/stream", headers=ada.authorization) as stream,
    ):
        told = stream.aiter_lines()
        assert stream.status_code == 200
        assert (await anext(told)).startswith("retry:")
        for number in range(3):
            title = f"task {number}"
            began = time.monotonic()
            await ada.open_task(title)
            async with asyncio.timeout(5):
                assert (await live.event("task.created"))["offset"] == number + 2
                while title not in await anext(told):
                    pass
            assert time.monotonic() - began < 2


async def test_nobody_chooses_the_address_that_they_come_from(site: Site) -> None:
    async with calling_from("127.0.0.3", site) as http:
        for number in range(4):
            forged = {
                "X-Forwarded-For": f"203.0.113.{number}",
                "X-Real-IP": "203.0.113.9",
                "X-Request-Id": f"forged-{number}",
            }
            await http.get(f"{API}/me", headers=forged)

    def addresses() -> list[str]:
        said = [line for server in site[1] for line in lines(server)]
        return [line["client.address"] for line in said if line.get("request_id", "").startswith("forged-")]

    await until(lambda: len(addresses()) == 4)
    assert set(addresses()) == {"127.0.0.3"}


async def test_a_forged_address_does_not_escape_a_limit_and_others_are_not_held_to_it(site: Site) -> None:
    async def registered(http: httpx.AsyncClient, number: int, **headers: str) -> int:
        body = {"email": f"limit.{number}@example.org", "password": PASSWORD, "display_name": "Eve"}
        return (await http.post(f"{API}/auth/register", json=body, headers=headers)).status_code

    async with calling_from("127.0.0.4", site) as eve, calling_from("127.0.0.5", site) as ada:
        answers = [await registered(eve, number, **{"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(31)]
        assert answers == [201] * 30 + [429]
        assert await registered(ada, 31) == 201


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/live", "/ready", "/health", "/stats", "/problem", "/"),
        *("//metrics", "/api/../metrics", "/api/%2e%2e/metrics", "/api/..%2fmetrics", "/api/%252e%252e/metrics"),
        *("/api//../metrics", "/./metrics", "/metrics/", "/api/..;/metrics", "/api/v1/ws/../../../stats"),
    ],
)
async def test_what_is_for_operators_does_not_exist_outside(site: Site, path: str) -> None:
    answer = site[0].raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert int(answer.split(b" ")[1]) in {401, 404}
    assert b"process_" not in answer
    assert b"uptime" not in answer


async def test_what_is_for_the_public_does(http: httpx.AsyncClient) -> None:
    for path in ("/api/docs", "/api/openapi.json", "/api/asyncapi.json", "/client.js", "/client/rooms.js"):
        assert (await http.get(path)).status_code == 200, path


async def test_a_body_is_refused_from_the_first_byte_that_is_too_many(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    kind = {"Content-Type": "application/json", "X-Request-Id": "too-large"}
    refused = await ada.send("POST", "/tasks", content=b" " * (MIB + 1), headers=kind)
    said = refused.json()
    assert (refused.status_code, said["code"], said["request_id"]) == (413, "body_too_large", "too-large")
    assert said["title"] == "Answered by the proxy"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert "server" not in refused.headers or not any(c.isdigit() for c in refused.headers["server"])

    body = b'{"title": "' + b"x" * (MIB - 13) + b'"}'
    assert len(body) == MIB
    assert (await ada.send("POST", "/tasks", content=body, headers=kind)).json()["code"] == "validation_failed"


async def test_urls_and_headers_have_limits(http: httpx.AsyncClient) -> None:
    long = await http.get(f"{API}/tasks?x={'y' * 9_000}")
    assert (long.status_code, long.json()["code"]) == (414, "malformed")
    large = await http.get(f"{API}/tasks", headers={"X-Large": "y" * 9_000})
    assert (large.status_code, large.json()["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["headers", "body"],
)
async def test_who_sends_too_slowly_is_hung_up_on_before_any_process_hears_of_it(site: Site, beginning: bytes) -> None:
    began = time.monotonic()
    assert await asyncio.to_thread(site[0].raw, beginning) == b""
    assert 0.5 < time.monotonic() - began < 8


async def test_who_asks_too_often_or_holds_too_many_connections_is_refused_by_the_proxy(site: Site) -> None:
    strict = {"rate=100r/s": "rate=1r/m", "burst=400": "burst=8", "connections 256": "connections 2"}
    proxy = Proxy([server.port for server in site[1]], strict).start()
    try:
        async with client(proxy.base_url) as http, contextlib.AsyncExitStack() as held:
            ada = await sign_up(http)
            for _ in range(2):
                await held.enter_async_context(listening(proxy.base_url, ada.token))
            crowded = await http.get(f"{API}/me")
            await held.aclose()
            answers = [await http.get(f"{API}/me") for _ in range(8)]
    finally:
        proxy.stop()
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    for answer in (crowded, answers[-1]):
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert answer.headers["retry-after"] == "1"


async def test_answers_are_compressed_and_keep_their_strong_tags(http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    task = await ada.open_task(description="x" * 5_000)
    answer = await ada.get(f"/tasks/{task['id']}", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["content-encoding"], answer.headers["etag"]) == ("gzip", '"1"')
    done(await ada.patch(f"/tasks/{task['id']}", {"title": "changed"}, headers={"If-Match": answer.headers["etag"]}))


async def test_strangers_do_not_decide_what_is_traced(site: Site, http: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await http.get(f"{API}/me", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.json()["trace_id"] != trace


async def test_pages_of_this_site_open_sockets_and_others_do_not(site: Site, http: httpx.AsyncClient) -> None:
    ada = await sign_up(http)
    async with listening(site[0].base_url, ada.token, origin=site[0].base_url):
        pass
    with pytest.raises(InvalidStatus) as refusal:
        async with listening(site[0].base_url, ada.token, origin="https://elsewhere.example"):
            pass
    assert refusal.value.response.status_code == 403


async def test_tls_works_as_the_example_says(site: Site, tmp_path: Path) -> None:
    proxy = Proxy(
        [server.port for server in site[1]],
        {"# include tls.conf;": "include tls.conf;", "include site.conf;": "return 308 https://$host$request_uri;"},
    )
    try:
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "1",
                ),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", proxy.folder / "key.pem", "-out", proxy.folder / "certificate.pem"),
            ],
            check=True,
            capture_output=True,
        )
        assert proxy.test() == ""
        proxy.start()
        trusting = ssl.create_default_context(cafile=str(proxy.folder / "certificate.pem"))
        async with (
            client(f"https://127.0.0.1:{proxy.tls_port}", verify=trusting) as http,
            client(proxy.base_url) as old,
        ):
            ada = await sign_up(http)
            assert ada.cookie
            async with listening(
                f"https://127.0.0.1:{proxy.tls_port}", ada.token, f"workspace:{ada.id}", ssl=trusting
            ) as live:
                await ada.open_task()
                await live.event("task.created")
            moved = await old.get("/api/v1/me?x=1")
            assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/api/v1/me?x=1")
    finally:
        proxy.stop()


async def test_a_process_that_dies_takes_no_reader_with_it(site: Site, http: httpx.AsyncClient) -> None:
    server = site[1][0]
    server.kill()
    try:
        for _ in range(20):
            assert (await http.get("/api/openapi.json")).status_code == 200
    finally:
        await asyncio.to_thread(server.restart)


async def test_with_nobody_behind_it_the_proxy_says_so(site: Site) -> None:
    proxy = Proxy([1, 2]).start()
    try:
        async with client(proxy.base_url) as http:
            answer = await http.get(f"{API}/me")
        assert (answer.status_code, answer.json()["code"]) == (502, "dependency_unavailable")
        assert answer.headers["retry-after"] == "2"
    finally:
        proxy.stop()


# Four callers of one address stay below what nginx lets through in a second, however fast the answers come.
PAUSE_SECONDS = 0.05


async def test_a_rolling_restart_fails_no_request_and_loses_no_event(site: Site, http: httpx.AsyncClient) -> None:
    proxy, servers = site
    ada = await sign_up(http)
    stopping = asyncio.Event()
    heard: list[list[int]] = [[] for _ in range(6)]
    statuses: list[int] = []

    async def token() -> str:
        return ada.token

    async def listen(into: list[int], joined: asyncio.Event) -> None:
        async with Client(proxy.base_url, token) as live:
            async for frame in live.subscribe(f"workspace:{ada.id}", 1):
                joined.set()
                assert frame["type"] != "resync"
                if frame["type"] == "event":
                    into.append(frame["offset"])

    async def write(author: int) -> int:
        number = 0
        while not stopping.is_set():
            number += 1
            await persistently(ada, f"author-{author}-{number}", statuses)
            await asyncio.sleep(PAUSE_SECONDS)
        return number

    async def read() -> None:
        while not stopping.is_set():
            # Nobody has to try this again: nginx does.
            assert (await ada.get("/tasks?limit=1")).status_code == 200
            await asyncio.sleep(PAUSE_SECONDS)

    joined = [asyncio.Event() for _ in heard]
    listeners = [asyncio.create_task(listen(into, there)) for into, there in zip(heard, joined, strict=True)]
    async with asyncio.timeout(120):
        await asyncio.gather(*(there.wait() for there in joined))
        reader = asyncio.create_task(read())
        writers = [asyncio.create_task(write(author)) for author in range(3)]
        for server in servers:
            await goes_on(len(statuses) + 20, lambda: len(statuses))
            assert await asyncio.to_thread(server.terminate) == 0
            await asyncio.to_thread(server.start)
            # As an orchestrator does: the next one goes when this one works again.
            created = f'"upstream":"127.0.0.1:{server.port}","upstream.status":"201"'
            await goes_on(proxy.log().count(created) + 1, partial(count_of, proxy, created))
        stopping.set()
        written = sum(await asyncio.gather(*writers))
        await reader
        await until(lambda: all(len(offsets) >= written for offsets in heard), seconds=30)
    for task in listeners:
        task.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)

    assert heard == [list(range(2, written + 2))] * len(heard)
    # What had to be tried again is what nginx may not: a POST whose process went while it was on its way.
    assert set(statuses) <= {201, 502}
    assert statuses.count(502) < len(statuses) / 20


async def goes_on(least: int, count: Callable[[], int]) -> None:
    await until(lambda: count() >= least, seconds=30)


def count_of(proxy: Proxy, text: str) -> int:
    return proxy.log().count(text)


async def persistently(person: Person, key: str, statuses: list[int]) -> None:
    """Create a task once, with as many attempts as that takes."""
    while True:
        answer = await person.post("/tasks", {"title": key}, headers={"Idempotency-Key": key})
        statuses.append(answer.status_code)
        if answer.status_code != 502:
            done(answer)
            return
        await asyncio.sleep(0.1)
