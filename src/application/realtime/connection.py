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
from application.realtime.wire import BadFrame, Wire, WireFormat

INBOX_MAX = 32
COMMAND_SECONDS = 10.0

log = logging.getLogger(__name__)


class Connection:
    """Between a wire and a conversation. Its messages are done one after the other; while 32 wait, no more are read.

    It counts, for its account and for the process, until its wire is gone.
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
        """`known` is called once, when it is known whose it is or never will be; `ended` when its wire is gone."""
        self.id = secrets.token_hex(8)
        self.wire = wire
        self.conversation = conversation
        self.ended = ended
        self.is_closed = False
        self.dropped = 0
        self._known = known
        self._is_gone = False
        self._shared = shared
        self._commands = commands
        self.origin = correlation.get()
        self._opened_at = time.monotonic()
        self._received = 0
        self._inbox: deque[bytes] = deque()
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
        """A frame has come, of whatever kind; whether it may say something. Each is told, before what it says."""
        if self.is_closed:
            return False
        pace = self.conversation.heard(size, asyncio.get_running_loop().time())
        if pace is Pace.FLOOD:
            self.close(CloseCode.FLOOD, "flood")
        return pace is Pace.FINE

    def misread(self, bad: BadFrame) -> None:
        """A message has come that is no frame, as the wire has seen by itself."""
        self.do(self.conversation.misread(bad))

    def too_fast(self, message: bytes) -> None:
        """A message has come whose last frame may say nothing."""
        if not self.is_closed:
            self.do(self.conversation.too_fast(self.format.id_in(message)))

    def received(self, message: bytes) -> None:
        """A message has come."""
        if self.is_closed:
            return
        self._shared.observer.received(len(message))
        self._received += 1
        self._inbox.append(message)
        if self._worker is None:
            self._work_off()
        elif len(self._inbox) >= INBOX_MAX:
            self.wire.listen(False)

    def congested(self) -> None:
        """The peer takes less than it is sent: from here on it reads the journal at its own pace."""
        if self._congested_at is None:
            self._congested_at = asyncio.get_running_loop().time()
            self.subscriptions.fall_behind()

    def relieved(self) -> None:
        """The peer has taken most of it."""
        self._congested_at = None
        self.pass_on_held()
        if self._relieved is not None:
            self._relieved.set()
        self.subscriptions.relieved()

    def broken(self, code: int) -> None:
        """What the peer sent cannot be read on, for which the wire has given it this code."""
        self._over(str(code), is_leaving=False)

    def left(self) -> None:
        """The peer has said goodbye."""
        # A peer that was sent away says goodbye to this server only, perhaps before the next one has taken it in.
        self._over("by_peer", is_leaving=not self._is_sent_away)

    def lost(self) -> None:
        """The wire is gone, whether or not anything was said before."""
        self._over("lost", is_leaving=False)
        if not self._is_gone:
            self._is_gone = True
            self.leave_doorstep()
            if (account := self.conversation.account) is not None:
                self._shared.lobby.dismiss(account, self.id)
            self.ended(self)

    def _over(self, outcome: str, *, is_leaving: bool) -> None:
        """Follow nothing any more; who `is_leaving` is not expected back."""
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
            # It began with that request, in whosever course it ends.
            request_id=self.origin.request_id,
            trace_id=self.origin.traceparent[3:35],
            **({} if account is None else {"user.id": str(account)}),
        )
        # What changes something goes on without its caller: nobody would know how a commit ended that is broken off.
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

    def pass_on(self, channel: str, key: str | None, data: bytes) -> None:
        if self._congested_at is None and self._shared.hub.lease.is_held:
            if self._held is not None:
                self.pass_on_held()
            self.wire.write(data)
            self._shared.observer.sent("signal", 1, len(data))
        elif key is None:
            self.dropped += 1
            self._shared.observer.happened("dropped", "ephemeral")
        else:
            if self._held is None:
                self._held = {}
            elif (channel, key) in self._held:
                self._shared.observer.happened("dropped", "superseded")
            self._held[channel, key] = data

    def pass_on_held(self) -> None:
        """Send what was held back of keyed channels, if the peer keeps up and the lease is held."""
        if self._held is not None and self._congested_at is None and self._shared.hub.lease.is_held:
            held, self._held = self._held, None
            data = b"".join(held.values())
            self.wire.write(data)
            self._shared.observer.sent("signal", len(held), len(data))

    @property
    def is_known(self) -> bool:
        """Whether the peer has said who it is."""
        return self.conversation.principal is not None

    # From the clock

    def congested_for(self, now: float) -> float:
        """Seconds since the peer could keep up."""
        return 0.0 if self._congested_at is None else now - self._congested_at

    def stalled_for(self, now: float) -> float:
        """Seconds since the peer was last seen to have taken anything; to be asked while it has not taken all."""
        taken = self.wire.taken()
        if taken != self._taken:
            self._taken, self._taken_at = taken, now
        return now - self._taken_at

    def do(self, effects: Effects) -> None:
        """Do what needs no waiting."""
        for effect in effects:
            self._do(effect)

    def enter(self, opening: Opening) -> None:
        """Connect whoever was offered with the upgrade, as if the peer had asked for it with id 0."""
        connect = Connect(id=0, **msgspec.structs.asdict(opening))
        self._begin(self.conversation.connect(connect, asyncio.get_running_loop().time()))

    def send_away(self, retry_ms: int) -> None:
        """Ask the peer to connect to another server after so many milliseconds."""
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
        """Do what is in the inbox, up to what has to be waited for."""
        while self._inbox and self._worker is None and not self.is_closed:
            try:
                frame = self.format.read(self._inbox.popleft())
            except BadFrame as bad:
                self.do(self.conversation.misread(bad))
            else:
                self._begin(self.conversation.receive(frame))

    def _begin(self, effects: Effects) -> None:
        """Do what needs no waiting; the rest goes on in a task."""
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
        if not self.conversation.is_open:  # nor could it ever be: there is one `connect`
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
