"""A TCP proxy before PostgreSQL that reads along, so that a fault hits exactly the COMMIT, or everything at once.

    with PostgresProxy(database_url) as proxy:
        server = start_server(proxy.url)
        proxy.fail_commits(Commit.LOST)      # the next one: done, and the connection is reset in place of the reply
        proxy.fail_commits(Commit.UNSENT)    # the next one: reset before the server has heard of it
        proxy.fail_commits(Commit.UNANSWERED, times=3)  # done, and no reply ever comes on these connections
        proxy.delay(0.2)                     # every piece, in either direction
        proxy.hush()                         # the connections of now hear no more before they say something themselves
    proxy.silence()                      # on the connections of now nothing passes any more
    proxy.swallow()                      # a black hole: connections are accepted and stay open, nothing passes
        proxy.refuse()                       # new connections are refused
        proxy.cut()                          # all connections are reset now; new ones pass
        proxy.heal()                         # no fault any more; what was swallowed arrives late

It has a thread of its own, so it goes on while a test blocks, and every verb may be called from anywhere.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from enum import Enum
from threading import Thread
from typing import Self, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")

PIECE = 65_536
CALL_SECONDS = 5.0
# What every unit of work writes; the loops beside the requests have commits of their own.
OF_A_UNIT_OF_WORK = b"INSERT INTO events"
_RESET = struct.pack("ii", 1, 0)


class Commit(Enum):
    """What becomes of a commit, whether it is a COMMIT or a statement that is its own transaction."""

    LOST = "lost"
    UNSENT = "unsent"
    UNANSWERED = "unanswered"


class PostgresProxy:
    """Stands at `url` before the database of another URL; `failed_commits` counts the commits that it has failed.

    `direct_url` leads past it. It listens with the `door`, a bound socket, or else on the loopback.
    """

    def __init__(self, database_url: str, door: socket.socket | None = None) -> None:
        self.direct_url = database_url
        parts = urlsplit(database_url)
        asked = parse_qs(parts.query)
        self._socket_path = asked["host"][0] + "/.s.PGSQL.5432" if "host" in asked else None
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5432
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="postgres proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._door = door
        self._own_host, self._own_port = "127.0.0.1", 0
        self._passing = asyncio.Event()
        self._passing.set()
        self._delay = 0.0
        self._fates: list[Commit] = []
        self._about = b""
        self.failed_commits = 0
        self._call(self._listen())
        who = f"{parts.username or 'postgres'}{':' + parts.password if parts.password else ''}"
        self.url = f"postgresql://{who}@{self._own_host}:{self._own_port}{parts.path}?sslmode=disable"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """How many connections pass through at this moment."""
        return len(self._links)

    def fail_commits(self, fate: Commit, times: int = 1, about: bytes = OF_A_UNIT_OF_WORK) -> None:
        """Let the next commits of transactions with a statement that contains `about` meet this fate."""
        self._about = about
        self._fates = [fate] * times

    def delay(self, seconds: float) -> None:
        """Hold every piece back for so long."""
        self._delay = seconds

    def hush(self) -> None:
        """Let each connection of now hear what its server says only once it has said something itself.

        So a server can end them without their noticing, as it does in the moment before they are used.
        """
        self._call(self._hush())

    def silence(self) -> None:
        """Let nothing pass on the connections of now, as a firewall does that has forgotten them."""
        self._call(self._silence())

    def swallow(self) -> None:
        self._loop.call_soon_threadsafe(self._passing.clear)

    def refuse(self) -> None:
        self._call(self._refuse())

    def cut(self) -> None:
        self._call(self._cut())

    def heal(self) -> None:
        self._call(self._heal())

    def stop(self) -> None:
        """Cut everything and end the thread."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fate_of(self, statements: list[bytes]) -> Commit | None:
        """What becomes of a commit of these statements, which is about to be sent."""
        if not self._fates or not any(self._about in statement for statement in statements):
            return None
        return self._fates.pop()

    async def pause(self) -> None:
        """Wait as long as a piece has to."""
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._passing.wait()

    def _call(self, work: Awaitable[T]) -> T:
        async def call() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(CALL_SECONDS)

    async def _listen(self) -> None:
        if self._door is not None:
            self._server = await asyncio.start_server(self._take, sock=self._door)
        else:
            self._server = await asyncio.start_server(self._take, self._own_host, self._own_port)
        self._own_host, self._own_port = self._server.sockets[0].getsockname()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._socket_path:
                back = await asyncio.open_unix_connection(self._socket_path)
            else:
                back = await asyncio.open_connection(self._host, self._port)
        except OSError:
            _reset(writer)
            return
        link = _Link(self, reader, writer, *back)
        self._links[link] = task = asyncio.ensure_future(link.run())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            del self._links[link]

    async def _hush(self) -> None:
        for link in self._links:
            link.may_hear.clear()

    async def _silence(self) -> None:
        for link in self._links:
            link.may_hear.clear()
            link.is_silent = True

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _heal(self) -> None:
        self._delay, self._fates = 0.0, []
        self._passing.set()
        if self._server is None:
            await self._listen()

    async def _end(self) -> None:
        await self._refuse()
        await self._cut()
        while self._links:
            await asyncio.sleep(0.001)


class _Link:
    """One connection of a client, and the one to the server that it is passed on to."""

    def __init__(
        self,
        proxy: PostgresProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._back, self._forth = back, forth
        self._in_transaction = False
        self._prepared: dict[bytes, bytes] = {}
        self._bound = b""
        # The statements of the transaction that is open.
        self._statements: list[bytes] = []
        self._fate: Commit | None = None
        self.may_hear = asyncio.Event()
        self.may_hear.set()
        self.is_silent = False

    async def run(self) -> None:
        """Pass everything on until either side ends it."""
        ways = [asyncio.ensure_future(self._pass_forth()), asyncio.ensure_future(self._pass_back())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writer.close()
            self._forth.close()

    def cut(self) -> None:
        """Reset both sides at once."""
        _reset(self._writer)
        _reset(self._forth)

    async def _pass_forth(self) -> None:
        messages = _Messages(typed=False)
        while piece := await self._reader.read(PIECE):
            await self._proxy.pause()
            if self.is_silent:
                continue
            self.may_hear.set()
            passed = bytearray()
            for kind, message in messages.of(piece):
                if self._is_commit(kind, message) and self._fate is None:
                    self._fate = self._proxy.fate_of(self._statements)
                    if self._fate is Commit.UNSENT:
                        self._fail()
                        return
                passed += message
            with suppress(ConnectionError):  # the server is gone, and its last word still on its way
                self._forth.write(passed)
                await self._forth.drain()

    async def _pass_back(self) -> None:
        messages = _Messages(typed=True)
        while True:
            piece = await self._back.read(PIECE)
            await self._proxy.pause()
            await self.may_hear.wait()
            if not piece:
                return
            passed = bytearray()
            for kind, message in messages.of(piece):
                if self._fate is None:
                    passed += message
                if kind != b"Z":  # ready for the next query
                    continue
                self._in_transaction = message[5:6] != b"I"
                if not self._in_transaction:
                    self._statements.clear()
                    if self._fate is Commit.LOST:
                        self._fail()
                        return
                    if self._fate is Commit.UNANSWERED:
                        self._proxy.failed_commits += 1
                        await asyncio.Event().wait()
            self._writer.write(passed)
            await self._writer.drain()

    def _fail(self) -> None:
        _reset(self._writer)
        self._proxy.failed_commits += 1

    def _is_commit(self, kind: bytes, message: bytes) -> bool:
        match kind:
            case b"P":  # parse
                name, text, _ = message[5:].split(b"\0", 2)
                self._prepared[name] = text
            case b"B":  # bind
                _, name, _ = message[5:].split(b"\0", 2)
                self._bound = self._prepared.get(name, b"")
            case b"E":  # execute
                self._statements.append(self._bound)
                return not self._in_transaction
            case b"Q":
                self._statements.append(message[5:])
                return message[5:11].upper() == b"COMMIT"
        return False


class _Messages:
    """Cuts a stream of bytes into the messages of PostgreSQL's protocol; the first of a client has no type."""

    def __init__(self, *, typed: bool) -> None:
        self._head = 1 if typed else 0
        self._rest = b""

    def of(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The type and the bytes of each message that this piece completes."""
        data = self._rest + piece
        start = 0
        while len(data) >= start + self._head + 4:
            end = start + self._head + int.from_bytes(data[start + self._head : start + self._head + 4], "big")
            if len(data) < end:
                break
            yield data[start : start + self._head], data[start:end]
            start, self._head = end, 1
        self._rest = data[start:]


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a crash does, so that its peer is told at once and not asked to say good-bye."""
    with suppress(OSError):
        found = writer.get_extra_info("socket")
        if found is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
