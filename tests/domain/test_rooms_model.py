"""Whatever people and time do to a room, in whatever order, it keeps its promises."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.errors import DomainError
from domain.ids import AccountId, MessageId, ParticipantId, QueueItemId, RoomId
from domain.rooms import (
    Control,
    HostLeave,
    Message,
    PlaybackStatus,
    Policies,
    Queue,
    QueueItem,
    QueueMode,
    Report,
    Room,
    RoomRole,
    Wait,
)
from tests.domain.room_news import Mutes, check_the_refusal, check_the_timeline

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PEOPLE = [AccountId(UUID(int=n)) for n in range(1, 14)]
HOST = PEOPLE[0]
RUNNING = {PlaybackStatus.LOADING, PlaybackStatus.WAITING, PlaybackStatus.PLAYING}

people = st.sampled_from(PEOPLE)
# Mostly somebody who is in, by their order there: 0 is the host or the longest present.
insiders = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, None])
instants_ms = st.integers(0, 90_000)
leads_ms = st.integers(300, 1_500)
policies = st.builds(Policies, st.sampled_from(Control), st.sampled_from(Wait), st.sampled_from(HostLeave))


class Rooms(RuleBasedStateMachine):
    """Does to one room and its queue what people and time could do."""

    @initialize(wait=policies, most=st.integers(2, 10), crowd=st.integers(0, 9), items=st.integers(0, 3))
    def open(self, wait: Policies, most: int, crowd: int, items: int) -> None:
        self.now = NOW
        self.ids = (UUID(int=n) for n in count(1_000))
        self.room = Room.open(
            RoomId(UUID(int=99)),
            ParticipantId(next(self.ids)),
            "Film night",
            "0123ABCD",
            HOST,
            "Ada",
            NOW,
            max_participants=most,
            allow_guests=True,
            policies=wait,
        )
        self.queue = Queue(self.room.id, None)
        self.mutes = Mutes()
        for who in PEOPLE[1:][: min(crowd, most - 1)]:
            self.room.join(ParticipantId(next(self.ids)), who, "Somebody", NOW)
        self.room.attend(PEOPLE, NOW)
        for _ in range(items):
            self.adds(0, 60_000)
        if items:
            self.room.next(self.queue, HOST, NOW, 500)
        self.news = [*self.room.take_news(), *self.queue.take_news()]

    # ----------------------------------------------------------------------------------------------------------- time

    @rule(ms=st.integers(0, 20_000) | st.integers(0, 3_600_000) | st.sampled_from([2_000, 8_000, 10_000, 86_400_000]))
    def time_passes(self, ms: int) -> None:
        before = self.room.due_at
        self.now += timedelta(milliseconds=ms)
        with self.watched():
            self.room.elapse(self.now)
        if before is not None and before > self.now:
            assert not self.news
        assert self.room.due_at is None or self.room.due_at > self.now
        version = self.room.version
        self.room.elapse(self.now)
        assert self.room.version == version

    @precondition(lambda self: self.room.due_at is not None)
    @rule()
    def what_is_due_next_happens(self) -> None:
        assert self.room.due_at is not None
        self.now = max(self.now, self.room.due_at)
        with self.watched():
            self.room.elapse(self.now)
        assert self.news

    # --------------------------------------------------------------------------------------------------------- people

    @rule(who=people, guest=st.booleans())
    def joins(self, who: AccountId, guest: bool) -> None:
        before = self.room.playback
        guest = guest and who not in self.room.banned  # the account of a guest is a new one
        with self.watched():
            self.room.join(ParticipantId(next(self.ids)), who, "Somebody", self.now, guest)
        assert self.room.playback == before  # nobody who comes stops anything

    @rule(who=people)
    def leaves(self, who: AccountId) -> None:
        with self.watched(), self.counted():
            self.room.leave(who, who, self.now)

    @rule(present=st.sets(people))
    def is_attended(self, present: set[AccountId]) -> None:
        with self.watched(), self.counted():
            self.room.attend(present, self.now)

    @rule(by=people, who=people, ban=st.booleans())
    def removes(self, by: AccountId, who: AccountId, ban: bool) -> None:
        with self.watched(), self.counted():
            self.room.remove(self.id_of(who), by, self.now, "NEWC0DE0" if ban else None)

    @rule(who=people, role=st.sampled_from(RoomRole), muted=st.booleans())
    def changes_a_participant(self, who: AccountId, role: RoomRole, muted: bool) -> None:
        with self.watched():
            self.room.change_participant(self.id_of(who), self.host, self.now, role, muted)

    @rule(place=insiders, comes_back=st.booleans())
    def is_muted_and_goes(self, place: int | None, comes_back: bool) -> None:
        who = self.who(place)
        with self.watched():
            self.room.change_participant(self.id_of(who), self.host, self.now, muted=True)
        self.leaves(who)
        if comes_back:
            self.joins(who, guest=False)

    @rule(who=people)
    def transfers(self, who: AccountId) -> None:
        with self.watched():
            self.room.transfer(self.id_of(who), self.host, self.now)

    @rule(wanted=policies, most=st.integers(1, 11))
    def changes_settings(self, wanted: Policies, most: int) -> None:
        with self.watched():
            self.room.change(self.host, self.now, max_participants=most, policies=wanted)

    @rule()
    def extends(self) -> None:
        with self.watched():
            self.room.extend(self.host, self.now)
        assert self.room.expires_at <= NOW + timedelta(days=7)

    @precondition(lambda self: self.now > NOW + timedelta(hours=20))
    @rule()
    def closes(self) -> None:
        with self.watched():
            self.room.close(self.host, self.now)

    # ------------------------------------------------------------------------------------------------------- playback

    @rule(by=insiders, lead=leads_ms, where=st.none() | instants_ms, old=st.booleans())
    def plays(self, by: int | None, lead: int, where: int | None, old: bool) -> None:
        with self.commanded(old):
            self.room.play(self.who(by), self.now, lead, self.epoch(old), where)

    @rule(by=insiders, old=st.booleans())
    def pauses(self, by: int | None, old: bool) -> None:
        before = self.room.playback
        with self.commanded(old) as done:
            self.room.pause(self.who(by), self.now, self.epoch(old))
        if done and before.status is PlaybackStatus.PLAYING:
            assert self.room.playback.position_ms(self.now) == before.position_ms(self.now)

    @rule(by=insiders, lead=leads_ms, where=st.integers(-1, 90_000), old=st.booleans())
    def seeks(self, by: int | None, lead: int, where: int, old: bool) -> None:
        with self.commanded(old) as done:
            self.room.seek(self.who(by), self.now, lead, where, self.epoch(old))
        if done:
            assert self.room.playback.position_ms(self.now) == self.room.playback.within(where)

    @rule(by=insiders, rate=st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.333, 2.0, 3.0]), old=st.booleans())
    def changes_the_rate(self, by: int | None, rate: float, old: bool) -> None:
        before = self.room.playback.position_ms(self.now)
        with self.commanded(old):
            self.room.set_rate(self.who(by), self.now, rate, self.epoch(old))
        assert self.room.playback.position_ms(self.now) == before

    @rule(by=insiders, lead=leads_ms, pick=st.integers(0, 3), old=st.booleans())
    def loads(self, by: int | None, lead: int, pick: int, old: bool) -> None:
        if self.queue.items:
            item = self.queue.items[pick % len(self.queue.items)]
            with self.commanded(old):
                self.room.load(self.queue, item.id, self.who(by), self.now, lead, self.epoch(old))

    @rule(by=insiders, lead=leads_ms, old=st.booleans())
    def goes_on(self, by: int | None, lead: int, old: bool) -> None:
        with self.commanded(old):
            self.room.next(self.queue, self.who(by), self.now, lead, self.epoch(old))

    @rule(by=insiders, lead=leads_ms)
    def ten_go_on_from_the_same_item(self, by: int | None, lead: int) -> None:
        playing, waiting = self.room.playback.item_id, len(self.queue.items)
        with self.watched():
            for _ in range(10):
                self.room.next(self.queue, self.who(by), self.now, lead, item_id=playing)
        if playing is not None and self.queue.mode is not QueueMode.LOOP:
            assert waiting - len(self.queue.items) <= 1

    @rule(lead=leads_ms)
    def advances_twice(self, lead: int) -> None:
        epoch = self.room.playback.epoch
        with self.watched():
            self.room.advance(self.queue, epoch, self.now, lead)
        version = self.room.version, self.queue.version
        if self.room.playback.epoch != epoch:
            self.room.advance(self.queue, epoch, self.now, lead)
            assert (self.room.version, self.queue.version) == version

    @rule(by=insiders, lead=leads_ms)
    def skips(self, by: int | None, lead: int) -> None:
        with self.watched():
            self.room.skip(self.queue, self.who(by), self.now, lead)

    @rule(by=insiders, gone=insiders, is_lost=st.booleans())
    def skips_and_somebody_else_goes(self, by: int | None, gone: int | None, is_lost: bool) -> None:
        self.skips(by, 500)
        who = self.who(gone)
        if is_lost:
            self.is_attended({*self.room.here} - {who})
        else:
            self.leaves(who)

    @rule(lead=leads_ms, told=st.sampled_from([{"ready": True}, {"ended": True}]))
    def all_report_the_same(self, lead: int, told: Any) -> None:
        """If everybody is ready, nobody waits any more."""
        waited = self.room.playback.status in {PlaybackStatus.LOADING, PlaybackStatus.WAITING}
        self.reports(-1, lead, 0, told, None, False)
        awaited = [each for each in self.room.participants.values() if each.is_here]
        if waited and awaited and "ready" in told:
            assert self.room.playback.status is PlaybackStatus.PLAYING
            assert self.room.playback.anchor_at == self.now + timedelta(milliseconds=lead)

    @rule(
        by=st.sampled_from([0, 1, 2, None, -1, -1]),
        lead=leads_ms,
        away_ms=st.sampled_from([0, 0, 500, 501]),
        told=st.sampled_from([{"ready": True}, {"ready": True}, {"buffering": True}, {"ended": True}, {}]),
        duration_ms=st.none() | st.sampled_from([10_000, 60_000]),
        old=st.sampled_from([False, False, False, True]),
    )
    def reports(self, by: int | None, lead: int, away_ms: int, told: Any, duration_ms: int | None, old: bool) -> None:
        now = self.room.playback
        report = Report(now.epoch - old, now.item_id, now.anchor_position_ms + away_ms, duration_ms=duration_ms, **told)
        everybody = [each.account_id for each in self.room.participants.values()]
        with self.watched():
            for who in everybody if by == -1 else [self.who(by)]:
                self.room.report(who, report, self.now, lead)
        if old:
            assert not self.news

    # ---------------------------------------------------------------------------------------------------------- queue

    @rule(by=insiders, duration_ms=st.none() | st.sampled_from([5_000, 60_000]))
    def adds(self, by: int | None, duration_ms: int | None) -> None:
        with self.watched():
            item = QueueItem.of(
                QueueItemId(next(self.ids)), "https://films.example/1", "", duration_ms, self.who(by), self.now
            )
            self.queue.add(self.room.seat(self.who(by)), [item], self.now)

    @rule(by=insiders, mode=st.sampled_from(QueueMode), pick=st.integers(0, 3), position=st.integers(-1, 4))
    def arranges(self, by: int | None, mode: QueueMode, pick: int, position: int) -> None:
        with self.watched():
            seat = self.room.seat(self.who(by))
            self.queue.set_mode(seat, mode, self.now)
            if self.queue.items:
                item = self.queue.items[pick % len(self.queue.items)]
                self.queue.move(seat, item.id, position, self.now)
                self.queue.vote(seat, item.id, self.now, wanted=pick != 1)

    @rule(by=insiders, duration_ms=st.sampled_from([1_000, 90_000]))
    def states_the_duration(self, by: int | None, duration_ms: int) -> None:
        with self.watched():
            if self.queue.current is not None:
                item = self.queue.edit(
                    self.room.seat(self.who(by)), self.queue.current.id, self.now, duration_ms=duration_ms
                )
                self.room.state_duration(item, self.who(by), self.now)

    @rule(by=insiders)
    def says(self, by: int | None) -> None:
        with self.watched():
            position_ms = self.room.playback.position_ms(self.now)
            id, seat = MessageId(next(self.ids)), self.room.seat(self.who(by))
            said = Message.say(id, self.room.id, None, seat, "Hello", self.room.playback.item_id, position_ms, self.now)
            assert not seat.muted
            assert said.take_news()[0].data["position_ms"] == position_ms

    # ----------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def there_is_one_host_while_anybody_is_in(self) -> None:
        hosts = [each for each in self.room.participants.values() if each.role is RoomRole.HOST]
        assert len(hosts) == bool(self.room.participants)
        if hosts and hosts[0].is_guest:
            assert all(each.is_guest for each in self.room.participants.values())

    @invariant()
    def nobody_is_in_twice_and_nobody_too_many(self) -> None:
        accounts = [each.account_id for each in self.room.participants.values()]
        assert len(set(accounts)) == len(accounts) <= self.room.max_participants <= 10
        assert not set(accounts) & set(self.room.banned)

    @invariant()
    def who_is_muted_stays_so_and_is_so_again(self) -> None:
        present = {each.account_id: each.muted for each in self.room.participants.values()}
        assert {account for account, is_muted in present.items() if is_muted} == self.mutes.silenced & present.keys()
        assert sorted(self.room.muted) == sorted(self.mutes.silenced - present.keys())

    @invariant()
    def an_empty_room_stands_still(self) -> None:
        assert self.room.participants or self.room.playback.status not in RUNNING

    @invariant()
    def what_plays_is_the_current_item_of_the_queue(self) -> None:
        current = self.queue.current
        assert self.room.playback.item_id == (current and current.id)
        assert (self.room.playback.status is PlaybackStatus.IDLE) == (current is None)

    @invariant()
    def nothing_hangs(self) -> None:
        later = replace(self.room)
        while later.due_at is not None and later.due_at <= self.now + timedelta(seconds=30):
            later.elapse(later.due_at)
        assert later.playback.status not in {PlaybackStatus.LOADING, PlaybackStatus.WAITING}
        assert (later.starts_by is not None) == (later.playback.status in {"loading", "waiting"})
        assert (later.due_at is None) == (later.closed_at is not None)

    # --------------------------------------------------------------------------------------------------- looking at it

    @property
    def host(self) -> AccountId:
        return self.room.host.account_id if self.room.host else HOST

    def who(self, place: int | None) -> AccountId:
        inside = sorted(self.room.participants.values(), key=lambda each: (each.role is not RoomRole.HOST, each.id))
        return PEOPLE[-1] if place is None or not inside else inside[place % len(inside)].account_id

    def id_of(self, account: AccountId) -> ParticipantId:
        who = self.room.participant_of(account)
        return who.id if who else ParticipantId(UUID(int=0))

    def epoch(self, old: bool) -> int:
        return self.room.playback.epoch - old

    @contextmanager
    def commanded(self, old: bool) -> Iterator[list[bool]]:
        """A command, which says to be for an epoch that is over if it is `old`, and then changes nothing."""
        done: list[bool] = []
        with self.watched(done):
            yield done
            assert not old, "a command for an epoch that is over was obeyed"
        assert not old or not done

    @contextmanager
    def watched(self, done: list[bool] | None = None) -> Iterator[None]:
        """Something that may be refused, and then changes nothing; the timeline changes by events alone."""
        room, queue = replace(self.room), replace(self.queue)
        try:
            yield
            if done is not None:
                done.append(True)
        except DomainError as refusal:
            self.room, self.queue = room, queue
            check_the_refusal(refusal, room, self.now)
        self.news = [*self.room.take_news(), *self.queue.take_news()]
        check_the_timeline(room, self.room, self.news, self.now)
        for event in self.news:
            self.mutes.hear(event)
        if not self.news:
            assert (self.room, self.queue) == (room, queue)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Somebody comes or goes. An item does not play on against half of those who are here then."""
        yield
        self.room.recount(self.queue, self.now, 500)
        here, skips = self.room.here, {*self.queue.skips}
        if self.room.playback.status is not PlaybackStatus.ENDED and self.room.closed_at is None and here:
            assert 2 * len(here & skips) < len(here)


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
