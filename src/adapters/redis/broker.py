"""Sends hints and signals to other processes over Redis Pub/Sub, which may lose some."""

import asyncio
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
import msgspec

from adapters.redis.connection import Address, Link, pack
from adapters.redis.seal import Seal
from application.ports.events import Broker, Entry, Signal
from application.ports.observer import Observer
from domain.errors import Unavailable

QUEUE_MAX = 10_000
UNANSWERED_MAX = 1_000
SUBSCRIBE_AT_ONCE = 500
CONNECT_SECONDS = 2.0
CANARY_SECONDS = 2.0
CANARY_LOST_SECONDS = 6.0
RETRY_FIRST_SECONDS = 0.05
RETRY_LONGEST_SECONDS = 2.0
RECONNECTED_EVERY_SECONDS = 0.5
# Items of one topic that are published together share a message up to this size.
MESSAGE_BYTES = 65_536
# The first byte of a message: its JSON is a list of entries or of signals.
_ENTRIES, _SIGNALS = b"e", b"s"
_ORIGIN_BYTES = 16

log = logging.getLogger(__name__)


class RedisBroker(Broker):
    """A channel of Redis Pub/Sub per topic. A process has one connection to subscribe and one to publish.

    The listeners of this process get a published item at once and directly, even without Redis. Its copy from Redis is
    recognised by the origin and dropped. For other processes the item waits in a queue, which is sent once per turn of
    the event loop. The queue holds 10,000 items; when it is full, the oldest are dropped. `dropped` counts the items
    that were never sent. Pub/Sub ignores databases, so the name of each channel includes the database of the URL.

    Being able to publish in Redis proves nothing. A message without the `seal` of this installation for its channel is
    dropped, and the observer is told.

    This process publishes a canary every 2 s on a channel of its own. If none comes back for 6 s, both connections are
    replaced, even if they look open. `connected` tells whether a canary came back over the current connections.
    `reconnected` is called after channels were subscribed to, at most twice a second, because earlier messages on them
    are lost. For use on one event loop.
    """

    def __init__(
        self,
        url: str,
        seal: Seal,
        observer: Observer,
        prefix: str = "signalbox:hint:",
        canary_seconds: float = CANARY_SECONDS,
        canary_lost_seconds: float = CANARY_LOST_SECONDS,
    ) -> None:
        self.connected = False
        self.reconnects = 0
        self.dropped = 0
        self._seal = seal
        self._observer = observer
        self._address = Address(url)
        self._prefix = f"{prefix}{self._address.database}:"
        self._listeners: list[tuple[Callable[[Entry | Signal], None], Callable[[], None]]] = []
        self._encode = msgspec.json.Encoder().encode
        self._decode_entries = msgspec.json.Decoder(list[Entry]).decode
        self._decode_signals = msgspec.json.Decoder(list[Signal]).decode

        self._origin = secrets.token_hex(_ORIGIN_BYTES // 2).encode()
        self._canary = f"{self._prefix}canary:{self._origin.decode()}".encode()
        self._canary_seconds = canary_seconds
        self._canary_lost_seconds = canary_lost_seconds
        self._canary_seen = 0.0
        self._proved_at = time.monotonic()
        self._complained = False

        self._outbound: Link | None = None
        self._queue: deque[Entry | Signal] = deque(maxlen=QUEUE_MAX)
        self._unanswered = 0
        self._flush_is_due = False

        self._inbound: Link | None = None
        # How many follow each topic.
        self._followed: dict[str, int] = {}
        self._subscribed: set[str] = set()
        self._changed: set[str] = set()
        self._unconfirmed = 0
        self._told_at = 0.0
        self._telling: asyncio.TimerHandle | None = None

    def listen(self, take: Callable[[Entry | Signal], None], reconnected: Callable[[], None]) -> None:
        self._listeners.append((take, reconnected))

    def silent_seconds(self) -> float:
        return time.monotonic() - self._proved_at

    def publish(self, items: Sequence[Entry | Signal]) -> None:
        began = time.perf_counter()
        for item in items:
            if len(self._queue) == QUEUE_MAX:
                self.dropped += 1
            self._queue.append(item)
        if self._outbound is not None and not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)
        for item in items:
            self._deliver(item)
        self._observer.called("redis", "publish", began)

    def follow(self, topic: str) -> None:
        before = self._followed.get(topic, 0)
        self._followed[topic] = before + 1
        if not before:
            self._subscribe_soon(topic)

    def unfollow(self, topic: str) -> None:
        before = self._followed.pop(topic, 0)
        if before > 1:
            self._followed[topic] = before - 1
        elif before:
            self._subscribe_soon(topic)

    async def run(self) -> None:
        pause = RETRY_FIRST_SECONDS
        try:
            while True:
                try:
                    await self._carry()
                except OSError as problem:
                    if self.connected:
                        pause = RETRY_FIRST_SECONDS
                    if not self._complained:
                        log.warning(
                            "hints reach other processes late and signals never, for Redis is away: %s", problem
                        )
                    self._complained = True
                    self._let_go()
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, not a secret
                pause = min(pause * 2, RETRY_LONGEST_SECONDS)
        finally:
            if self._outbound is not None:
                self._outbound.close()  # sends what is buffered first
                self._outbound = None
            self._let_go()

    async def check(self) -> None:
        """Unavailable unless a canary has come back over the current connections."""
        if not self.connected:
            raise Unavailable("Hints do not travel through Redis now; other processes learn of news some seconds late.")

    async def _carry(self) -> None:
        """Make both connections, subscribe, and watch the canary. OSError when a connection fails."""
        loop = asyncio.get_running_loop()
        lost = asyncio.Event()
        inbound = await self._address.connect("signalbox-hints-in", self._received, lost.set, CONNECT_SECONDS)
        try:
            outbound = await self._address.connect("signalbox-hints-out", self._answered, lost.set, CONNECT_SECONDS)
        except BaseException:
            inbound.abort()
            raise
        self._inbound, self._outbound = inbound, outbound
        self._subscribed.clear()
        self._unconfirmed = 1
        inbound.send(pack(("SUBSCRIBE", self._canary)))
        self._changed = set(self._followed)
        self._subscribe()
        self._flush()
        self._canary_seen = loop.time()
        while (patience := self._canary_seen + self._canary_lost_seconds - loop.time()) > 0:
            self._unanswered += 1
            outbound.send(pack(("PUBLISH", self._canary, self._origin)))
            try:
                async with asyncio.timeout(min(self._canary_seconds, patience)):
                    await lost.wait()
                raise ConnectionResetError("the connection was lost")
            except TimeoutError:
                pass
        raise TimeoutError("what is published does not arrive")

    def _let_go(self) -> None:
        for link in (self._inbound, self._outbound):
            if link is not None:
                link.abort()
        self._inbound = self._outbound = None
        self.connected = False
        self._unanswered = 0
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    # Outbound

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._outbound is None:
            return
        commands: list[bytes] = []
        while self._queue and self._unanswered < UNANSWERED_MAX:
            topic, kind = _addressed(self._queue[0])
            parts: list[bytes] = []
            size = 0
            while self._queue and size < MESSAGE_BYTES and _addressed(self._queue[0]) == (topic, kind):
                # `Raw` copies the encoded body into the message and does not encode it again.
                parts.append(self._encode(self._queue.popleft()))
                size += len(parts[-1])
            self._unanswered += 1
            channel = (self._prefix + topic).encode()
            message = self._origin + self._seal.sealed(channel, b"%b[%b]" % (kind, b",".join(parts)))
            commands.append(pack(("PUBLISH", channel, message)))
        if commands:
            self._outbound.send(b"".join(commands))

    def _answered(self, reply: Any) -> None:
        self._unanswered -= 1
        if isinstance(reply, hiredis.ReplyError):
            self.dropped += 1
            log.warning("Redis refused a hint or signal: %s", reply)
        if self._queue and self._unanswered <= UNANSWERED_MAX // 2:
            self._flush()

    # Inbound

    def _received(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            log.warning("Redis refused a subscription: %s", reply)
            return
        kind, channel, data = reply
        if kind == b"message":
            if not data.startswith(self._origin):
                self._take(channel, data)
            elif channel == self._canary:
                self._canary_returned()
        elif kind == b"subscribe":
            self._unconfirmed -= 1
            if self._unconfirmed == 0:
                self._tell_soon()

    def _take(self, channel: bytes, data: bytes) -> None:
        content = self._seal.opened(channel, data[_ORIGIN_BYTES:])
        if content is None:
            self._observer.happened("hint_refused", "forged")
            return
        try:
            decode = self._decode_signals if content.startswith(_SIGNALS) else self._decode_entries
            items: Sequence[Entry | Signal] = decode(content[1:])
        except msgspec.MsgspecError:  # a message of another version may be unreadable
            self._observer.happened("hint_refused", "unreadable")
            return
        for item in items:
            self._deliver(item)

    def _deliver(self, item: Entry | Signal) -> None:
        if _addressed(item)[0] in self._followed:
            for take, _ in self._listeners:
                try:
                    take(item)
                except Exception:
                    log.exception("a hint or signal could not be taken")

    def _canary_returned(self) -> None:
        self._canary_seen = asyncio.get_running_loop().time()
        self._proved_at = time.monotonic()
        self.connected = True
        if self._complained:
            self.reconnects += 1
            self._complained = False
            log.info("hints and signals reach other processes through Redis again")

    def _subscribe_soon(self, topic: str) -> None:
        if self._inbound is not None:
            if not self._changed:
                asyncio.get_running_loop().call_soon(self._subscribe)
            self._changed.add(topic)

    def _subscribe(self) -> None:
        """Subscribe to topics that are newly followed, and unsubscribe from those that are not followed any more."""
        if self._inbound is None:
            return
        wanted = [topic for topic in self._changed if topic in self._followed and topic not in self._subscribed]
        unwanted = [topic for topic in self._changed if topic not in self._followed and topic in self._subscribed]
        self._changed.clear()
        self._subscribed.update(wanted)
        self._subscribed.difference_update(unwanted)
        self._unconfirmed += len(wanted)
        for command, topics in (("SUBSCRIBE", wanted), ("UNSUBSCRIBE", unwanted)):
            for i in range(0, len(topics), SUBSCRIBE_AT_ONCE):
                channels = [self._prefix + topic for topic in topics[i : i + SUBSCRIBE_AT_ONCE]]
                self._inbound.send(pack((command, *channels)))

    def _tell_soon(self) -> None:
        if self._telling is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._told_at + RECONNECTED_EVERY_SECONDS - loop.time())
            self._telling = loop.call_later(wait, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._told_at = asyncio.get_running_loop().time()
        for _, reconnected in self._listeners:
            try:
                reconnected()
            except Exception:
                log.exception("readers could not be told that hints may have been lost")


def _addressed(item: Entry | Signal) -> tuple[str, bytes]:
    """The topic of an item, and the kind of its message."""
    return (item.stream, _ENTRIES) if isinstance(item, Entry) else (item.channel, _SIGNALS)
