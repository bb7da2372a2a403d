"""What the frames of one live connection do; it knows no socket, only how to send."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec

from application.authentication import Authentication
from application.events import Events, Feed
from application.ports.events import Entry, JournalQueries
from application.ports.system import Clock
from application.principal import Principal
from application.realtime.frames import (
    CHANNELS_MAX,
    CloseCode,
    Connect,
    Pong,
    Retry,
    Subscribe,
    Subscribed,
    Unsubscribe,
    decode_command,
    error_frame,
    event_frame,
    ping_frame,
    reply_frame,
    resync_frame,
    unsubscribed_frame,
)
from application.realtime.hub import PAGE, Hub, Reader
from domain.errors import DomainError, Exhausted, NotFound, Unauthenticated, Unavailable

PING_SECONDS = 25.0
GONE_SECONDS = 60.0
RECHECK_SECONDS = 0.5

Send = Callable[[bytes], Awaitable[None]]


class Closed(Exception):
    """The connection ends now, with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Shown:
    """A channel of the connection: its feed, and the offset behind which it begins."""

    feed: Feed
    behind: int

    def shows(self, entry: Entry) -> bool:
        return entry.offset > self.behind and self.feed.shows(entry)


@dataclass(slots=True)
class _Followed:
    """A stream that the connection follows, the channels of it that it shows, and the task that sends them.

    Everything up to the offset `sent` has been sent. Whoever sends, or adds a channel, holds `turn` meanwhile, so
    that a channel begins exactly where it has caught up.
    """

    reader: Reader
    closing: AsyncExitStack
    sent: int
    channels: dict[str, _Shown] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class LiveSession:
    """One live connection.

    `receive` takes each text frame, `watch` runs beside it; both raise Closed when the connection has to end. An
    event is sent once, however many channels show it, and in the order of its stream.
    """

    def __init__(
        self,
        authentication: Authentication,
        events: Events,
        hub: Hub,
        journal: JournalQueries,
        clock: Clock,
        send: Send,
        principal: Principal | None,
    ) -> None:
        self._authentication = authentication
        self._events = events
        self._hub = hub
        self._journal = journal
        self._clock = clock
        self._send = send
        self._offered = principal
        self._principal: Principal | None = None
        self._streams: dict[str, _Followed] = {}
        self._heard = asyncio.get_running_loop().time()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def connected(self) -> bool:
        return self._principal is not None

    async def receive(self, text: str | bytes) -> None:
        """Do what a frame asks for, and answer it."""
        self._heard = asyncio.get_running_loop().time()
        try:
            command = decode_command(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not self.connected:
                raise Closed(CloseCode.PROTOCOL, "the first frame has to be connect") from None
            await self._send(error_frame(_id_of(text), "bad_frame", str(error), "no"))
            return
        if not self.connected and not isinstance(command, Connect):
            raise Closed(CloseCode.PROTOCOL, "the first frame has to be connect")
        if isinstance(command, Pong):
            return
        if isinstance(command, Connect) and self.connected:
            await self._send(error_frame(command.id, "already_connected", "This connection is connected.", "no"))
            return
        try:
            match command:
                case Connect():
                    await self._connect(command)
                case Subscribe():
                    where = await self._subscribe(command)
                    await self._send(reply_frame(command.id, where))
                    self._start()
                case Unsubscribe():
                    await self._unsubscribe(command.channel)
                    await self._send(reply_frame(command.id, {}))
        except DomainError as error:
            await self._send(error_frame(command.id, error.code, error.detail, _retry(error)))

    async def _connect(self, command: Connect) -> None:
        principal = self._offered
        if command.token is not None:
            try:
                principal = self._authentication.authenticate(command.token)
            except Unauthenticated as error:
                await self._send(error_frame(command.id, error.code, error.detail, "reauthenticate"))
                expired = error.code == "token_expired"
                raise Closed(CloseCode.TOKEN_EXPIRED if expired else CloseCode.TOKEN_INVALID, error.code) from None
        if principal is None:
            raise Closed(CloseCode.TOKEN_INVALID, "token_missing")
        epoch = await self._journal.epoch()
        self._principal = principal
        channels: dict[str, Any] = {}
        same_lineage = command.epoch in (None, epoch)
        foreign: set[str] = set()
        for name in command.subscribe:
            try:
                feed = await self._events.feed(principal, name)
                since = command.resume.get(feed.stream)
                if since is None or same_lineage:
                    channels[name] = await self._follow(name, feed, since)
                    continue
                where = await self._follow(name, feed, None)
                channels[name] = msgspec.structs.replace(where, recovered=False)
                if feed.stream not in foreign:
                    foreign.add(feed.stream)
                    await self._send(resync_frame(feed.stream, "epoch"))
            except DomainError as error:
                channels[name] = {"code": error.code, "message": error.detail, "retry": _retry(error)}
        left = (principal.expires_at - self._clock.now()).total_seconds()
        data = {
            "session": str(principal.session_id),
            "epoch": epoch,
            "expires_in": max(0, int(left)),
            "ping_interval": PING_SECONDS,
            "limits": {"channels": CHANNELS_MAX},
            "channels": channels,
        }
        await self._send(reply_frame(command.id, data))
        self._start()

    async def _subscribe(self, command: Subscribe) -> Subscribed:
        assert self._principal
        feed = await self._events.feed(self._principal, command.channel)
        return await self._follow(command.channel, feed, command.since)

    async def _follow(self, name: str, feed: Feed, since: int | None) -> Subscribed:
        """Show one more channel, from behind `since` or from now on."""
        assert self._principal
        if sum(len(followed.channels) for followed in self._streams.values()) >= CHANNELS_MAX:
            raise TooManyChannels(f"A connection follows at most {CHANNELS_MAX} channels.", retry_after_seconds=1)
        stream = feed.stream
        followed = self._streams.get(stream) or await self._open(stream, since)
        try:
            async with followed.turn:
                # Asked again now that the stream is heard: a right that was lost before would be lost unnoticed.
                feed = await self._events.feed(self._principal, name)
                if self._streams.get(stream) is not followed:
                    raise NotFound
                recovered = since is None or await self._catch_up(followed, feed, since)
                behind = followed.sent if since is None or not recovered else since
                offset = max(behind, followed.sent)
                before = followed.channels.get(name)
                followed.channels[name] = _Shown(feed, min(behind, before.behind) if before else behind)
        finally:
            if not followed.channels and self._streams.get(stream) is followed:
                await self._leave(stream)
        if not recovered:
            await self._send(resync_frame(stream, "offset"))
        return Subscribed(stream, offset, recovered)

    async def _open(self, stream: str, since: int | None) -> _Followed:
        closing = AsyncExitStack()
        reader = await closing.enter_async_context(self._hub.reader(stream, since))
        followed = self._streams[stream] = _Followed(reader, closing, reader.position)
        return followed

    async def _catch_up(self, followed: _Followed, feed: Feed, since: int) -> bool:
        """Send what a channel missed, without what other channels of its stream showed already.

        Whether that was possible: an offset beyond the head of the stream belongs to another lineage.
        """
        if since > followed.sent:
            return since <= (await self._journal.heads([feed.stream]))[feed.stream]
        while since < followed.sent:
            entries = await self._journal.read(feed.stream, since, min(PAGE, followed.sent - since))
            if not entries:
                return False
            for entry in entries:
                if feed.shows(entry) and not any(other.shows(entry) for other in followed.channels.values()):
                    await self._send(event_frame(entry))
            since = entries[-1].offset
        return True

    async def _unsubscribe(self, name: str) -> None:
        for stream, followed in list(self._streams.items()):
            if followed.channels.pop(name, None) and not followed.channels:
                await self._leave(stream)

    async def _leave(self, stream: str) -> None:
        followed = self._streams.pop(stream)
        if followed.task is not None and followed.task is not asyncio.current_task():
            followed.task.cancel()
        await followed.closing.aclose()

    def _start(self) -> None:
        """Send the events of every stream that is followed and not yet sent."""
        for stream, followed in self._streams.items():
            if followed.task is None:
                followed.task = asyncio.create_task(self._deliver(stream, followed))
                followed.task.add_done_callback(self._delivery_ended)

    def _delivery_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    async def _deliver(self, stream: str, followed: _Followed) -> None:
        assert self._principal
        while followed.channels:
            try:
                entries = await followed.reader.read()
            except Unavailable:
                await asyncio.sleep(RECHECK_SECONDS)
                continue
            async with followed.turn:
                for entry in entries:
                    await self._send_one(stream, followed, entry)
                    followed.sent = entry.offset

    async def _send_one(self, stream: str, followed: _Followed, entry: Entry) -> None:
        assert self._principal
        if any(shown.shows(entry) for shown in followed.channels.values()):
            await self._send(event_frame(entry))
        account = self._principal.account_id
        lost = [name for name, shown in followed.channels.items() if shown.feed.is_lost_by(account, entry)]
        for name in lost:
            try:
                # A replay passes by losses of long ago; what counts are the rights of now.
                await self._events.feed(self._principal, name)
            except DomainError as error:
                if followed.channels.pop(name, None):
                    await self._send(unsubscribed_frame(name, error.code))
        if lost and not followed.channels and self._streams.get(stream) is followed:
            await self._leave(stream)

    async def watch(self) -> None:
        """Ping, and see to it that the connection ends with its session, its token, or its peer."""
        loop = asyncio.get_running_loop()
        pinged = loop.time()
        while True:
            await asyncio.wait([self._failed], timeout=RECHECK_SECONDS)
            if self._failed.done():
                self._failed.result()
            now = loop.time()
            principal = self._principal
            if principal is not None and not self._authentication.is_live(principal):
                if self._clock.now() >= principal.expires_at:
                    raise Closed(CloseCode.TOKEN_EXPIRED, "token_expired")
                raise Closed(CloseCode.REVOKED, "session_ended")
            if now - self._heard > GONE_SECONDS:
                raise Closed(CloseCode.NO_PONG, "no_pong")
            if now - pinged >= PING_SECONDS:
                pinged = now
                await self._send(ping_frame(self._clock.now().timestamp()))

    async def close(self) -> None:
        """Follow nothing any more."""
        for stream in list(self._streams):
            await self._leave(stream)
        self._failed.cancel()


class TooManyChannels(Exhausted):
    """The connection follows as many channels as it can."""

    code = "too_many_channels"


class _Identified(msgspec.Struct):
    id: int | None = None


def _id_of(text: str | bytes) -> int | None:
    """The id of a frame that is no command, if it has one, so that its sender can tell which was refused."""
    try:
        return msgspec.json.decode(text, type=_Identified).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _retry(error: DomainError) -> Retry:
    match error:
        case Unauthenticated():
            return "reauthenticate"
        case Unavailable() | Exhausted():
            return "later"
        case _:
            return "no"
