"""The protocol of one live connection as a pure state machine: it takes a frame or a time, and returns effects."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Raw, structs

from application.authentication import Authentication
from application.ports.system import Clock
from application.principal import Principal
from application.realtime.allowance import FRAMES_A_SECOND, Allowance, Pace
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
)
from application.realtime.frames import (
    CHANNELS_MAX,
    DATA_MAX_BYTES,
    AskTime,
    Authenticate,
    BePresent,
    Call,
    ClientFrame,
    CloseCode,
    Connect,
    Error,
    Opening,
    Ping,
    Publish,
    Renew,
    Reply,
    Subscribe,
    Subscribed,
    TellTime,
    Unsubscribe,
    connected_data,
)
from application.realtime.refusals import TooManyChannels, refusal, refused
from application.realtime.wire import BadFrame
from domain.channels import PRESENCE, ChannelClass, Grammar
from domain.errors import DomainError, Forbidden, NotFound, Unauthenticated
from domain.ids import AccountId

CONNECT_SECONDS = 10.0
PING_SECONDS = 25.0
GONE_SECONDS = 60.0
RENEW_SECONDS = 60.0
_NEVER = datetime.max.replace(tzinfo=UTC)


class Conversation:
    """The state of the protocol on one connection.

    Times are seconds of one monotonic clock. Commands come one at a time: the next comes after the effects of the last
    are performed. `elapsed` has to be called about once a second from the time `due_at` of the monotonic clock on, or
    from the instant `due_by` on, at which a token is due. Before both it has no effects.
    """

    __slots__ = (
        "_allowance",
        "_authentication",
        "_clock",
        "_grammar",
        "_heard",
        "_is_asked",
        "_offered",
        "_pinged",
        "_renew_early",
        "_renewed",
        "address",
        "channels",
        "due_at",
        "due_by",
        "is_open",
        "principal",
    )

    def __init__(
        self,
        authentication: Authentication,
        clock: Clock,
        grammar: Grammar,
        now: float,
        offered: str | Principal | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        renew_early: float = 0.0,
        address: str = "",
    ) -> None:
        """`offered` is the credential of the upgrade, or the principal of a ticket. `address` is that of the peer.

        The peer is asked for a new token 60 s and `renew_early` seconds before the present one expires. A different
        `renew_early` for each connection spreads the load.
        """
        self._authentication = authentication
        self._clock = clock
        self._grammar = grammar
        self._offered = offered
        self._heard = now
        self._pinged = now
        self._renew_early = renew_early
        self._renewed = False
        self._is_asked = False
        self._allowance = Allowance(now)
        self.address = address
        self.due_at = now + connect_seconds
        self.due_by = _NEVER
        self.principal: Principal | None = None
        self.is_open = False
        self.channels: set[str] = set()

    @property
    def account(self) -> AccountId | None:
        """The account of the connection, once it is authenticated."""
        return None if self.principal is None else self.principal.account_id

    def heard(self, size: int, now: float) -> Pace:
        """Count a frame of any kind with `size` bytes. Has to be called for every frame before its content is read."""
        self._heard = now
        return self._allowance.of_stranger(size) if self.principal is None else self._allowance.of_member(now)

    def too_fast(self, id: int | None) -> Effects:
        """The answer to a message that came too fast; `id` is that of its command, if it has one."""
        return [Send(Error(id, "rate_limited", f"At most {FRAMES_A_SECOND} frames a second.", "later"))]

    @property
    def heard_at(self) -> float:
        """When the last frame of the peer came."""
        return self._heard

    def receive(self, frame: ClientFrame, waited: float = 0.0) -> Effects:
        """The effects of a frame that came `waited` seconds ago."""
        if isinstance(frame, Connect):
            return self.connect(frame, self._heard)
        if self.principal is None:
            return [_CONNECT_FIRST]
        return self._tell_time(frame, waited) if isinstance(frame, AskTime) else self._command(frame)

    def misread(self, bad: BadFrame) -> Effects:
        """The answer to a message that is not a valid frame."""
        told = Send(Error(bad.id, bad.code, bad.message, "no"))
        if self.principal is not None:
            return [told]
        return [_CONNECT_FIRST] if bad.id is None else [told, _CONNECT_FIRST]

    def _command(self, command: ClientFrame) -> Effects:
        match command:
            case Subscribe(id, name, since):
                return self._join(Join(id, self._grammar.canonical(name), since))
            case BePresent(id, name):
                return self._be_present(id, name)
            case Unsubscribe(id, name):
                channel = self._grammar.canonical(name)
                self.channels.discard(channel)
                return [Leave(channel), Send(Reply(id, {}))]
            case Publish(id, name, data):
                return self._publish(id, name, data)
            case Authenticate(id, token):
                return self._identify(Identify(id, token, None), self._heard)
            case Call():
                return [CarryOut(command)]
            case _:
                return []  # a pong only shows that the peer is there

    def _tell_time(self, asked: AskTime, waited: float) -> Effects:
        sent = round(self._clock.now().timestamp() * 1_000)
        return [Send(TellTime(asked.time, sent - round(waited * 1_000), sent, asked.id))]

    def connect(self, command: Connect, now: float) -> Effects:
        """The effects of the first command, or of an upgrade that takes its place."""
        if self.principal is not None:
            return [Send(Error(command.id, "already_connected", "This connection is connected.", "no"))]
        offered = self._offered if command.token is None else command.token
        if offered is None:
            return [Close(CloseCode.TOKEN_INVALID, "token_missing")]
        opening = structs.replace(
            command,
            subscribe=[self._grammar.canonical(name) for name in command.subscribe],
            resume={stream.lower(): offset for stream, offset in command.resume.items()},
        )
        if isinstance(offered, Principal):
            return self._enter(command.id, offered, opening, now)
        return self._identify(Identify(command.id, offered, opening), now)

    def identified(self, asked: Identify, principal: Principal, now: float) -> Effects:
        """The credential is valid and stands for this principal."""
        if asked.opening is None:
            return self._renew(asked.id, principal)
        return self._enter(asked.id, principal, asked.opening, now)

    def unidentified(self, asked: Identify, error: DomainError) -> Effects:
        """The credential is not valid, or cannot be checked now."""
        told = Send(refusal(asked.id, error))
        if asked.opening is None:
            return [told]
        otherwise = CloseCode.TOKEN_INVALID if isinstance(error, Unauthenticated) else CloseCode.UNAVAILABLE
        return [told, Close(_CLOSINGS.get(error.code, otherwise), error.code)]

    def _identify(self, asked: Identify, now: float) -> Effects:
        try:
            principal = self._authentication.known(asked.credential, self.address)
        except Unauthenticated as error:
            return self.unidentified(asked, error)
        if principal is None:
            self._is_asked = True
            return [asked]
        return self.identified(asked, principal, now)

    def _enter(self, id: int, principal: Principal, opening: Opening, now: float) -> Effects:
        self.principal = principal
        self._offered = None
        self._pinged = now
        self._set_due()
        return [Enter(id, principal, opening)]

    def elapsed(self, now: float) -> Effects:
        """The effects that are due at this time."""
        if self.principal is None:
            if now >= self.due_at and not self._is_asked:
                return [Close(CloseCode.NOT_CONNECTED_IN_TIME, "connect_first")]
            return []
        left = self._seconds_left()
        if left <= 0:
            return [Close(CloseCode.TOKEN_EXPIRED, "token_expired")]
        if now - self._heard >= GONE_SECONDS:
            return [Close(CloseCode.NO_PONG, "no_pong")]
        effects: list[Effect] = []
        if not self._renewed and left <= RENEW_SECONDS + self._renew_early:
            self._renewed = True
            effects.append(Send(Renew(int(left))))
        if now - self._pinged >= PING_SECONDS:
            self._pinged = now
            effects.append(Send(Ping(self._clock.now().timestamp())))
        self._set_due()
        return effects

    def revoked(self) -> Effects:
        """The session or other credential of the connection has ended."""
        assert self.principal
        return [Close(CloseCode.REVOKED, "session_ended" if self.principal.is_session else "credential_revoked")]

    def entered(self, id: int, epoch: str, followed: Mapping[str, Subscribed | DomainError]) -> Effects:
        """The connection is admitted, and each of its first channels is followed or refused."""
        assert self.principal
        self.is_open = True
        self.channels.update(name for name, where in followed.items() if isinstance(where, Subscribed))
        channels = {n: refused(where) if isinstance(where, DomainError) else where for n, where in followed.items()}
        left = max(0, int(self._seconds_left()))
        conversation = str(self.principal.credential_id) if self.principal.is_session else None
        return [Send(Reply(id, connected_data(conversation, epoch, left, PING_SECONDS, channels)))]

    def joined(self, join: Join, where: Subscribed) -> Effects:
        self.channels.add(join.channel)
        return [Send(Reply(join.id, where))]

    def carried_out(self, id: int, result: object) -> Effects:
        return [Send(Reply(id, result))]

    def refused(self, id: int, error: DomainError) -> Effects:
        return [Send(refusal(id, error))]

    def lost(self, channel: str) -> None:
        """The account has lost the right to follow a channel."""
        self.channels.discard(channel)

    def _join(self, join: Join) -> Effects:
        if len(self.channels) >= CHANNELS_MAX and join.channel not in self.channels:
            return [Send(refusal(join.id, TooManyChannels()))]
        return [join]

    def _be_present(self, id: int, name: str) -> Effects:
        try:
            channel = self._grammar.parse(name)
        except NotFound as error:
            return [Send(refusal(id, error))]
        if channel.kind is not PRESENCE:
            return [Send(refusal(id, NotFound()))]
        return self._join(Join(id, str(channel), None, be_present=True))

    def _publish(self, id: int, name: str, data: Raw) -> Effects:
        try:
            parsed = self._grammar.parse(name)
        except NotFound as error:
            return [Send(refusal(id, error))]
        channel = str(parsed)
        if channel not in self.channels or parsed.promises is not ChannelClass.EPHEMERAL:
            return [Send(refusal(id, NotFound()))]
        if len(bytes(data)) > DATA_MAX_BYTES:
            message = f"At most {DATA_MAX_BYTES} bytes of JSON fit here."
            return [Send(Error(id, "too_large", message, "no"))]
        return [Say(id, channel, data)]

    def _renew(self, id: int, principal: Principal) -> Effects:
        assert self.principal
        if principal.account_id != self.principal.account_id:
            message = "This connection belongs to another account."
            return [Send(Error(id, "identity_changed", message, "no"))]
        try:  # otherwise the connection could keep channels that the new credential may not follow
            principal.require_rights_of(self.principal)
        except Forbidden as error:
            return [Send(refusal(id, error))]
        # Otherwise a token that expires no later than the last one would be asked for again at once.
        self._renewed = self._renewed and principal.expires_at <= self.principal.expires_at
        self.principal = principal
        self._set_due()
        return [Send(Reply(id, {"expires_in": max(0, int(self._seconds_left()))}))]

    def _set_due(self) -> None:
        """Set when `elapsed` has something to do next. It may find that a frame of the peer has put that off."""
        assert self.principal
        self.due_at = min(self._pinged + PING_SECONDS, self._heard + GONE_SECONDS)
        early = 0.0 if self._renewed else RENEW_SECONDS + self._renew_early
        self.due_by = self.principal.expires_at - timedelta(seconds=early)

    def _seconds_left(self) -> float:
        assert self.principal
        return (self.principal.expires_at - self._clock.now()).total_seconds()


_CONNECT_FIRST = Close(CloseCode.PROTOCOL, "the first frame has to be connect")


_CLOSINGS = {
    "token_expired": CloseCode.TOKEN_EXPIRED,
    "session_ended": CloseCode.REVOKED,
    "credential_revoked": CloseCode.REVOKED,
}
