"""The way into Redis: bare links for what is hot, to where redis-py reads the URL to lead."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection

log = logging.getLogger(__name__)

# Keepalive finds a peer that is gone while nothing is sent, the user timeout one that stops acknowledging what is.
KEEPALIVE: dict[int, int] = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 3),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 10_000),  # milliseconds
    )
    if hasattr(socket, name)
}


class Address:
    """Where Redis is and how to sign in there, for links; ValueError if the URL cannot be read.

    `database` is the number of the database that the URL names.
    """

    def __init__(self, url: str) -> None:
        # Never connected: it only reads the URL as the clients do, so that one URL means one thing.
        pool: Any = ConnectionPool.from_url(url)
        plan = pool.make_connection()
        self.database = int(plan.db or 0)
        self._path: str | None = getattr(plan, "path", None)
        self._host: str = getattr(plan, "host", "")
        self._port: int = getattr(plan, "port", 0)
        self._tls = plan.ssl_context.get() if isinstance(plan, SSLConnection) else None
        self._greeting: list[tuple[str, ...]] = []
        if plan.password:
            self._greeting.append(("AUTH", *([plan.username] if plan.username else []), plan.password))
        if plan.db:
            self._greeting.append(("SELECT", str(plan.db)))

    async def connect(
        self, name: str, received: Callable[[Any], None], lost: Callable[[], None], seconds: float
    ) -> "Link":
        """A link that has proved to be answered, or OSError within `seconds`. `name` is what CLIENT LIST shows."""
        link: Link | None = None
        greeting = [*self._greeting, ("PING",), ("CLIENT", "SETNAME", name)]
        loop = asyncio.get_running_loop()
        greeted = loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                if self._path is None:
                    _, link = await loop.create_connection(Link, self._host, self._port, ssl=self._tls)
                else:
                    _, link = await loop.create_unix_connection(Link, self._path)
                link.greet(greeting, greeted)
                replies = await greeted
        except BaseException:
            if link is not None:
                link.abort()
            raise
        # A name is a courtesy that an access list may forbid; the rest is needed.
        refusals = [reply for reply in replies[:-1] if isinstance(reply, hiredis.ReplyError)]
        if refusals:
            link.abort()
            raise ConnectionRefusedError(f"Redis refused the greeting: {refusals[0]}")
        if link.is_lost:
            raise ConnectionResetError("Redis closed the connection after the greeting.")
        link.hand_over(received, lost)
        return link


class Link(asyncio.Protocol):
    """One connection to Redis on which commands go out at once and each reply is handed over as it comes, in order.

    On every request and for every event redis-py is too dear: it spends two to four times the CPU of a link, which has
    no pool, no retries, no timeouts and no task per call. Those are up to whoever holds it: a link that gives no answer
    in time has to be aborted. Replies are what hiredis makes of RESP2: bytes, int, None, a list of these, or a
    `hiredis.ReplyError`.
    """

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._received: Callable[[Any], None] = _ignore
        self._lost: Callable[[], None] = _nothing

    @property
    def is_lost(self) -> bool:
        return self._transport is None

    def send(self, packed: bytes) -> None:
        """Send commands as `pack` made them; on a link that is lost they vanish."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packed)

    def close(self) -> None:
        """Send what is under way, then close, without a word to `lost`."""
        self._forget()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, without a word to `lost`."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def greet(self, commands: list[tuple[str, ...]], greeted: "asyncio.Future[list[Any]]") -> None:
        """Send the first commands, whose replies are collected in `greeted`."""
        replies: list[Any] = []

        def collect(reply: Any) -> None:
            replies.append(reply)
            if len(replies) == len(commands) and not greeted.done():
                greeted.set_result(replies)

        def fail() -> None:
            if not greeted.done():
                greeted.set_exception(ConnectionResetError("Redis closed the connection during the greeting."))

        self.hand_over(collect, fail)
        if self.is_lost:
            fail()
        self.send(b"".join(map(pack, commands)))

    def hand_over(self, received: Callable[[Any], None], lost: Callable[[], None]) -> None:
        """Give replies to `received` from now on, and tell `lost` once if the connection ends by itself."""
        self._received, self._lost = received, lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        connection = transport.get_extra_info("socket")
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:  # RESP2 knows no booleans: this is "not complete yet"
                self._received(reply)
        except Exception:
            log.exception("a reply of Redis could not be taken; the connection is given up")
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        lost = self._lost
        self._forget()
        lost()

    def _forget(self) -> None:
        self._received, self._lost = _ignore, _nothing


def pack(command: tuple[str | bytes | int, ...]) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows one argument only
    return packed


def _ignore(_: Any) -> None: ...


def _nothing() -> None: ...
