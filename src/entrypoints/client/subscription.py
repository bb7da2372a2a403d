"""One channel as a program hears it."""

import asyncio
from typing import Any, Self

Frame = dict[str, Any]
WAITING_MAX = 10_000


class Subscription:
    """The frames of one channel, in order; iterate over it.

    `subscribed` (at first and after every reconnection, with what the server said) and `event`, `value`, `presence`,
    `resync` and `unsubscribed`, which is the last. Iterating raises CommandRefused if the channel may not be followed,
    Stopped once the client is, and BufferError if more than 10,000 frames were not taken.
    """

    def __init__(self, channel: str, type: str, since: int | None) -> None:
        self.channel = channel
        self.type = type
        self.since = since
        self.stream: str | None = None
        self.position = 0
        self.is_joined = False
        self._resource = channel.partition(":")[2] if channel.startswith("task:") else None
        self._waiting: asyncio.Queue[Frame | Exception | None] = asyncio.Queue()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        item = await self._waiting.get()
        if isinstance(item, dict):
            return item
        self._waiting.put_nowait(item)  # whoever asks again is told again
        if item is None:
            raise StopAsyncIteration
        raise item

    def joined(self, where: Frame, reason: str) -> None:
        """What the server says of this channel, on every connection anew; `reason` is that of a resync."""
        stream, offset = where.get("stream"), where.get("offset", 0)
        if where.get("recovered") is False:
            self.put({"type": "resync", "stream": stream, "reason": reason})
            self.position = offset
        elif not self.is_joined:
            self.position = offset
        self.stream, self.is_joined = stream, True
        self.put({"type": "subscribed", "channel": self.channel, **where})

    def resynced(self, frame: Frame) -> None:
        """The stream goes on elsewhere, while it is followed."""
        self.position = frame["offset"]
        self.put(frame)

    def happened(self, frame: Frame) -> None:
        """An event of the stream; this channel shows it, or does not, or has shown it."""
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
