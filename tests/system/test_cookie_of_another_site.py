"""The refresh cookie in a real browser, on pages of one site that call an installation on another, over TLS."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest

from domain.channels import account_stream
from domain.ids import AccountId
from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import PASSWORD, client, sign_up
from tests.support.services import free_port
from tests.system.browser import browser

PAGE = """<!doctype html><script type="module">
const post = (path, body) => fetch("API/api/v1/auth/" + path, {
  method: "POST", credentials: "include", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});
const statuses = [];
statuses.push((await post("login", { email: "EMAIL", password: "PASSWORD" })).status);
statuses.push((await post("refresh")).status);
statuses.push((await post("refresh")).status);
await fetch("/heard", { method: "POST", body: JSON.stringify(statuses) });
location = "EVIL/";
</script>"""
EVIL_PAGE = """<!doctype html><script type="module">
const ask = (path) => fetch("API/api/v1/auth/" + path, { method: "POST", mode: "no-cors", credentials: "include" });
await ask("refresh");
await ask("logout");
await fetch("/heard", { method: "POST", body: "[]" });
</script>"""


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A certificate for the sites of this test."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "1", "-subj", "/CN=test", "-keyout", key, "-out", certificate),
            *("-addext", "subjectAltName=DNS:site-a.test,DNS:site-b.test,DNS:site-c.test"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def site(
    tls: ssl.SSLContext, port: int, page: Callable[[], str], heard: "asyncio.Queue[list[int]]"
) -> AsyncIterator[None]:
    """A site of one page, whose scripts tell what they found."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A browser connects in advance, and may end without having asked.
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("post /heard"):
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                heard.put_nowait(json.loads(await reader.readexactly(length)))
            text = page().encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port, ssl=tls):
        yield


@asynccontextmanager
async def behind_tls(tls: ssl.SSLContext, port: int, url: str) -> AsyncIterator[None]:
    """The server at `url`, over TLS."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        await asyncio.gather(carry(reader, back), carry(there, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls):
        yield


@pytest.mark.parametrize("same_site", ["strict", "none"])
async def test_a_page_of_another_site_stays_signed_in_only_if_the_settings_say_so(
    tls: ssl.SSLContext, tmp_path: Path, same_site: str
) -> None:
    a, b, c = (f"https://site-{name}.test:{free_port()}" for name in "abc")
    ports = [int(origin.rpartition(":")[2]) for origin in (a, b, c)]
    heard: asyncio.Queue[list[int]] = asyncio.Queue()
    pages = ["", EVIL_PAGE.replace("API", b)]
    settings = set_to(cors_origin=(a,), cookie_samesite=same_site)
    house = house_in_memory(settings=settings)
    async with (
        served(house) as url,
        client(url) as http,
        behind_tls(tls, ports[1], url),
        site(tls, ports[0], lambda: pages[0], heard),
        site(tls, ports[2], lambda: pages[1], heard),
    ):
        ada = await sign_up(http)
        pages[0] = PAGE
        for name, value in {"API": b, "EVIL": c, "EMAIL": ada.email, "PASSWORD": PASSWORD}.items():
            pages[0] = pages[0].replace(name, value)
        flags = ("--ignore-certificate-errors", "--host-resolver-rules=MAP *.test 127.0.0.1")
        async with browser(f"{a}/", tmp_path, *flags), asyncio.timeout(60):
            assert await heard.get() == ([200, 200, 200] if same_site == "none" else [200, 401, 401])
            assert await heard.get() == []
        entries = await house.journal().read(account_stream(AccountId(UUID(ada.id))), 0, 100)
        types = [entry.type for entry in entries]
        assert types.count("session.refreshed") == (2 if same_site == "none" else 0)
        assert "session.ended" not in types
