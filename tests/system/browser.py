"""A page in a real browser, on a site of its own, that tells what it sees by posting to that site."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
    "--mute-audio",
    "--remote-debugging-port=0",
)


@dataclass
class Site:
    """Serves its sound at `/sound` and its page at every other address, and keeps what is posted to `/heard`."""

    origin: str = ""
    page: str = ""
    sound: bytes = b""
    heard: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("post /heard"):
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                self.heard.put_nowait((await reader.readexactly(length)).decode())
            if head.startswith("get /sound"):
                # In parts: otherwise a browser seeks only in what it has already.
                first, _, last = head.partition("range: bytes=")[2].partition("\r\n")[0].partition("-")
                begin, end = int(first or 0), int(last or len(self.sound) - 1) + 1
                writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Type: audio/wav\r\nConnection: close\r\n")
                writer.write(b"Content-Range: bytes %d-%d/%d\r\n" % (begin, end - 1, len(self.sound)))
                body = self.sound[begin:end]
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
                body = self.page.encode()
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a browser connects in advance, and may end without having asked
        finally:
            writer.close()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A site on a free port of this machine."""
    own = Site()
    answering: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(own.answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    own.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield own
        await asyncio.gather(*answering)


@asynccontextmanager
async def browser(address: str, profile: Path, *flags: str) -> AsyncIterator[None]:
    """A browser that shows the page at the address."""
    process = await asyncio.create_subprocess_exec(
        "chromium",
        *FLAGS,
        *flags,
        f"--user-data-dir={profile}",
        address,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
