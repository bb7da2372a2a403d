"""Connections to Redis for hot paths. redis-py only parses the URL."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import SSLConnection

log = logging.getLogger(__name__)

# Keepalive detects a dead peer while nothing is sent. The user timeout detects one that does not acknowledge data.
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
    """The address and credentials of Redis, for links. ValueError if the URL cannot be parsed.

    `database` is the number of the database that the URL names.
    """

    def __init__(self, url: str) -> None:
        # Never connected. It parses the URL, so that a URL means the same here as for redis-py's clients. For
        # information on the driver it would read the metadata of its package each time.
        pool: Any = ConnectionPool.from_url(url, driver_info=None)
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
        """A link on which Redis has answered, or OSError within `seconds`. CLIENT LIST shows `name`."""
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
        # The last command sets the name, which is optional, and which an access list may forbid.
        refusals = [reply for reply in replies[:-1] if isinstance(reply, hiredis.ReplyError)]
        if refusals:
            link.abort()
            raise ConnectionRefusedError(f"Redis refused the greeting: {refusals[0]}")
        if link.is_lost:
            raise ConnectionResetError("Redis closed the connection after the greeting.")
        link.hand_over(received, lost)
        return link


class Link(asyncio.Protocol):
    """One connection to Redis. It sends commands at once, and passes on each reply as it comes, in order.

    redis-py costs too much on every request and event: two to four times the CPU of a link. A link has no pool, no
    retries, no timeouts and no task per call. Its owner has to add them, and to abort a link that does not answer in
    time. hiredis makes the replies from RESP2: bytes, int, None, a list of these, or a `hiredis.ReplyError`.
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
        """Send commands that `pack` made. On a lost link they are dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packed)

    def close(self) -> None:
        """Send buffered commands, then close. `lost` is not called."""
        self._forget()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once. `lost` is not called."""
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def greet(self, commands: list[tuple[str, ...]], greeted: "asyncio.Future[list[Any]]") -> None:
        """Send the first commands. `greeted` gets the list of their replies."""
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
        """Pass replies to `received` from now on. Call `lost` once if the connection ends by itself."""
        self._received, self._lost = received, lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        connection = transport.get_extra_info("socket")
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:  # False: the reply is incomplete (RESP2 has no booleans)
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
    """A command encoded for the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub is too narrow
    return packed


def _ignore(_: Any) -> None: ...


def _nothing() -> None: ...
