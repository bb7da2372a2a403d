"""The JavaScript client in a real browser, on a page of another site."""

import asyncio
from pathlib import Path

from tests.http.house import house_in_memory, served, set_to
from tests.support.clients import client, sign_up

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
PAGE = """<!doctype html><script type="module">
import { SignalboxClient } from "URL/client.js";
const client = new SignalboxClient("URL", { token: async () => "TOKEN" });
client.on("event", (frame) => fetch("/heard", { method: "POST", body: frame.event.type }));
await client.connect();
await client.subscribe("CHANNEL", { since: 1 });
</script>"""


async def test_a_page_of_another_site_hears_what_happens(tmp_path: Path) -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    page = ""

    answering: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("post /heard"):
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                body = (await reader.readexactly(length)).decode()
                if not heard.done():
                    heard.set_result(body)
            text = page.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a browser connects in advance, and may end without having asked
        finally:
            writer.close()

    site = await asyncio.start_server(answer, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{site.sockets[0].getsockname()[1]}"
    house = house_in_memory(settings=set_to(cors_origin=(origin,)))
    async with site, served(house) as url, client(url) as http:
        ada = await sign_up(http)
        await ada.open_task()
        values = {"URL": url, "TOKEN": ada.token, "CHANNEL": f"workspace:{ada.id}"}
        page = PAGE
        for name, value in values.items():
            page = page.replace(name, value)
        browser = await asyncio.create_subprocess_exec(
            "chromium",
            *FLAGS,
            f"--user-data-dir={tmp_path}",
            "--remote-debugging-port=0",
            f"{origin}/",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(30):
                assert await heard == "task.created"
        finally:
            browser.terminate()
            await browser.wait()
            await asyncio.gather(*filter(None, answering))
