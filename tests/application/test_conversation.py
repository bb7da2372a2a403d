"""What is said on a live connection, and what follows from it, with neither a socket nor a loop."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.authentication import Authentication, CredentialRevoked
from application.lease import Lease
from application.ports.identity import AccessTokens, SessionQueries
from application.principal import Principal
from application.realtime.allowance import (
    FIRST_BYTES,
    FIRST_FRAMES,
    FRAMES_A_SECOND,
    FRAMES_AT_ONCE,
    VIOLATIONS_MAX,
    VIOLATIONS_SECONDS,
    Pace,
)
from application.realtime.conversation import (
    CONNECT_SECONDS,
    GONE_SECONDS,
    PING_SECONDS,
    RENEW_SECONDS,
    Conversation,
)
from application.realtime.effects import CarryOut, Close, Effect, Effects, Enter, Identify, Join, Leave, Say, Send
from application.realtime.frames import (
    CHANNELS_MAX,
    DATA_MAX_BYTES,
    CloseCode,
    Connect,
    Error,
    Ping,
    Refused,
    Renew,
    Reply,
    Subscribed,
    TellTime,
)
from application.realtime.wire import BadFrame
from application.scopes import ScopeMissing
from domain.errors import DomainError, Exhausted, NotFound, Unauthenticated, Unavailable
from domain.identity import AccountRole
from domain.ids import AccountId, SessionId
from entrypoints.container import in_memory
from entrypoints.websocket.wire import JSON_FRAMES
from tests.support.badges import Badges

ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
LIFETIME = timedelta(minutes=15)
TASK = f"task:{UUID(int=9)}"
TYPING, PRESENCE = f"typing:{TASK}", f"presence:{TASK}"
GRAMMAR = in_memory().channels().grammar
CONNECT_FIRST = [Close(CloseCode.PROTOCOL, "the first frame has to be connect")]


class TokenExpired(Unauthenticated):
    code = "token_expired"


class Tokens(AccessTokens, SessionQueries):
    """Tokens whose text means nothing."""

    def __init__(self) -> None:
        self.issued: dict[str, Principal] = {}

    def issue(self, principal: Principal, now: datetime) -> str:
        token = f"token {len(self.issued)}"
        self.issued[token] = principal
        return token

    def read(self, token: str, now: datetime) -> Principal:
        if token not in self.issued:
            raise Unauthenticated("There is no such token.")
        if self.issued[token].expires_at <= now:
            raise TokenExpired("It is over.")
        return self.issued[token]

    async def ended_since(self, since: datetime | None) -> tuple[Collection[SessionId], datetime]:
        return (), since or datetime.now(UTC)


class Desk:
    """Sessions of one authentication, whose clock goes together with the seconds that they are told."""

    def __init__(self) -> None:
        self.clock, self.tokens = MovableClock(), Tokens()
        self.badges = Badges(self.clock)
        self.authentication = Authentication(
            self.tokens, self.tokens, [self.badges], self.clock, MemoryObserver(), Lease()
        )
        self.now = 1_000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.clock.advance(timedelta(seconds=seconds))

    def principal(self, account: AccountId = ADA, lifetime: timedelta = LIFETIME) -> Principal:
        return Principal(account, SessionId(account), AccountRole.USER, self.clock.now() + lifetime)

    def token(self, account: AccountId = ADA, lifetime: timedelta = LIFETIME) -> str:
        return self.tokens.issue(self.principal(account, lifetime), self.clock.now())

    def conversation(self, offered: str | Principal | None = None, renew_early: float = 0.0) -> Conversation:
        return Conversation(self.authentication, self.clock, GRAMMAR, self.now, offered, renew_early=renew_early)

    def connected(
        self, lifetime: timedelta = LIFETIME, channels: Sequence[str] = (), early: float = 0.0
    ) -> Conversation:
        conversation = self.conversation(self.token(lifetime=lifetime), early)
        (enter,) = self.say(conversation, type="connect", id=0)
        assert isinstance(enter, Enter)
        conversation.entered(0, "epoch", {name: Subscribed() for name in channels})
        return conversation

    def say(self, conversation: Conversation, **frame: object) -> Effects:
        return self.hear(conversation, json.dumps(frame).encode())

    def hear(self, conversation: Conversation, text: bytes) -> Effects:
        match conversation.heard(len(text), self.now):
            case Pace.FINE:
                try:
                    return conversation.receive(JSON_FRAMES.read(text))
                except BadFrame as bad:
                    return conversation.misread(bad)
            case Pace.TOO_FAST:
                return conversation.too_fast(JSON_FRAMES.id_in(text))
            case Pace.FLOOD:
                return [Close(CloseCode.FLOOD, "flood")]

    def error(self, conversation: Conversation, **frame: object) -> tuple[int | None, str, str]:
        """The id, the code and the advice by which a frame is refused."""
        return error_of(self.say(conversation, **frame))


def error_of(effects: Effects) -> tuple[int | None, str, str]:
    (effect,) = effects
    assert isinstance(effect, Send)
    assert isinstance(effect.frame, Error)
    assert effect.frame.message
    return effect.frame.id, effect.frame.code, effect.frame.retry


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"subscribe","id":1,"channel":"me"}',
        b'{"type":"unsubscribe","id":1,"channel":"me"}',
        b'{"type":"presence","id":1,"channel":"presence:x"}',
        b'{"type":"publish","id":1,"channel":"me","data":1}',
        b'{"type":"authenticate","id":1,"token":"x"}',
        b'{"type":"call","id":1,"method":"x"}',
        b'{"type":"pong"}',
        b'{"type":"ping","time":1}',
        b'{"type":"connect"}',
        b'{"type":"connect","id":-1}',
        b"[]",
        b"",
        b"\xff",
        b"[" * 20_000,
    ],
)
def test_before_connect_nothing_else_is_heard(desk: Desk, text: bytes) -> None:
    conversation = desk.conversation(desk.token())
    assert desk.hear(conversation, text) == CONNECT_FIRST
    assert conversation.principal is None


def test_whoever_does_not_connect_in_time_is_sent_away(desk: Desk) -> None:
    conversation = desk.conversation(desk.token())
    desk.wait(CONNECT_SECONDS - 0.1)
    assert conversation.elapsed(desk.now) == []
    desk.wait(0.1)
    assert conversation.elapsed(desk.now) == [Close(CloseCode.NOT_CONNECTED_IN_TIME, "connect_first")]


@pytest.mark.parametrize("by_header", [True, False])
@pytest.mark.parametrize("reason", ["token_missing", "unauthenticated", "token_expired", "session_ended"])
def test_a_connection_without_a_good_token_is_closed_with_what_to_do_about_it(
    desk: Desk, reason: str, by_header: bool
) -> None:
    token: str | None = desk.token()
    match reason:
        case "token_missing":
            token = None
        case "unauthenticated":
            token = "nonsense"
        case "token_expired":
            desk.wait(LIFETIME.total_seconds())
        case _:
            desk.authentication.end([SessionId(ADA)])
    conversation = desk.conversation(token if by_header else None)
    frame = {"type": "connect", "id": 4} | ({} if by_header or token is None else {"token": token})
    *refusals, close = desk.say(conversation, **frame)
    code = {"token_expired": CloseCode.TOKEN_EXPIRED, "session_ended": CloseCode.REVOKED}
    assert close == Close(code.get(reason, CloseCode.TOKEN_INVALID), reason)
    if token is not None:
        assert error_of(refusals) == (4, reason, "reauthenticate")
    else:
        assert refusals == []
    assert conversation.principal is None


@pytest.mark.parametrize("by", ["frame", "header", "ticket"])
def test_whoever_has_a_good_token_enters_and_is_told_where_everything_stands(desk: Desk, by: str) -> None:
    principal, token = desk.principal(), desk.token()
    conversation = desk.conversation({"frame": None, "header": token, "ticket": principal}[by])
    opening = {"subscribe": ["me", "task:x"], "resume": {"account:x": 3}, "epoch": "e"}
    frame: dict[str, object] = {"type": "connect", "id": 7, **opening, **({"token": token} if by == "frame" else {})}
    (enter,) = desk.say(conversation, **frame)
    assert isinstance(enter, Enter)
    assert isinstance(enter.opening, Connect)
    assert (enter.id, enter.principal) == (7, principal)
    assert (enter.opening.subscribe, enter.opening.resume, enter.opening.epoch) == (*opening.values(),)
    assert not conversation.is_open
    where = Subscribed("account:x", 3, True)
    assert conversation.entered(7, "e", {"me": where, "task:x": NotFound("?")}) == [
        Send(
            Reply(
                7,
                {
                    "session": str(principal.credential_id),
                    "epoch": "e",
                    "expires_in": 900,
                    "ping_interval": PING_SECONDS,
                    "limits": {"channels": CHANNELS_MAX, "data_bytes": DATA_MAX_BYTES},
                    "channels": {"me": where, "task:x": Refused("not_found", "?", "no")},
                },
            )
        )
    ]
    assert conversation.is_open
    assert conversation.channels == {"me"}


def test_the_token_in_the_frame_counts_more_than_the_one_in_the_header(desk: Desk) -> None:
    (enter,) = desk.say(desk.conversation(desk.token(ADA)), type="connect", id=1, token=desk.token(BOB))
    assert isinstance(enter, Enter)
    assert enter.principal.account_id == BOB


def test_a_connection_connects_once(desk: Desk) -> None:
    conversation = desk.connected()
    assert desk.error(conversation, type="connect", id=2, token=desk.token(BOB)) == (2, "already_connected", "no")
    assert conversation.principal == desk.principal(ADA)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        (b'{"type":"dance","id":5}', 5),
        (b'{"type":"subscribe","id":6}', 6),
        (b'{"type":"subscribe","id":7,"channel":"me","loud":true}', 7),
        (b'{"type":"subscribe","id":8,"channel":"x"}', 8),
        (b'{"type":"subscribe","id":8,"channel":"%b"}' % (b"x" * 65), 8),
        (b'{"type":"subscribe","id":9,"channel":"me","since":-1}', 9),
        (b'{"type":"call","id":10,"method":""}', 10),
        (b'{"type":"call","id":11,"method":"x","key":"a b"}', 11),
        (b'{"type":"publish","id":12,"channel":"me"}', 12),
        (b'{"type":"connect","id":13,"subscribe":[%b"me"]}' % (b'"me",' * CHANNELS_MAX), 13),
        (b'{"type":"call","id":14,"method":"task.create","params":{"title":"\\ud83c"}}', 14),
        (b'{"type":"call","id":15,"method":"task.create","params":{"title":"\\x"}}', 15),
        (b'{"type":"call","id":16,"method":"x","params":{"a":1,"a":2}}', 16),
        (b'{"id":"nine"}', None),
        (b"[" * 100_000, None),
        (b'{"type":"pong","time":"\xff"}', None),
        (b"no JSON", None),
        (b"", None),
    ],
)
def test_a_frame_that_means_nothing_is_refused_by_its_id(desk: Desk, text: bytes, id: int | None) -> None:
    conversation = desk.connected()
    assert error_of(desk.hear(conversation, text)) == (id, "bad_frame", "no")


def test_a_channel_is_followed_once_it_is_joined_and_until_it_is_left_or_lost(desk: Desk) -> None:
    conversation = desk.connected()
    (join,) = desk.say(conversation, type="subscribe", id=2, channel="task:x", since=5)
    assert join == Join(2, "task:x", 5)
    assert conversation.channels == set()
    where = Subscribed("workspace:x", 5, True)
    assert conversation.joined(Join(2, "task:x", 5), where) == [Send(Reply(2, where))]
    assert conversation.channels == {"task:x"}
    assert desk.say(conversation, type="unsubscribe", id=3, channel="task:x") == [Leave("task:x"), Send(Reply(3, {}))]
    assert conversation.channels == set()
    assert desk.say(conversation, type="unsubscribe", id=4, channel="task:x") == [Leave("task:x"), Send(Reply(4, {}))]
    conversation.joined(Join(5, "me", None), where)
    conversation.lost("me")
    assert conversation.channels == set()


def test_a_connection_follows_so_many_channels_and_may_ask_again_for_those(desk: Desk) -> None:
    conversation = desk.connected(channels=[f"task:{number}" for number in range(CHANNELS_MAX)])
    refusal = "too_many_channels", "later"
    assert desk.error(conversation, type="subscribe", id=2, channel="me") == (2, *refusal)
    assert desk.error(conversation, type="presence", id=3, channel=PRESENCE) == (3, *refusal)
    assert desk.say(conversation, type="subscribe", id=4, channel="task:7", since=1) == [Join(4, "task:7", 1)]
    desk.say(conversation, type="unsubscribe", id=5, channel="task:8")
    assert desk.say(conversation, type="subscribe", id=6, channel="me") == [Join(6, "me", None)]


def test_one_is_present_in_places_only(desk: Desk) -> None:
    conversation = desk.connected(channels=["task:x"])
    (join,) = desk.say(conversation, type="presence", id=2, channel=PRESENCE)
    assert join == Join(2, PRESENCE, None, be_present=True)
    for channel in (TASK, "me", TYPING, "presence", "presence:x", "presence:me"):
        assert desk.error(conversation, type="presence", id=3, channel=channel) == (3, "not_found", "no")


def test_words_are_said_on_followed_ephemeral_channels_only(desk: Desk) -> None:
    conversation = desk.connected(channels=[TYPING, TASK, PRESENCE, "market:ACME"])
    (say,) = desk.say(conversation, type="publish", id=2, channel=TYPING, data={"a": [1]})
    assert isinstance(say, Say)
    assert (say.id, say.channel, json.loads(bytes(say.data))) == (2, TYPING, {"a": [1]})
    for channel in (TASK, PRESENCE, "market:ACME", f"typing:task:{UUID(int=8)}", "typing:x"):
        assert desk.error(conversation, type="publish", id=3, channel=channel, data=1) == (3, "not_found", "no")


def test_a_word_is_short(desk: Desk) -> None:
    conversation = desk.connected(channels=[TYPING])
    frame = {"type": "publish", "id": 2, "channel": TYPING}
    assert isinstance(desk.say(conversation, **frame, data="x" * (DATA_MAX_BYTES - 2))[0], Say)
    assert desk.error(conversation, **frame, data="x" * (DATA_MAX_BYTES - 1)) == (2, "too_large", "no")


def test_a_command_is_handed_on_as_it_came_and_answered_as_it_went(desk: Desk) -> None:
    conversation = desk.connected()
    (effect,) = desk.say(conversation, type="call", id=2, method="task.claim", params={"id": 1}, key="k")
    assert isinstance(effect, CarryOut)
    assert (effect.call.method, json.loads(bytes(effect.call.params)), effect.call.key) == (
        "task.claim",
        {"id": 1},
        "k",
    )
    assert conversation.carried_out(2, Raw(b"1")) == [Send(Reply(2, Raw(b"1")))]
    for error, retry in (
        (NotFound(), "no"),
        (Unavailable("?"), "later"),
        (Exhausted("?", retry_after_seconds=1), "later"),
        (Unauthenticated("?"), "reauthenticate"),
    ):
        assert conversation.refused(2, error) == [Send(Error(2, error.code, error.detail, retry))]  # type: ignore[arg-type]


def test_a_new_token_prolongs_the_connection_of_its_account_only(desk: Desk) -> None:
    conversation = desk.connected()
    desk.wait(800)
    answer = desk.say(conversation, type="authenticate", id=2, token=desk.token())
    assert answer == [Send(Reply(2, {"expires_in": 900}))]
    desk.wait(800)
    desk.say(conversation, type="pong")
    assert not any(isinstance(effect, Close) for effect in conversation.elapsed(desk.now))
    assert desk.error(conversation, type="authenticate", id=3, token=desk.token(BOB)) == (3, "identity_changed", "no")
    assert desk.error(conversation, type="authenticate", id=4, token="?") == (4, "unauthenticated", "reauthenticate")
    desk.wait(100)
    assert conversation.elapsed(desk.now) == [Close(CloseCode.TOKEN_EXPIRED, "token_expired")]


@pytest.mark.parametrize("early", [0.0, 12.0])
def test_a_new_token_is_asked_for_once_before_each_expiry(desk: Desk, early: float) -> None:
    conversation = desk.connected(early=early)
    for _ in range(2):
        asked: list[tuple[float, int]] = []
        begun = desk.now
        while desk.now < begun + LIFETIME.total_seconds() - 1:
            desk.wait(1)
            desk.say(conversation, type="pong")
            asked += [
                (desk.now - begun, f.expires_in) for f in sent(conversation.elapsed(desk.now)) if isinstance(f, Renew)
            ]
        assert asked == [(LIFETIME.total_seconds() - RENEW_SECONDS - early, RENEW_SECONDS + early)]
        desk.say(conversation, type="authenticate", id=2, token=desk.token())


def test_a_silent_peer_is_pinged_and_given_up_after_a_minute(desk: Desk) -> None:
    conversation = desk.connected()
    happened: list[tuple[int, Effect]] = []
    for second in range(1, 61):
        desk.wait(1)
        happened += [(second, effect) for effect in conversation.elapsed(desk.now)]
    begun = desk.clock.now().timestamp() - 60
    assert happened == [
        (PING_SECONDS, Send(Ping(begun + PING_SECONDS))),
        (2 * PING_SECONDS, Send(Ping(begun + 2 * PING_SECONDS))),
        (GONE_SECONDS, Close(CloseCode.NO_PONG, "no_pong")),
    ]


def test_a_peer_that_pings_is_told_the_time_and_how_long_its_ping_has_waited(desk: Desk) -> None:
    conversation, now_ms = desk.connected(), round(desk.clock.now().timestamp() * 1_000)
    assert desk.say(conversation, type="ping", time=12.5) == [Send(TellTime(12.5, now_ms, now_ms))]
    waited = conversation.receive(JSON_FRAMES.read(b'{"type":"ping","time":-3,"id":7}'), waited=1.25)
    assert waited == [Send(TellTime(-3, now_ms - 1_250, now_ms, 7))]
    for nonsense in ({}, {"time": "soon"}, {"time": 1, "id": -1}, {"time": 1, "clock": 2}):
        assert desk.error(conversation, type="ping", **nonsense)[1:] == ("bad_frame", "no")


def test_pings_count_like_any_frame(desk: Desk) -> None:
    conversation = desk.connected()
    for _ in range(FRAMES_AT_ONCE):
        desk.say(conversation, type="ping", time=0)
    assert desk.error(conversation, type="ping", time=0, id=3) == (3, "rate_limited", "later")


def test_whatever_a_peer_says_is_a_sign_of_life(desk: Desk) -> None:
    conversation = desk.connected(lifetime=timedelta(days=1))
    for text in (
        b'{"type":"pong"}',
        b'{"type":"pong","time":1.5}',
        b"nonsense",
        b'{"type":"call","id":1,"method":"x"}',
    ):
        desk.wait(GONE_SECONDS - 1)
        desk.hear(conversation, text)
        desk.wait(GONE_SECONDS - 1)
        assert [type(frame) for frame in sent(conversation.elapsed(desk.now))] == [Ping]
        desk.hear(conversation, text)
    desk.wait(GONE_SECONDS)
    assert conversation.elapsed(desk.now) == [Close(CloseCode.NO_PONG, "no_pong")]


def test_the_end_of_the_session_behind_the_token_ends_the_connection(desk: Desk) -> None:
    assert desk.connected().revoked() == [Close(CloseCode.REVOKED, "session_ended")]


async def test_who_has_to_be_looked_up_enters_once_that_is_done_however_long_it_takes(desk: Desk) -> None:
    conversation = desk.conversation()
    text, id = desk.badges.issue(ADA)
    (asked,) = desk.say(conversation, type="connect", id=7, token=text, subscribe=["me"])
    assert isinstance(asked, Identify)
    assert (asked.id, asked.credential) == (7, text)
    desk.wait(2 * CONNECT_SECONDS)
    assert conversation.elapsed(desk.now) == []
    principal = await desk.authentication.identify(text)
    (enter,) = conversation.identified(asked, principal, desk.now)
    assert isinstance(enter, Enter)
    assert (enter.id, enter.principal, enter.opening.subscribe) == (7, principal, ["me"])
    assert conversation.elapsed(desk.now) == []
    (told,) = conversation.entered(7, "e", {})
    assert isinstance(told, Send)
    assert isinstance(told.frame, Reply)
    assert told.frame.data["session"] is None
    assert principal.via == id
    assert conversation.revoked() == [Close(CloseCode.REVOKED, "credential_revoked")]


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [
        (Unauthenticated("?"), CloseCode.TOKEN_INVALID, "reauthenticate"),
        (CredentialRevoked("?"), CloseCode.REVOKED, "reauthenticate"),
        (TokenExpired("?"), CloseCode.TOKEN_EXPIRED, "reauthenticate"),
        (Unavailable("?"), CloseCode.UNAVAILABLE, "later"),
    ],
)
def test_whom_nobody_knows_is_sent_away_but_may_stay_who_was_there_before(
    desk: Desk, error: DomainError, code: CloseCode, retry: str
) -> None:
    text, _ = desk.badges.issue(ADA)
    stranger, member = desk.conversation(text), desk.connected()
    (asked,) = desk.say(stranger, type="connect", id=1)
    assert isinstance(asked, Identify)
    *refusals, close = stranger.unidentified(asked, error)
    assert error_of(refusals) == (1, error.code, retry)
    assert close == Close(code, error.code)
    (asked,) = desk.say(member, type="authenticate", id=2, token=text)
    assert isinstance(asked, Identify)
    assert error_of(member.unidentified(asked, error)) == (2, error.code, retry)


def test_a_refusal_says_the_further_members_that_its_problem_has_over_http_and_nothing_if_there_are_none(
    desk: Desk,
) -> None:
    conversation = desk.connected()
    (told,) = conversation.refused(1, ScopeMissing("tasks:read"))
    (of_channels,) = conversation.entered(2, "e", {"me": ScopeMissing("tasks:read"), TASK: NotFound()})
    (bare,) = conversation.refused(3, NotFound())
    assert isinstance(told, Send)
    assert isinstance(of_channels, Send)
    assert isinstance(bare, Send)
    extra = {"required_scope": "tasks:read"}
    assert json.loads(msgspec.json.encode(told.frame))["extra"] == extra
    channels = json.loads(msgspec.json.encode(of_channels.frame))["data"]["channels"]
    assert channels["me"]["extra"] == extra
    assert "extra" not in channels[TASK]
    assert "extra" not in json.loads(msgspec.json.encode(bare.frame))


def test_a_peer_may_say_much_at_once_and_then_so_much_a_second(desk: Desk) -> None:
    conversation = desk.connected()
    desk.wait(60)

    def heard(seconds: float) -> int:
        """How many frames were heard before the first that was too many."""
        desk.wait(seconds)
        for count in range(1_000):
            if desk.say(conversation, type="pong", id=count):
                return count
        raise AssertionError

    assert heard(0) == FRAMES_AT_ONCE
    assert heard(1) == FRAMES_A_SECOND
    assert heard(0.5) == FRAMES_A_SECOND / 2
    assert heard(0) == 0
    assert heard(3_600) == FRAMES_AT_ONCE


def test_a_flood_is_refused_frame_by_frame_and_then_ends_the_connection(desk: Desk) -> None:
    conversation = desk.connected()
    desk.wait(60)
    frame = {"type": "unsubscribe", "id": 3, "channel": "me"}
    for _ in range(FRAMES_AT_ONCE):
        assert desk.say(conversation, **frame)[0] == Leave("me")
    for _ in range(VIOLATIONS_MAX):
        assert desk.error(conversation, **frame) == (3, "rate_limited", "later")
    assert desk.say(conversation, **frame) == [Close(CloseCode.FLOOD, "flood")]


def test_violations_of_more_than_a_minute_ago_are_forgiven(desk: Desk) -> None:
    conversation = desk.connected(lifetime=timedelta(days=1))
    for _ in range(3):
        desk.wait(VIOLATIONS_SECONDS + 1)
        for _ in range(FRAMES_AT_ONCE):
            assert desk.say(conversation, type="pong") == []
        for _ in range(VIOLATIONS_MAX):
            assert error_of(desk.hear(conversation, b"?")) == (None, "rate_limited", "later")


def test_before_connect_a_few_frames_may_come_however_long_it_takes(desk: Desk) -> None:
    conversation = desk.conversation()
    for _ in range(FIRST_FRAMES):
        assert conversation.heard(0, desk.now) is Pace.FINE
        desk.wait(1)
    assert conversation.heard(0, desk.now) is Pace.FLOOD


def test_before_connect_a_few_bytes_may_come_in_all(desk: Desk) -> None:
    conversation = desk.conversation()
    assert conversation.heard(FIRST_BYTES - 1, desk.now) is Pace.FINE
    assert conversation.heard(1, desk.now) is Pace.FINE
    assert conversation.heard(1, desk.now) is Pace.FLOOD


def test_the_largest_connect_fits_into_what_may_come_before_it() -> None:
    channel = "x" * 64
    resume = {f"{number:064}": 2**53 - 1 for number in range(CHANNELS_MAX)}
    largest = {"type": "connect", "id": 2**53 - 1, "token": "x" * 4_096, "epoch": channel, "resume": resume}
    largest["subscribe"] = [channel] * CHANNELS_MAX
    assert len(json.dumps(largest)) <= FIRST_BYTES


def test_any_frame_is_a_sign_of_life(desk: Desk) -> None:
    conversation = desk.connected()
    desk.wait(GONE_SECONDS - 1)
    conversation.elapsed(desk.now)
    conversation.heard(0, desk.now)
    desk.wait(GONE_SECONDS - 1)
    assert not any(isinstance(effect, Close) for effect in conversation.elapsed(desk.now))


def sent(effects: Effects) -> list[object]:
    return [effect.frame for effect in effects if isinstance(effect, Send)]


@given(
    st.lists(st.tuples(st.sampled_from(["wait", "say", "renew"]), st.integers(0, 40)), max_size=60), st.floats(0, 15)
)
def test_nothing_is_asked_for_before_it_is_due(acts: list[tuple[str, int]], early: float) -> None:
    desk = Desk()
    conversation = desk.connected(lifetime=timedelta(seconds=150), early=early)
    for act, seconds in acts:
        desk.wait(seconds)
        if act == "say":
            desk.say(conversation, type="pong")
        elif act == "renew":
            desk.say(
                conversation, type="authenticate", id=1, token=desk.token(lifetime=timedelta(seconds=100 + seconds))
            )
        is_due = desk.now >= conversation.due_at or desk.clock.now() >= conversation.due_by
        effects = conversation.elapsed(desk.now)
        assert is_due or not effects
        if any(isinstance(effect, Close) for effect in effects):
            return
        assert conversation.due_at > desk.now


def test_nobody_who_has_said_nothing_is_due_before_the_time_to_connect_is_over(desk: Desk) -> None:
    conversation = desk.conversation()
    assert (conversation.due_at, conversation.due_by) == (desk.now + CONNECT_SECONDS, datetime.max.replace(tzinfo=UTC))
