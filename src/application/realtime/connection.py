"""One live connection: performs what its conversation asks for, and keeps what it follows."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable

import msgspec

from application.principal import correlation
from application.realtime.allowance import Pace
from application.realtime.commands import Commands
from application.realtime.conversation import Conversation
from application.realtime.effects import (
    CarryOut,
    Close,
    Effect,
    Effects,
    Enter,
    Identify,
    Join,
    Leave,
    Say,
    Send,
    asked_by,
)
from application.realtime.frames import CloseCode, Connect, Error, GoingAway, Opening, ServerFrame
from application.realtime.subscriptions import Subscriptions
from application.realtime.surroundings import Surroundings
from application.realtime.topic import Batch
from application.realtime.wire import BadFrame, Wire, WireFormat

INBOX_MAX = 32
COMMAND_SECONDS = 10.0

log = logging.getLogger(__name__)


class Connection:
    """Connects a wire with a conversation.

    Messages are handled one after the other. While 32 of them wait, the wire reads no more. The connection counts, for
    its account and for the process, until its wire is gone.
    """

    __slots__ = (
        "_carries_out",
        "_commands",
        "_congested_at",
        "_held",
        "_inbox",
        "_is_gone",
        "_is_sent_away",
        "_known",
        "_opened_at",
        "_received",
        "_relieved",
        "_shared",
        "_taken",
        "_taken_at",
        "_worker",
        "conversation",
        "dropped",
        "ended",
        "id",
        "is_closed",
        "origin",
        "paid",
        "subscriptions",
        "wire",
    )

    def __init__(
        self,
        wire: Wire,
        conversation: Conversation,
        shared: Surroundings,
        commands: Commands,
        known: Callable[[], None],
        ended: Callable[["Connection"], None],
    ) -> None:
        """`known` is called once, when the peer is authenticated or gone; `ended` is called when the wire is gone."""
        self.id = secrets.token_hex(8)
        self.wire = wire
        self.conversation = conversation
        self.ended = ended
        self.is_closed = False
        self.dropped = 0
        # What is left of the requests that its account was charged for its commands.
        self.paid = 0.0
        self._known = known
        self._is_gone = False
        self._shared = shared
        self._commands = commands
        self.origin = correlation.get()
        self._opened_at = time.monotonic()
        self._received = 0
        # Messages, and when each came.
        self._inbox: deque[tuple[bytes, float]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._carries_out = False
        self.subscriptions = Subscriptions(self.id, conversation, shared, self, self.say)
        self._congested_at: float | None = None
        self._taken = -1
        self._taken_at = 0.0
        self._relieved: asyncio.Event | None = None
        self._held: dict[tuple[str, str], bytes] | None = None
        self._is_sent_away = False

    # From the wire

    def heard(self, size: int) -> bool:
        """Count a frame of any kind; returns whether its content may be read.

        The wire calls this for every frame before it delivers the content.
        """
        if self.is_closed:
            return False
        pace = self.conversation.heard(size, asyncio.get_running_loop().time())
        if pace is Pace.FLOOD:
            self.close(CloseCode.FLOOD, "flood")
        return pace is Pace.FINE

    def misread(self, bad: BadFrame) -> None:
        """Answer a message that the wire itself found to be no frame."""
        self.do(self.conversation.misread(bad))

    def too_fast(self, message: bytes) -> None:
        """Refuse a message because `heard` has refused its last frame."""
        if not self.is_closed:
            self.do(self.conversation.too_fast(self.format.id_in(message)))

    def received(self, message: bytes) -> None:
        """Take a whole message."""
        if self.is_closed:
            return
        self._shared.observer.received(len(message))
        self._received += 1
        self._inbox.append((message, self.conversation.heard_at))
        if self._worker is None:
            self._work_off()
        elif len(self._inbox) >= INBOX_MAX:
            self.wire.listen(False)

    def congested(self) -> None:
        """The peer takes less than it is sent. From here on it is served from the journal at its own pace."""
        if self._congested_at is None:
            self._congested_at = asyncio.get_running_loop().time()
            self.subscriptions.fall_behind()

    def relieved(self) -> None:
        """The peer has taken most of what waited for it."""
        self._congested_at = None
        self.pass_on_held()
        if self._relieved is not None:
            self._relieved.set()
        self.subscriptions.relieved()

    def broken(self, code: int) -> None:
        """The wire has closed with this code, because it could not read what the peer sent."""
        self._over(str(code), is_leaving=False)

    def left(self) -> None:
        """The peer has closed the connection properly."""
        # A peer that was sent away closes in order to connect to another server, perhaps after a moment.
        self._over("by_peer", is_leaving=not self._is_sent_away)

    def lost(self) -> None:
        """The wire is gone, with or without a proper close."""
        self._over("lost", is_leaving=False)
        if not self._is_gone:
            self._is_gone = True
            self.leave_doorstep()
            if (account := self.conversation.account) is not None:
                self._shared.lobby.dismiss(account, self.id)
            self.ended(self)

    def _over(self, outcome: str, *, is_leaving: bool) -> None:
        """Follow nothing any more. With `is_leaving` the peer is not expected to come back."""
        if self.is_closed:
            return
        self.is_closed = True
        account = self.conversation.account
        self._shared.observer.happened(
            "socket_closed",
            outcome,
            connection=self.id,
            seconds=round(time.monotonic() - self._opened_at, 3),
            received=self._received,
            dropped=self.dropped,
            offsets=self.subscriptions.offsets(),
            # The request that opened the connection. The current request may be a different one here.
            request_id=self.origin.request_id,
            trace_id=self.origin.traceparent[3:35],
            **({} if account is None else {"user.id": str(account)}),
        )
        # A command that changes something goes on without its caller: if its commit were interrupted, it would be
        # unknown whether it had happened.
        if self._worker is not None and not self._carries_out:
            self._worker.cancel()
        self.subscriptions.end(is_leaving=is_leaving)

    def leave_doorstep(self) -> None:
        known, self._known = self._known, _nothing
        known()

    # From the streams and topics

    @property
    def format(self) -> WireFormat:
        return self.wire.format

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

    def pass_on(self, channel: str, batch: Batch) -> bool:
        if self._congested_at is None and self._shared.hub.lease.is_held:
            if self._held is not None:
                self.pass_on_held()
            self.wire.write(batch.joined)
            return True
        for key, data in batch.frames:
            if key is None:
                self.dropped += 1
                self._shared.observer.happened("dropped", "ephemeral")
                continue
            if self._held is None:
                self._held = {}
            elif (channel, key) in self._held:
                self._shared.observer.happened("dropped", "superseded")
            self._held[channel, key] = data
        return False

    def pass_on_held(self) -> None:
        """Send the values of keyed channels that were held back, if the peer keeps up and the lease is held."""
        if self._held is not None and self._congested_at is None and self._shared.hub.lease.is_held:
            held, self._held = self._held, None
            data = b"".join(held.values())
            self.wire.write(data)
            self._shared.observer.sent("signal", len(held), len(data))

    @property
    def is_known(self) -> bool:
        """Whether the peer is authenticated."""
        return self.conversation.principal is not None

    # From the clock

    def congested_for(self, now: float) -> float:
        """For how many seconds the peer has not kept up; 0 if it keeps up."""
        return 0.0 if self._congested_at is None else now - self._congested_at

    def stalled_for(self, now: float) -> float:
        """Seconds since the peer last took any bytes. Ask only while some are waiting for it."""
        taken = self.wire.taken()
        if taken != self._taken:
            self._taken, self._taken_at = taken, now
        return now - self._taken_at

    def do(self, effects: Effects) -> None:
        """Perform effects that never wait."""
        for effect in effects:
            self._do(effect)

    def enter(self, opening: Opening) -> None:
        """Connect with the credential of the upgrade, as if the peer had sent `connect` with id 0."""
        connect = Connect(id=0, **msgspec.structs.asdict(opening))
        self._begin(self.conversation.connect(connect, asyncio.get_running_loop().time()))

    def send_away(self, retry_ms: int) -> None:
        """Ask the peer to connect to another server after `retry_ms` milliseconds."""
        self._is_sent_away = True
        self.say(GoingAway(retry_ms))

    def close(self, code: CloseCode, reason: str) -> None:
        self._do(Close(code, reason))

    @property
    def silent_seconds(self) -> float:
        return asyncio.get_running_loop().time() - self.conversation.heard_at

    def give_way(self) -> None:
        self._do(Close(CloseCode.TOO_MANY_CONNECTIONS, "too_many_connections"))

    def say(self, frame: ServerFrame) -> None:
        if data := self.format.frame(frame):
            self.wire.write(data)
            self._shared.observer.sent("answer", 1, len(data))

    # Performing

    def _work_off(self) -> None:
        """Handle the messages in the inbox, up to one whose effects have to wait."""
        now = asyncio.get_running_loop().time()
        while self._inbox and self._worker is None and not self.is_closed:
            message, came = self._inbox.popleft()
            try:
                frame = self.format.read(message)
            except BadFrame as bad:
                self.do(self.conversation.misread(bad))
            else:
                self._begin(self.conversation.receive(frame, now - came))

    def _begin(self, effects: Effects) -> None:
        """Perform effects up to the first that has to wait; a task performs that one and the rest."""
        for index, effect in enumerate(effects):
            if isinstance(effect, Identify | Enter | Join | Say | CarryOut):
                self._carries_out = isinstance(effect, CarryOut)
                self._worker = asyncio.create_task(self._wait_for(effects[index:]))
                return
            self._do(effect)

    async def _wait_for(self, effects: Effects) -> None:
        id: int | None = None
        try:
            for effect in effects:
                id = asked_by(effect)
                async with asyncio.timeout(COMMAND_SECONDS):
                    await self._commands.perform(self, effect)
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
        if not self.conversation.is_open:  # it can never open now, because a peer may send `connect` only once
            self._do(Close(CloseCode.UNAVAILABLE, error.code))

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(frame):
                self.say(frame)
            case Close(code, reason):
                if not self.is_closed:
                    self.wire.close(code, reason)
                    self._over(str(int(code)), is_leaving=code < CloseCode.SLOW_CONSUMER)
            case Leave(channel):
                self.subscriptions.leave(channel)


def _nothing() -> None:
    pass
