"""One live connection: performs what its session asks for, and keeps what it follows."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from application.events import Feed
from application.ports.events import Signal
from application.principal import Correlation, correlation
from application.realtime.frames import (
    CloseCode,
    Connect,
    Error,
    Opening,
    Refused,
    Resync,
    Subscribed,
    Unsubscribed,
    encode_frame,
    on_the_wire,
)
from application.realtime.session import (
    CarryOut,
    Close,
    Effect,
    Effects,
    Enter,
    Join,
    Leave,
    Say,
    Send,
    Session,
    refused,
)
from application.realtime.stream import Following
from application.realtime.surroundings import Surroundings, Wire
from application.realtime.topic import Topic, value_of
from domain.channels import ChannelKind
from domain.errors import DomainError, NotFound, Unavailable

INBOX_MAX = 32
REPEAT_SECONDS = 0.5
COMMAND_SECONDS = 10.0

log = logging.getLogger(__name__)


class Connection:
    """Between a wire and a session. Its frames are done one after the other; at most 32 wait."""

    __slots__ = (
        "_congested_at",
        "_followings",
        "_held",
        "_inbox",
        "_present",
        "_relieved",
        "_shared",
        "_topics",
        "_worker",
        "dropped",
        "ended",
        "id",
        "is_closed",
        "session",
        "wire",
    )

    def __init__(
        self, wire: Wire, session: Session, shared: Surroundings, ended: Callable[["Connection"], None]
    ) -> None:
        self.id = secrets.token_hex(8)
        self.wire = wire
        self.session = session
        self.ended = ended
        self.is_closed = False
        self.dropped = 0
        self._shared = shared
        self._inbox: deque[bytes] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._followings: dict[str, Following] = {}
        self._topics: dict[str, Topic] = {}
        self._present: set[str] = set()
        self._congested_at: float | None = None
        self._relieved: asyncio.Event | None = None
        self._held: dict[tuple[str, str], bytes] | None = None

    # From the wire

    def received(self, text: bytes) -> None:
        """A text frame has come."""
        if self.is_closed:
            return
        self._inbox.append(text)
        if self._worker is None:
            self._work_off()
        elif len(self._inbox) >= INBOX_MAX:
            self.wire.listen(False)

    def congested(self) -> None:
        """The peer takes less than it is sent: from here on it reads the journal at its own pace."""
        if self._congested_at is None:
            self._congested_at = asyncio.get_running_loop().time()
            for following in self._followings.values():
                following.stream.fall_behind(following)

    def relieved(self) -> None:
        """The peer has taken most of it."""
        self._congested_at = None
        if self._held:
            held, self._held = self._held, None
            self.wire.write(b"".join(held.values()))
        if self._relieved is not None:
            self._relieved.set()

    def lost(self, *, clean: bool) -> None:
        """The wire is gone; `clean` if the peer said goodbye."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._worker is not None:
            self._worker.cancel()
        for following in list(self._followings.values()):
            following.end()
            self._shared.hub.release(following.stream)
        for topic in list(self._topics.values()):
            self._forget(topic)
        self._followings.clear()
        lobby = self._shared.lobby
        for channel in self._present:
            if clean:
                _soon(lobby.leave(channel, self.id, "bye"))
            else:
                lobby.linger(channel, self.id)
        if self.session.principal is not None:
            _soon(lobby.dismiss(self.session.principal.account_id, self.id))
        self.ended(self)

    # From the streams and topics

    def write(self, data: bytes) -> None:
        self.wire.write(data)

    def fail(self) -> None:
        self._do(Close(CloseCode.UNAVAILABLE, "internal_error"))

    @property
    def keeps_up(self) -> bool:
        return self._congested_at is None

    async def caught_up(self) -> None:
        while self._congested_at is not None:
            if self._relieved is None:
                self._relieved = asyncio.Event()
            self._relieved.clear()
            await self._relieved.wait()

    def pass_on(self, channel: str, key: str | None, data: bytes) -> None:
        if self._congested_at is None:
            self.wire.write(data)
        elif key is None:
            self.dropped += 1
        else:
            if self._held is None:
                self._held = {}
            self._held[channel, key] = data

    # From the clock

    def congested_for(self, now: float) -> float:
        """Seconds since the peer could keep up."""
        return 0.0 if self._congested_at is None else now - self._congested_at

    def elapsed(self, now: float) -> None:
        self.do(self.session.elapsed(now))

    def do(self, effects: Effects) -> None:
        """Do what needs no waiting."""
        for effect in effects:
            self._do(effect)

    def enter(self, opening: Opening) -> None:
        """Connect whoever was offered with the upgrade, as if the peer had asked for it with id 0."""
        self.received(msgspec.json.encode(Connect(id=0, **msgspec.structs.asdict(opening))))

    def close(self, code: CloseCode, reason: str) -> None:
        self._do(Close(code, reason))

    # Performing

    def _work_off(self) -> None:
        """Do what is in the inbox, as far as it needs no waiting; the rest goes on in a task."""
        while self._inbox and not self.is_closed:
            effects = self.session.receive(self._inbox.popleft(), asyncio.get_running_loop().time())
            for index, effect in enumerate(effects):
                if isinstance(effect, Enter | Join | CarryOut):
                    self._worker = asyncio.create_task(self._wait_for(effects[index:]))
                    return
                self._do(effect)

    async def _wait_for(self, effects: Effects) -> None:
        id: int | None = None
        try:
            for effect in effects:
                id = _asked_by(effect)
                async with asyncio.timeout(COMMAND_SECONDS):
                    await self._perform(effect)
        except TimeoutError:
            self._gave_up(Error(id, "dependency_unavailable", "This took too long.", "later"))
        except Exception:
            log.exception("a command on a live connection failed")
            self._gave_up(Error(id, "internal_error", "Something went wrong here.", "later"))
        self._worker = None
        self._work_off()
        if not self._inbox:
            self.wire.listen(True)

    def _gave_up(self, error: Error) -> None:
        self._do(Send(error))
        if not self.session.is_open:  # nor could it ever be, as there is one `connect`
            self._do(Close(CloseCode.UNAVAILABLE, error.code))

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Enter():
                await self._enter(effect)
            case Join():
                await self._join(effect)
            case CarryOut(call):
                assert self.session.principal
                correlation.set(_cause())
                try:
                    result = await self._shared.call(self.session.principal, call.method, call.params, call.key)
                except DomainError as error:
                    self.do(self.session.refused(call.id, error))
                else:
                    self.do(self.session.carried_out(call.id, result))
            case _:
                self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                self.wire.write(on_the_wire(encode_frame(frame)))
            case Close(code, reason):
                if not self.is_closed:
                    self.wire.close(code, reason)
                    self.lost(clean=code is not CloseCode.DRAINING and code < CloseCode.SLOW_CONSUMER)
            case Leave(channel):
                self._leave(channel)
            case Say(channel, data):
                assert self.session.principal
                signal = Signal(channel, str(self.session.principal.account_id), 0, data)
                self._shared.broker.publish([signal])

    async def _enter(self, enter: Enter) -> None:
        if not await self._shared.lobby.admit(enter.principal.account_id, self.id):
            self._do(Close(CloseCode.TOO_MANY_CONNECTIONS, "too_many_connections"))
            return
        try:
            epoch = await self._shared.journal.epoch()
        except DomainError as error:
            self.do(self.session.refused(enter.id, error))
            self._do(Close(CloseCode.UNAVAILABLE, error.code))
            return
        channels: dict[str, Subscribed | Refused] = {}
        foreign: set[str] = set()
        opening = enter.opening
        for name in opening.subscribe:
            try:
                feed = await self._shared.events.feed(enter.principal, name, self._entitled())
                since = opening.resume.get(feed.stream) if feed.stream and feed.shows_any else None
                if since is not None and opening.epoch not in (None, epoch):
                    where = await self._follow(name, feed, None)
                    channels[name] = msgspec.structs.replace(where, recovered=False)
                    foreign.add(str(feed.stream))
                else:
                    channels[name] = await self._follow(name, feed, since)
            except DomainError as error:
                channels[name] = refused(error)
        for stream in foreign:
            self._do(Send(Resync(stream, "epoch")))
        self.do(self.session.entered(enter.id, epoch, channels))
        self._go_on()

    async def _join(self, join: Join) -> None:
        assert self.session.principal
        try:
            feed = await self._shared.events.feed(self.session.principal, join.channel, self._entitled())
            where = await self._follow(join.channel, feed, join.since, be_present=join.be_present)
        except DomainError as error:
            self.do(self.session.refused(join.id, error))
        else:
            self.do(self.session.joined(join, where))
        self._go_on()

    def _go_on(self) -> None:
        """Send what the channels show, now that the peer has been told of them."""
        for following in self._followings.values():
            following.go_on()

    async def _follow(self, name: str, feed: Feed, since: int | None, *, be_present: bool = False) -> Subscribed:
        """Show one more channel, from behind `since` or from now on."""
        where = Subscribed() if feed.stream is None else await self._show(name, feed, feed.stream, since)
        if feed.shows_any:
            return where
        topic = self._topics[name] = self._shared.hub.topic(feed.channel)
        topic.followers.add(self)
        if feed.channel.kind is ChannelKind.PRESENCE:
            assert self.session.principal
            try:
                if be_present:
                    self._present.add(name)
                    await self._shared.lobby.enter(topic, self.session.principal.account_id, self.id)
                await self._shared.lobby.correct(topic)
            except BaseException:
                if name not in self.session.channels and not self.is_closed:
                    self._leave(name)
                raise
            if self._topics.get(name) is not topic:  # the right to it was lost meanwhile
                await self._shared.lobby.leave(name, self.id, "bye")
                raise NotFound
            return Subscribed(present=list(topic.present()))
        for signal in topic.newest():
            self.pass_on(name, signal.key, on_the_wire(encode_frame(value_of(signal))))
        return Subscribed()

    async def _show(self, name: str, feed: Feed, stream_name: str, since: int | None) -> Subscribed:
        assert self.session.principal
        following = self._followings.get(stream_name)
        if following is None:
            stream = await self._shared.hub.stream(stream_name)
            following = Following(stream, self, self.session.principal.account_id, self._recheck)
            self._followings[stream_name] = following
        try:
            recovered = True
            if since is not None and since > following.stream.position:
                if since > await self._shared.hub.head(stream_name):
                    recovered, since = False, None
                else:
                    await following.stream.reaches(since)
            # Asked again now that the stream is heard: a right that was lost before, or while this was asked, would be
            # lost unnoticed.
            losses = -1
            while losses != following.stream.losses:
                losses = following.stream.losses
                feed = await self._shared.events.feed(self.session.principal, name, self._entitled())
            following.entitled_as_of = losses
            if self._followings.get(stream_name) is not following:
                raise NotFound
            offset = following.show(name, feed, since)
        finally:
            if not following.channels:
                self._end(stream_name)
        if not feed.shows_any:
            return Subscribed()
        if not recovered:
            self._do(Send(Resync(stream_name, "offset")))
        return Subscribed(stream_name, offset, recovered)

    def _entitled(self) -> set[str]:
        """The streams that are followed and that nobody lost since: the right to one covers every channel of it."""
        return {
            name for name, following in self._followings.items() if following.entitled_as_of == following.stream.losses
        }

    def _leave(self, name: str) -> None:
        for stream, following in list(self._followings.items()):
            if name in following.channels:
                following.hide(name)
                if not following.channels:
                    self._end(stream)
        topic = self._topics.get(name)
        if topic is not None:
            self._forget(topic)
        if name in self._present:
            self._present.discard(name)
            _soon(self._shared.lobby.leave(name, self.id, "bye"))

    def _forget(self, topic: Topic) -> None:
        self._topics.pop(topic.name, None)
        topic.followers.discard(self)
        self._shared.hub.forget(topic)

    def _end(self, stream: str) -> None:
        following = self._followings.pop(stream, None)
        if following is not None:
            following.end()
            self._shared.hub.release(following.stream)

    async def _recheck(self, following: Following) -> None:
        """Ask again for the right to every channel of a stream; a replay passes by losses of long ago."""
        assert self.session.principal
        for name in list(following.channels):
            while True:
                try:
                    await self._shared.events.feed(self.session.principal, name)
                except Unavailable:
                    await asyncio.sleep(REPEAT_SECONDS)  # nothing more is shown until this is known
                    continue
                except DomainError as error:
                    self._do(Send(Unsubscribed(name, error.code)))
                    self.session.lost(name)
                    self._leave(name)
                break


def _asked_by(effect: Effect) -> int | None:
    """The id of the command that asked for this, if somebody waits for its answer."""
    match effect:
        case Enter(id=id) | Join(id=id):
            return id
        case CarryOut(call):
            return call.id
        case _:
            return None


_background: set[asyncio.Task[None]] = set()


def _soon(work: Coroutine[Any, Any, None]) -> None:
    """Do it beside; the set keeps it from being collected before it is done."""
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)


def _cause() -> Correlation:
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return Correlation(trace, f"00-{trace}-{span}-00")
