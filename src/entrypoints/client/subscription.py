"""One channel as an iterator of frames."""

import asyncio
from typing import Any, Self

Frame = dict[str, Any]
WAITING_MAX = 10_000


class Subscription:
    """Iterates over the frames of one channel, in order.

    The types are `subscribed` (first, and after every reconnection, with the server's reply), `event`, `value`,
    `presence`, `resync`, and `unsubscribed`, which is the last. Iterating raises CommandRefused if the channel may not
    be followed, Stopped once the client has stopped, and BufferError if more than 10,000 frames wait.
    """

    def __init__(self, channel: str, type: str, since: int | None) -> None:
        self.channel = channel
        self.type = type
        self.since = since
        self.stream: str | None = None
        self.position = 0
        self.is_joined = False
        self._resource: str | None = None
        self._waiting: asyncio.Queue[Frame | Exception | None] = asyncio.Queue()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        item = await self._waiting.get()
        if isinstance(item, dict):
            return item
        self._waiting.put_nowait(item)  # a repeated call ends in the same way
        if item is None:
            raise StopAsyncIteration
        raise item

    def joined(self, where: Frame, reason: str) -> None:
        """Take the server's reply about this channel, once for each connection; `reason` is that of a resync."""
        stream, offset = where.get("stream"), where.get("offset", 0)
        if where.get("recovered") is False:
            self.put({"type": "resync", "stream": stream, "reason": reason})
            self.position = offset
        elif not self.is_joined:
            self.position = offset
        self.stream, self.is_joined, self._resource = stream, True, where.get("resource")
        self.put({"type": "subscribed", "channel": self.channel, **where})

    def resynced(self, frame: Frame) -> None:
        """Take a resync of the stream while it is followed."""
        self.position = frame["offset"]
        self.put(frame)

    def happened(self, frame: Frame) -> None:
        """Take an event of the stream; it is shown if it belongs to this channel and is new."""
        if frame["offset"] > self.position:
            self.position = frame["offset"]
            if self._resource in {None, frame["event"]["resource"]["id"]}:
                self.put(frame)

    def put(self, frame: Frame) -> None:
        if self._waiting.qsize() < WAITING_MAX:
            self._waiting.put_nowait(frame)
        elif self._waiting.qsize() == WAITING_MAX:
            self.end(BufferError(f"{WAITING_MAX} frames of {self.channel} were not taken"))

    def end(self, why: Exception | None) -> None:
        self._waiting.put_nowait(why)
