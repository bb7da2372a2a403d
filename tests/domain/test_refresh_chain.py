"""Who shares one cookie jar stays signed in, and who copied a cookie is found out, however requests and replies cross.

A jar sends what it holds and holds what the last reply brought. Requests arrive in the order in which they were sent,
and are answered in any within 30 s; replies get lost, or arrive in any order up to 10 s later.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import REPLY_MAX, SPENT_MAX, EndReason, RefreshToken, Session
from domain.ids import AccountId, SessionId

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
IDLE = timedelta(minutes=15)
ANSWER_MAX = timedelta(seconds=30)


@dataclass
class Jar:
    """The cookie that a browser keeps, and what is on its way from and to it."""

    holds: RefreshToken
    requests: list[tuple[RefreshToken, datetime]] = field(default_factory=list)
    replies: list[tuple[RefreshToken, datetime]] = field(default_factory=list)


class World:
    """A session at a server, and those who hold its cookie."""

    def __init__(self) -> None:
        self.now = NOW
        self.session = Session.begin(
            SessionId(UUID(int=2)), AccountId(UUID(int=1)), b"digest", b"key", "203.0.113.7", "a browser", NOW
        )
        self.owner = Jar(RefreshToken(0, NOW))

    def stolen(self) -> Jar:
        """A copy of the cookie that the owner has now."""
        return Jar(self.owner.holds)

    def wait(self, duration: timedelta) -> None:
        self.now += duration

    def send(self, jar: Jar) -> None:
        """A tab refreshes: its request arrives at once, and waits there for its turn."""
        self.wait(MOMENT)
        jar.requests.append((jar.holds, self.now))

    def answer(self, jar: Jar, which: int = 0) -> None:
        """The server does one of the requests that have arrived, unless its deadline is over."""
        token, arrived_at = jar.requests.pop(which)
        if not self.is_over and self.now <= arrived_at + ANSWER_MAX:
            following = self.session.refresh(token, arrived_at, self.now, "203.0.113.7")
            if following:
                jar.replies.append((following, self.now))

    def receive(self, jar: Jar, which: int = 0) -> None:
        """One of the replies arrives, unless it has been on its way for too long."""
        token, made_at = jar.replies.pop(which)
        if self.now <= made_at + REPLY_MAX:
            jar.holds = token

    def refresh(self, jar: Jar) -> None:
        """A refresh without any disturbance."""
        self.send(jar)
        self.answer(jar, -1)
        if jar.replies:
            self.receive(jar, -1)

    @property
    def is_over(self) -> bool:
        return self.session.ended_at is not None


STEPS = st.one_of(
    st.tuples(st.just("send"), st.just(0)),
    st.tuples(st.sampled_from(["answer", "receive", "lose"]), st.integers(0, 7)),
    st.tuples(st.just("wait"), st.sampled_from([1, 900, 4_000, 9_999, 10_001, 900_000, 86_400_000])),
)


def disturb(world: World, jar: Jar, steps: list[tuple[str, int]]) -> None:
    """Let tabs of a jar, the server and the network do these steps, those that are possible."""
    for step, number in steps:
        if step == "send":
            world.send(jar)
        elif step == "wait":
            world.wait(timedelta(milliseconds=number))
        elif step == "answer" and jar.requests:
            world.answer(jar, number % len(jar.requests))
        elif step == "receive" and jar.replies:
            world.receive(jar, number % len(jar.replies))
        elif step == "lose" and jar.replies:
            jar.replies.pop(number % len(jar.replies))


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=60))
def test_any_number_of_tabs_with_one_jar_stay_signed_in_whatever_is_late_or_lost(steps: list[tuple[str, int]]) -> None:
    world = World()
    disturb(world, world.owner, steps)
    while world.owner.requests:
        world.answer(world.owner)
    assert not world.is_over
    world.refresh(world.owner)
    assert not world.is_over


@settings(max_examples=400)
@given(
    st.lists(STEPS, max_size=20),
    st.lists(st.tuples(st.booleans(), STEPS), max_size=30),
    st.booleans(),
    st.lists(st.tuples(st.booleans(), STEPS), max_size=30),
)
def test_two_jars_are_found_out_once_both_have_refreshed_twice(
    before: list[tuple[str, int]],
    meanwhile: list[tuple[bool, tuple[str, int]]],
    owner_is_first: bool,
    later: list[tuple[bool, tuple[str, int]]],
) -> None:
    world = World()
    disturb(world, world.owner, before)
    world.wait(IDLE)
    world.owner.requests.clear()
    world.owner.replies.clear()
    thief = world.stolen()
    order = (world.owner, thief) if owner_is_first else (thief, world.owner)
    for round in (meanwhile, later):
        for is_thief, step in round:
            disturb(world, thief if is_thief else world.owner, [step])
        for jar in order:
            world.refresh(jar)
        assert round is meanwhile or world.is_over
        world.wait(IDLE)
    assert world.session.ended_because is EndReason.TOKEN_REUSED


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=40))
def test_whoever_uses_anything_but_the_newest_token_is_told_of_in_an_event(steps: list[tuple[str, int]]) -> None:
    world = World()
    world.session.take_news()
    expected = []
    for step in steps:
        before = world.session.rotations
        if step[0] == "answer" and world.owner.requests:
            which = step[1] % len(world.owner.requests)
            token, arrived_at = world.owner.requests[which]
            if world.now <= arrived_at + ANSWER_MAX:
                expected.append("session.refreshed" if token.number == before else "session.grace_used")
        disturb(world, world.owner, [step])
    assert [event.type for event in world.session.take_news()] == expected


def test_a_thief_cannot_live_on_by_following_the_owner_within_the_grace() -> None:
    world = World()
    thief = world.stolen()
    world.refresh(world.owner)
    world.wait(timedelta(seconds=1))
    world.refresh(thief)
    assert [event.type for event in world.session.take_news()][-1] == "session.grace_used"
    world.wait(IDLE)
    world.refresh(world.owner)
    assert not world.is_over
    world.wait(timedelta(seconds=1))
    world.refresh(thief)
    assert world.is_over
    event = world.session.take_news()[-1]
    assert (event.type, event.data) == (
        "session.ended",
        {"reason": EndReason.TOKEN_REUSED, "address": "203.0.113.7"},
    )


def test_three_tabs_of_which_one_gets_its_reply_late_stay_signed_in() -> None:
    world = World()
    jar = world.owner
    world.send(jar)
    world.send(jar)
    world.answer(jar)
    world.answer(jar)
    world.receive(jar)
    world.refresh(jar)
    world.refresh(jar)
    world.wait(REPLY_MAX - timedelta(seconds=1))
    world.receive(jar)  # the jar is back at a token of before
    world.wait(IDLE)
    world.refresh(jar)
    world.refresh(jar)
    assert not world.is_over


def test_a_request_that_waited_while_another_tab_went_on_is_answered() -> None:
    world = World()
    jar = world.owner
    world.send(jar)
    world.send(jar)
    world.answer(jar)
    world.receive(jar)
    world.refresh(jar)
    used_at = world.session.rotated_at
    world.answer(jar)
    assert not world.is_over
    assert world.session.rotated_at == used_at


@pytest.mark.parametrize("pause", [timedelta(0), timedelta(minutes=1), timedelta(days=6)])
def test_a_lost_reply_costs_nothing_however_long_the_client_was_away(pause: timedelta) -> None:
    world = World()
    world.refresh(world.owner)
    world.send(world.owner)
    world.answer(world.owner)
    world.owner.replies.clear()
    world.wait(pause)
    world.refresh(world.owner)
    world.refresh(world.owner)
    assert not world.is_over


@pytest.mark.parametrize(
    ("generations", "pause"),
    [(1, 0), (2, 0), (SPENT_MAX - 1, 0), (1, 900), (2, 900), (SPENT_MAX, 900), (5_000, 300)],
)
def test_a_token_whose_successor_was_used_is_known_for_ever(generations: int, pause: int) -> None:
    world = World()
    world.refresh(world.owner)
    copied = world.stolen()
    for _ in range(generations + 1):
        world.wait(timedelta(seconds=pause))
        world.refresh(world.owner)
    assert len(world.session.spent) == min(generations + 1, SPENT_MAX)
    world.refresh(copied)
    assert world.is_over
