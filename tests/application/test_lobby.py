"""Comings and goings are told once, and the newest value of each key is what remains."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import pytest
import uvloop
from msgspec import Raw, json

from adapters.memory.database import MemoryDatabase
from adapters.memory.events import MemoryBroker, MemoryJournalQueries
from adapters.memory.observer import MemoryObserver
from adapters.memory.presence import MemoryPresence
from adapters.memory.system import MovableClock
from application.lease import Lease
from application.ports.events import GONE, Signal
from application.ports.presence import Attendance, Attended, Present
from application.realtime.attendances import WAITING_MAX, Attendances
from application.realtime.hub import Hub
from application.realtime.lobby import CONNECTIONS_MAX, Lobby
from application.realtime.topic import UNSENT_MAX, Batch, Here, Topic
from domain.channels import Channel
from domain.errors import Unavailable
from domain.ids import AccountId
from entrypoints.container import in_memory
from entrypoints.websocket.wire import JSON_FRAMES
from tests.application.live_house import texts, turns

ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))
CHANNELS = in_memory().channels()
PLACE = CHANNELS.grammar.parse(f"presence:task:{UUID(int=9)}")
MARKET = CHANNELS.grammar.parse("market:ACME")
TYPING = CHANNELS.grammar.parse(f"typing:task:{UUID(int=9)}")


class Listener:
    """Notes what is passed on to it by a topic, which delivers before anybody looks."""

    format = JSON_FRAMES

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.writes = 0
        self.heard: list[tuple[str | None, dict[str, object]]] = []

    def pass_on(self, channel: str, batch: Batch) -> bool:
        self.writes += 1
        assert batch.joined == b"".join(data for _, data in batch.frames)
        self.heard += [(key, json.decode(text)) for key, data in batch.frames for text in texts(data)]
        return True

    @property
    def values(self) -> list[tuple[str | None, object]]:
        self._topic.deliver()
        return [(key, frame["data"]) for key, frame in self.heard]

    @property
    def changes(self) -> list[tuple[object, object]]:
        """Who came, and who went and why."""
        self._topic.deliver()
        assert all(frame["type"] == "presence" for _, frame in self.heard)
        return [(frame["joined"], frame["left"]) for _, frame in self.heard]


def came(account: AccountId) -> tuple[object, object]:
    return [str(account)], []


def went(account: AccountId, why: str) -> tuple[object, object]:
    return [], [{"account_id": str(account), "why": why}]


def followed(topic: Topic) -> Listener:
    listener = Listener(topic)
    topic.followers.add(listener.format, listener)
    return listener


def value(key: str, version: int) -> Signal:
    return Signal(str(MARKET), key, version, Raw(b"%d" % version))


def here(account: AccountId, version: int, is_present: bool) -> Signal:
    return Signal(str(PLACE), str(account), version, Raw(json.encode(Here(is_present, "" if is_present else "bye"))))


async def test_of_every_key_the_newest_value_is_passed_on_and_older_ones_are_dropped() -> None:
    topic = Topic(MARKET, MemoryObserver())
    listener = followed(topic)
    for key, version in (("bid", 1), ("bid", 3), ("bid", 2), ("bid", 3), ("ask", 1), ("bid", 4)):
        topic.take(value(key, version))
        topic.deliver()
    assert listener.values == [("bid", 1), ("bid", 3), ("ask", 1), ("bid", 4)]
    assert {(signal.key, signal.version) for signal in topic.newest()} == {("bid", 4), ("ask", 1)}


async def test_what_comes_in_one_turn_is_one_write_with_the_newest_value_of_each_key() -> None:
    topic, loop = Topic(MARKET, MemoryObserver()), asyncio.get_running_loop()
    listener = followed(topic)
    for key, version in (("bid", 1), ("ask", 2), ("bid", 3)):
        topic.take(value(key, version))
    assert listener.heard == []
    await turns(1)
    assert (listener.writes, [key for key, _ in listener.heard]) == (1, ["bid", "ask"])
    assert listener.values == [("bid", 3), ("ask", 2)]
    began = loop.time()
    topic.take(value("ask", 4))
    async with asyncio.timeout(10):
        while listener.writes < 2:
            await asyncio.sleep(0)
    assert listener.values[2:] == [("ask", 4)]
    topic.take(value("ask", 5))
    topic.end()
    await asyncio.sleep(2 * (loop.time() - began))
    assert listener.writes == 2


async def test_values_that_end_at_once_are_taken_one_after_the_other() -> None:
    async def scenario() -> None:
        topic = Topic(MARKET, MemoryObserver())
        for version in (1, 2):
            topic.take(Signal(str(MARKET), "bid", version, Raw(b"1"), seconds=0))
        topic.end()

    # On the loop that servers run on: what it plans for now is not what asyncio plans.
    await asyncio.to_thread(uvloop.run, scenario())


async def test_what_waits_is_delivered_at_once_when_it_becomes_much() -> None:
    topic = Topic(MARKET, MemoryObserver())
    listener = followed(topic)
    for version in range(1, UNSENT_MAX + 1):
        topic.take(value(str(version), version))
    assert (listener.writes, len(listener.heard)) == (1, UNSENT_MAX)


async def test_a_value_that_ends_is_told_to_be_gone_and_forgotten_unless_it_comes_again() -> None:
    topic = Topic(MARKET, MemoryObserver())
    listener = followed(topic)
    topic.begin([Signal(str(MARKET), "ask", 1, Raw(b"1"), 0.02)])
    topic.take(Signal(str(MARKET), "bid", 1, Raw(b"1"), 0.02))
    topic.take(Signal(str(MARKET), "sum", 1, Raw(b"1"), 0.02))
    topic.take(Signal(str(MARKET), "sum", 2, Raw(b"1"), 60))
    topic.take(value("day", 1))
    async with asyncio.timeout(10):
        while len(listener.values) < 5:
            await asyncio.sleep(0)
    assert listener.values[:3] == [("bid", 1), ("sum", 1), ("day", 1)]  # the same again is not repeated
    assert set(listener.values[3:]) == {("ask", None), ("bid", None)}
    assert {signal.key for signal in topic.newest()} == {"sum", "day"}


async def test_a_key_that_is_gone_is_told_once_and_comes_back_with_a_newer_value_only() -> None:
    topic = Topic(MARKET, MemoryObserver())
    listener = followed(topic)
    for version, data in ((2, b"1"), (4, b"null"), (3, b"1"), (5, b"null"), (6, b"7")):
        topic.take(Signal(str(MARKET), "bid", version, Raw(data), 60))
        topic.deliver()
    assert listener.values == [("bid", 1), ("bid", None), ("bid", 7)]
    topic.take(Signal(str(MARKET), "ask", 1, GONE, 60))
    assert [key for key, _ in listener.values] == ["bid"] * 3
    assert [signal.key for signal in topic.newest()] == ["bid"]


async def test_words_are_passed_on_one_and_all_and_none_is_kept() -> None:
    topic = Topic(TYPING, MemoryObserver())
    listener = followed(topic)
    for _ in range(3):
        topic.take(Signal(str(TYPING), "ada", 0, Raw(b"1")))
    assert listener.values == [(None, 1)] * 3
    assert list(topic.newest()) == []


async def test_a_coming_and_a_going_are_told_once_however_often_and_late_they_are_heard_of() -> None:
    topic = Topic(PLACE, MemoryObserver())
    listener = followed(topic)
    for version, is_present in ((2, True), (2, True), (1, False), (3, True), (5, False), (4, True), (5, False)):
        topic.take(here(ADA, version, is_present))
    assert listener.changes == [came(ADA), went(ADA, "bye")]
    assert list(topic.present()) == []


async def test_a_correction_tells_the_differences_and_nothing_that_is_known_to_be_newer() -> None:
    topic = Topic(PLACE, MemoryObserver())
    listener = followed(topic)
    topic.take(here(ADA, 3, is_present=True))
    topic.deliver()
    listener.heard.clear()
    topic.correct(2, [])
    assert listener.changes == []
    topic.correct(3, [ADA, BOB])
    assert listener.changes == [came(BOB)]
    topic.correct(4, [ADA, BOB])
    topic.correct(6, [BOB])
    assert listener.changes == [came(BOB), went(ADA, "lost")]
    assert list(topic.present()) == [BOB]


class House:
    """A lobby in which somebody watches a place."""

    def __init__(
        self, presence: MemoryPresence | None = None, grace_seconds: float = 0.0, problems: Sequence[Exception] = ()
    ) -> None:
        """The context of the place has these problems with the first changes that it is told."""
        broker = MemoryBroker()
        self.hub = Hub(
            MemoryJournalQueries(MemoryDatabase(MovableClock())), broker, MemoryObserver(), Lease(), CHANNELS
        )
        self.presence = presence or MemoryPresence()
        self.told: list[tuple[AccountId, bool, str]] = []
        self.tried = asyncio.Semaphore(0)
        self._problems = list(problems)
        self.attendances = Attendances([Attended(PLACE.place.kind, self.changed)], CHANNELS, MovableClock())
        self.lobby = Lobby(self.presence, broker, self.hub, self.attendances, grace_seconds=grace_seconds)
        self.topic = self.hub.topic(PLACE)
        self.listener = followed(self.topic)

    async def changed(
        self, place: Channel, account: AccountId, is_here: bool, why: Literal["", "bye", "lost"], at: datetime
    ) -> None:
        assert place == PLACE.place
        self.tried.release()
        if self._problems:
            raise self._problems.pop()
        self.told.append((account, is_here, why))

    async def all_told(self) -> Sequence[tuple[AccountId, bool, str]]:
        """What the context was told, once nothing waits to be told."""
        if self.attendances._telling is not None:
            await self.attendances._telling
        return self.told

    async def all_left(self) -> None:
        await asyncio.gather(*self.lobby._leaving.values())


async def test_an_account_comes_with_its_first_connection_and_goes_with_its_last() -> None:
    house = House()
    for connection in ("one", "two", "one"):
        await house.lobby.enter(house.topic, ADA, connection)
    assert house.listener.changes == [came(ADA)]
    for connection in ("one", "one", "two", "two"):
        house.lobby.leave(house.topic.name, connection)
        await house.all_left()
    assert house.listener.changes == [came(ADA), went(ADA, "bye")]


async def test_who_goes_and_comes_again_over_the_same_connection_is_there() -> None:
    house = House()
    await house.lobby.enter(house.topic, ADA, "one")
    house.lobby.leave(house.topic.name, "one")
    await house.lobby.enter(house.topic, ADA, "one")
    await house.all_left()
    assert list(house.topic.present()) == [ADA]


@pytest.mark.parametrize("returns", [True, False])
async def test_who_is_lost_goes_after_a_while_and_who_is_back_by_then_was_never_away(returns: bool) -> None:
    house = House()
    await house.lobby.enter(house.topic, ADA, "one")
    house.lobby.linger(house.topic.name, "one")
    assert house.listener.changes == [came(ADA)]
    if returns:
        await house.lobby.enter(house.topic, ADA, "two")
    await house.all_left()
    assert house.listener.changes == [came(ADA), *([] if returns else [went(ADA, "lost")])]
    assert list(house.topic.present()) == ([ADA] if returns else [])


async def test_who_is_lost_stays_until_the_grace_is_over() -> None:
    house = House(grace_seconds=3_600)
    await house.lobby.enter(house.topic, ADA, "one")
    house.lobby.linger(house.topic.name, "one")
    await turns(10)
    assert house.listener.changes == [came(ADA)]
    (lingering,) = house.lobby._leaving.values()
    lingering.cancel()


class Tab:
    """A connection that was silent for so long."""

    def __init__(self, id: str, silent_seconds: float) -> None:
        self.id, self.silent_seconds = id, silent_seconds
        self.has_given_way = False

    def give_way(self) -> None:
        self.has_given_way = True


async def decided(house: House) -> None:
    """Wait until it is known who gives way."""
    await asyncio.gather(*house.lobby._deciding)


async def test_with_more_than_ten_connections_those_give_way_that_were_silent_for_the_longest() -> None:
    house = House()
    tabs = [Tab(f"tab {number}", silent) for number, silent in enumerate([3, 1, 20, 5, 8, 0, 13, 2, 9, 4])]
    for tab in tabs:
        assert await house.lobby.admit(ADA, tab)
    assert not house.lobby._deciding
    bobs = Tab("bob's", 1_000)
    assert await house.lobby.admit(BOB, bobs)
    late = [Tab(f"late {number}", 0) for number in range(3)]
    for tab in late:
        assert await house.lobby.admit(ADA, tab)
    await decided(house)
    assert {tab.silent_seconds for tab in tabs if tab.has_given_way} == {20, 13, 9}
    assert not any(tab.has_given_way for tab in (*late, bobs))
    assert house.listener.heard == []


async def test_seven_tabs_come_back_after_a_change_of_network_although_nobody_closed_the_old_ones() -> None:
    house = House()
    ghosts, tabs = (
        [Tab(f"{what} {number}", silent) for number in range(7)] for what, silent in (("old", 3), ("new", 0))
    )
    for tab in (*ghosts, *tabs):
        assert await house.lobby.admit(ADA, tab)
    await decided(house)
    assert sum(tab.has_given_way for tab in ghosts) == 4
    assert not any(tab.has_given_way for tab in tabs)


async def test_beyond_twice_as_many_nobody_is_let_in_and_one_who_is_gone_makes_room() -> None:
    house = House()
    for number in range(2 * CONNECTIONS_MAX):
        assert await house.lobby.admit(ADA, Tab(f"tab {number}", 0))
    for _ in range(2):
        assert not await house.lobby.admit(ADA, Tab("one too many", 0))
        house.lobby.dismiss(ADA, "one too many")
        await house.all_left()
    house.lobby.dismiss(ADA, "tab 3")
    await house.all_left()
    assert await house.lobby.admit(ADA, Tab("the next", 0))
    await decided(house)


async def test_nobody_gives_way_to_those_that_are_not_let_in() -> None:
    house = House()
    tabs = [Tab(f"tab {number}", 1) for number in range(2 * CONNECTIONS_MAX)]
    for tab in tabs:
        assert await house.lobby.admit(ADA, tab)
    for number in range(6):
        assert not await house.lobby.admit(ADA, Tab(f"too many {number}", 0))
    await decided(house)
    assert sum(tab.has_given_way for tab in tabs) == CONNECTIONS_MAX


class Away(MemoryPresence):
    """A store that does not answer."""

    async def enter(self, channel: str, account: AccountId, connection: str) -> Attendance:
        raise Unavailable("It is away.")

    async def present(self, channel: str) -> Present:
        raise Unavailable("It is away.")


async def test_without_the_store_everybody_is_admitted_and_nobody_is_present() -> None:
    house = House(Away())
    admitted: Sequence[bool] = [
        await house.lobby.admit(ADA, Tab(str(number), 0)) for number in range(3 * CONNECTIONS_MAX)
    ]
    assert all(admitted)
    with pytest.raises(Unavailable):
        await house.lobby.enter(house.topic, ADA, "one")
    with pytest.raises(Unavailable):
        await house.lobby.correct(house.topic)
    assert house.listener.heard == []


async def test_what_was_not_told_is_learnt_by_asking_the_store() -> None:
    house = House()
    await house.presence.enter(house.topic.name, ADA, "one")
    await house.lobby.correct(house.topic)
    assert house.listener.changes == [came(ADA)]
    await house.presence.leave(house.topic.name, "one")
    await house.lobby.correct(house.topic)
    assert house.listener.changes == [came(ADA), went(ADA, "lost")]
    assert await house.all_told() == [(ADA, False, "lost")]  # nobody else may have told the context


async def test_the_context_of_a_place_is_told_once_for_each_account_that_comes_and_goes() -> None:
    house = House()
    for connection in ("one", "two"):
        await house.lobby.enter(house.topic, ADA, connection)
    assert await house.all_told() == [(ADA, True, "")]
    house.lobby.leave(house.topic.name, "one")
    await house.all_left()
    house.lobby.linger(house.topic.name, "two")
    assert await house.all_told() == [(ADA, True, "")]
    await house.all_left()
    assert await house.all_told() == [(ADA, True, ""), (ADA, False, "lost")]


async def test_who_finds_that_the_process_of_somebody_died_tells_the_context_of_the_place() -> None:
    class Reaped(MemoryPresence):
        """A store in which another process died, as the first who asks finds out."""

        dead: Sequence[Attendance] = tuple(
            Attendance(name, ADA, 0, 7) for name in ("presence:unheard:of", f"connections:{ADA}", str(PLACE))
        )

        async def reap(self) -> Sequence[Attendance]:
            found, self.dead = self.dead, ()
            return found

    house = House(Reaped())
    running = asyncio.create_task(house.lobby.run())
    try:
        async with asyncio.timeout(10):
            await house.tried.acquire()
        assert await house.all_told() == [(ADA, False, "lost")]
    finally:
        running.cancel()


async def test_a_context_that_fails_harms_no_lobby_and_is_told_again_if_it_was_away() -> None:
    house = House(problems=[RuntimeError("a mistake"), Unavailable("It is away.")])
    await house.lobby.enter(house.topic, ADA, "one")
    async with asyncio.timeout(10):
        await house.tried.acquire()
        await house.lobby.enter(house.topic, BOB, "two")
        await house.all_told()
    assert house.listener.changes == [came(ADA), came(BOB)]
    assert len(house.told) == 1
    house.lobby.leave(house.topic.name, "two")
    await house.all_left()
    assert (BOB, False, "bye") in await house.all_told()


async def test_of_an_account_only_the_newest_change_waits_and_no_more_than_so_many_accounts_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    accounts = [AccountId(UUID(int=number)) for number in range(WAITING_MAX + 5)]
    for here in (Here(True), Here(False, "bye")):
        for account in accounts:
            house.attendances.tell(str(PLACE), account, here)
    assert await house.all_told() == [(account, False, "bye") for account in accounts[:WAITING_MAX]]
    assert "too many wait" in caplog.text
