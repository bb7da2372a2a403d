"""A whole context joins from beside the house: it is handed in through the lists, and no file of `src/` changes."""

import ast
import math
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from dependency_injector import providers
from msgspec import Raw

from application.ports.events import Entry, Signal
from application.ports.observer import by_name
from application.realtime.news import Begun, RightLost, follow
from domain.ids import AccountId
from entrypoints.container import Container
from entrypoints.container import in_memory as container_in_memory
from tests.application.live_house import Frame, House, Visitor, turns
from tests.architecture.notes.assembly import in_memory
from tests.architecture.notes.domain import MISSED_AFTER, NoteId
from tests.architecture.notes.measures import WAVES_PER_ACCOUNT
from tests.architecture.notes.ports import NoteQueries, NoteView
from tests.architecture.notes.scopes import NOTES_READ, NOTES_WRITE
from tests.architecture.notes.use_cases import Notes, NoteText
from tests.support.builders import an_account, principal

SRC = Path(__file__).parents[2] / "src"
# What serves every context and so knows none.
GENERIC = (
    "adapters/*/consumers.py",
    "adapters/*/database.py",
    "adapters/*/due.py",
    "adapters/*/events.py",
    "adapters/*/idempotency.py",
    "adapters/*/store.py",
    "adapters/*/unit*.py",
    "adapters/postgres/failures.py",
    "adapters/postgres/statement.py",
    "adapters/postgres/unit_of_work/*.py",
    "adapters/redis/[!p]*.py",
    "adapters/telemetry/*.py",
    "application/authentication.py",
    "application/catalogue.py",
    "application/consumers.py",
    "application/due.py",
    "application/events.py",
    "application/feeds.py",
    "application/happenings.py",
    "application/journal.py",
    "application/lease.py",
    "application/limits.py",
    "application/paging.py",
    "application/ports/[cdefl]*.py",
    "application/ports/idempotency.py",
    "application/ports/observer.py",
    "application/ports/store.py",
    "application/ports/tickets.py",
    "application/ports/unit_of_work.py",
    "application/principal.py",
    "application/quotas.py",
    "application/realtime/*.py",
    "application/retention.py",
    "application/scopes.py",
    "application/statistics.py",
    "domain/kernel.py",
    "entrypoints/container/made.py",
    "entrypoints/container/operations.py",
    "entrypoints/container/table.py",
    "entrypoints/http/a*.py",
    "entrypoints/http/codec.py",
    "entrypoints/http/documentation.py",
    "entrypoints/http/edge.py",
    "entrypoints/http/facts.py",
    "entrypoints/http/idempotency.py",
    "entrypoints/http/openapi.py",
    "entrypoints/http/problems.py",
    "entrypoints/http/request.py",
    "entrypoints/lifetimes.py",
    "entrypoints/metrics.py",
    "entrypoints/server.py",
    "entrypoints/websocket/asyncapi.py",
    "entrypoints/websocket/calls.py",
    "entrypoints/websocket/gateway.py",
    "entrypoints/websocket/protocol.py",
    "entrypoints/websocket/wire.py",
    "entrypoints/worker.py",
)
CONTEXTS = re.compile(
    r"workspace|\btasks?\b|\brooms?\b|\bquotes?\b|\bmarket|member\.|invitation|comment|login|typing:|presence:",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "path",
    sorted(path for glob in GENERIC for path in SRC.glob(glob)),
    ids=lambda path: str(path.relative_to(SRC)),
)
def test_generic_machinery_names_no_context(path: Path) -> None:
    """Neither in an import, nor in a literal that is not prose."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    words: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            words += [node.module or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            words.append(node.value)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words.append(node.name)
    assert [word for word in words if CONTEXTS.search(word)] == []


class Counted(NoteQueries):
    """Others' answers about notes, with a count of the questions who takes part."""

    def __init__(self, inner: NoteQueries) -> None:
        self._inner = inner
        self.questions = 0

    async def view(self, id: NoteId, by: AccountId) -> NoteView:
        return await self._inner.view(id, by)

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        self.questions += 1
        return await self._inner.participating(asked)

    async def count(self) -> int:
        return await self._inner.count()

    async def texts(self, ids: Collection[UUID]) -> Mapping[UUID, tuple[int, str]]:
        return await self._inner.texts(ids)


class Library:
    """An assembly into which notes are handed, in which Ada and Bob write one and Eve does not."""

    id: NoteId

    def __init__(self) -> None:
        self.house = House(furnish=self._furnished)
        self.notes: Notes = self.house.container.providers["notes"]()

    def _furnished(self, house: Container) -> Container:
        queries = in_memory(house).providers["note_queries"]
        self._counted = Counted(queries())
        queries.override(providers.Object(self._counted))
        return house

    async def open(self) -> "Library":
        await self.house.settle()
        opened = await self.notes.open(principal(self.house.ada), NoteText("Bring the map."))
        self.id = NoteId(opened.id)
        await self.notes.invite(principal(self.house.ada), self.id, self.house.bob.id)
        return self

    @property
    def questions(self) -> int:
        """How often the store was asked who takes part."""
        return self._counted.questions

    @property
    def channel(self) -> str:
        return f"note:{self.id}"

    async def write(self, text: str) -> None:
        await self.notes.write(principal(self.house.bob), self.id, NoteText(text))

    async def work(self) -> None:
        """What a worker has to do now."""
        while await self.house.container.following_up().turn():
            continue


@asynccontextmanager
async def at_the_note(*names: str) -> AsyncIterator[tuple[Library, Visitor, Visitor]]:
    library = await Library().open()
    house = library.house
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob:
        for number, name in enumerate(names, 2):
            for visitor in (ada, bob):
                answer = await visitor.say(type="subscribe", id=number, channel=name.format(library.channel))
                assert answer["type"] == "reply", answer
        yield library, ada, bob


async def test_a_note_is_followed_and_resumed_by_its_participants_alone() -> None:
    async with at_the_note("{}") as (library, ada, _):
        await library.write("Bring the lamp.")
        await library.write("Bring both.")
        await ada.until(lambda visitor: visitor.events() == [(3, "note.written"), (4, "note.written")])
        async with library.house.visit(library.house.bob) as again:
            await again.say(type="subscribe", id=2, channel=library.channel, since=3)
            await again.until(lambda visitor: visitor.events() == [(4, "note.written")])
        eve = await an_account(library.house, "Eve")
        async with library.house.visit(eve) as stranger:
            for kind in ("", "presence:", "typing:", "pulse:", "cursors:", "waves:"):
                answer = await stranger.say(type="subscribe", id=2, channel=f"{kind}{library.channel}")
                assert answer["code"] == "not_found"


async def test_who_leaves_a_note_loses_every_channel_of_it_and_the_others_none() -> None:
    names = ("{}", "pulse:{}", "waves:{}", "presence:{}", "typing:{}")
    async with at_the_note(*names) as (library, ada, bob):
        await library.notes.leave(principal(library.house.ada), library.id, library.house.bob.id)
        await bob.until(lambda visitor: len(visitor.of("unsubscribed")) == len(names))
        await library.notes.write(principal(library.house.ada), library.id, NoteText("Alone now."))
        await ada.until(lambda visitor: len(visitor.events()) == 2)
        await turns(10)
        assert [type for _, type in bob.events()] == ["writer.left"]
        assert not ada.of("unsubscribed")
        await library.notes.burn(principal(library.house.ada), library.id)
        await ada.until(lambda visitor: len(visitor.of("unsubscribed")) == len(names))


async def test_a_keyed_channel_begins_with_what_its_context_keeps_and_goes_on_with_what_is_newer() -> None:
    library = await Library().open()
    async with library.house.visit(library.house.ada) as ada:
        await ada.say(type="subscribe", id=2, channel=f"pulse:{library.channel}")
        await ada.until(lambda visitor: bool(visitor.of("value")))
        await library.write("Bring the lamp, too.")
        await library.work()
        await ada.until(lambda visitor: len(visitor.of("value")) > 1)
        library.house.broker.publish([Signal(f"pulse:{library.channel}", "words", 2, Raw(b"3"))])  # late
        await turns(10)
        assert [frame["data"] for frame in ada.of("value")] == [3, 4]


async def test_a_value_whose_word_was_lost_on_the_way_is_found_by_asking() -> None:
    async with at_the_note("pulse:{}") as (library, ada, _):
        await ada.until(lambda visitor: bool(visitor.of("value")))
        await library.write("Bring the lamp, too.")
        await library.house.container.hub().renew_topics()
        await ada.until(lambda visitor: len(visitor.of("value")) > 1)
        assert [frame["data"] for frame in ada.of("value")] == [3, 4]


async def test_a_word_on_another_ephemeral_channel_reaches_those_who_follow_it() -> None:
    async with at_the_note("waves:{}") as (library, ada, bob):
        answer = await ada.say(type="publish", id=9, channel=f"waves:{library.channel}", data={"hands": 2})
        assert answer["type"] == "reply"
        await bob.until(lambda visitor: bool(visitor.of("value")))
        assert bob.of("value")[0]["key"] == str(library.house.ada.id)


async def test_a_word_passes_its_context_which_refuses_a_wrong_shape_and_more_than_its_own_limit() -> None:
    async with at_the_note("waves:{}", "typing:{}") as (library, ada, bob):
        said = [await say(ada, f"waves:{library.channel}", id, {"hands": 9 if id == 4 else 1}) for id in range(4, 11)]
        assert [answer.get("code") for answer in said] == [
            "validation_failed",
            *[None] * WAVES_PER_ACCOUNT.limit,
            "rate_limited",
        ]
        assert (said[0]["retry"], said[-1]["retry"]) == ("no", "later")
        assert (await say(ada, f"typing:{library.channel}", 12, "anything"))["type"] == "reply"  # it has no shape
        assert (await say(bob, f"waves:{library.channel}", 12, {"hands": 2}))["type"] == "reply"  # he has not waved yet
        await bob.until(lambda visitor: len(visitor.of("value")) == WAVES_PER_ACCOUNT.limit + 2)
        assert {"hands": 9} not in [frame["data"] for frame in bob.of("value")]


async def test_a_credential_that_may_only_read_follows_words_and_says_none() -> None:
    library = await Library().open()
    house, waves = library.house, f"waves:{library.channel}"
    async with house.visit(house.ada) as ada, house.visit(house.bob, True, None, NOTES_READ) as reader:
        for id, name in enumerate((waves, f"typing:{library.channel}"), 2):
            assert (await reader.say(type="subscribe", id=id, channel=name))["type"] == "reply"
            refused = await say(reader, name, id + 10, {"hands": 1})
            assert (refused["code"], refused["extra"]) == ("scope_missing", {"required_scope": NOTES_WRITE.name})
        await ada.say(type="subscribe", id=2, channel=waves)
        await say(ada, waves, 3, {"hands": 2})
        await reader.until(lambda visitor: bool(visitor.of("value")))
        assert [frame["data"] for frame in reader.of("value")] == [{"hands": 2}]


async def say(visitor: Visitor, channel: str, id: int, word: object) -> Frame:
    """The answer to a word on an ephemeral channel."""
    return await visitor.say(type="publish", id=id, channel=channel, data=word)


async def test_who_takes_part_is_present_there() -> None:
    async with at_the_note() as (library, ada, bob):
        place = f"presence:{library.channel}"
        await ada.say(type="subscribe", id=2, channel=place)
        await bob.say(type="presence", id=2, channel=place)
        await ada.until(lambda visitor: bool(visitor.of("presence")))
        assert ada.of("presence")[0]["joined"] == [str(library.house.bob.id)]


def has_heard(times: int, visitor: Visitor) -> bool:
    """Whether somebody got so many events at least."""
    return len(visitor.events()) >= times


async def test_a_note_falls_due_when_somebody_has_gone_from_it_and_not_if_they_are_back_in_time() -> None:
    async with at_the_note("{}") as (library, ada, bob):
        place, changes = f"presence:{library.channel}", library.house.container.operations.later()
        for id in (3, 5):
            await bob.say(type="presence", id=id, channel=place)
            await bob.say(type="unsubscribe", id=id + 1, channel=place)
            await ada.until(partial(has_heard, id - 2))
        library.house.clock.advance(MISSED_AFTER)
        assert await changes.turn() == 1
        told = ["note.reminder_set"] * 3 + ["note.fell_due"]
        await ada.until(lambda visitor: [type for _, type in visitor.events()] == told)
        assert await changes.turn() == 0


async def test_a_note_is_written_by_a_command_and_its_key_makes_that_once() -> None:
    async with at_the_note("{}") as (library, ada, bob):
        params = {"id": str(library.id), "note": {"text": "Bring the lamp."}, "version": 2}
        said = [await ada.say(type="call", id=n, method="note.write", params=params, key="k") for n in (8, 9)]
        assert [answer["data"]["text"] for answer in said] == ["Bring the lamp."] * 2
        again = await bob.say(type="call", id=8, method="note.write", params=params)
        assert again["code"] == "version_conflict"
        assert (again["extra"]["current_version"], again["extra"]["current"]["text"]) == (3, "Bring the lamp.")
        await bob.until(lambda visitor: visitor.events() == [(3, "note.written")])


async def test_a_method_about_a_place_asks_the_store_nothing_while_its_connection_follows_that_place() -> None:
    async with at_the_note("{}", "waves:{}") as (library, ada, bob):
        asked = library.questions
        assert asked
        for id in range(4, 8):
            assert await wave(bob, library, id) == "reply"
        assert library.questions == asked
        await ada.until(lambda visitor: len(visitor.of("value")) == 4)
        assert {(f["key"], f["data"]["hands"]) for f in ada.of("value")} == {(str(library.house.bob.id), 2)}


async def test_a_method_about_a_place_is_for_those_alone_who_follow_it_on_this_connection() -> None:
    async with at_the_note("waves:{}") as (library, ada, bob):
        assert await wave(bob, library, 8) == "not_found"  # he may follow it, but does not
        await bob.say(type="subscribe", id=9, channel=library.channel)
        assert await wave(bob, library, 10) == "reply"
        await bob.say(type="unsubscribe", id=11, channel=library.channel)
        assert await wave(bob, library, 12) == "not_found"
        assert len(ada.of("value")) == 1


async def test_a_method_about_a_place_is_lost_with_the_right_to_it_even_before_the_loser_was_told() -> None:
    async with at_the_note("{}", "waves:{}") as (library, ada, bob):
        bob.connection.congested()
        await library.notes.leave(principal(library.house.ada), library.id, library.house.bob.id)
        await ada.until(lambda visitor: bool(visitor.events()))
        asked = library.questions
        assert await wave(bob, library, 8) == "not_found"
        assert not bob.events()
        assert await wave(ada, library, 8) == "reply"
        assert await wave(ada, library, 9) == "reply"
        assert library.questions == asked + 2  # once for each who was unsure, because somebody left


async def test_without_the_lease_nobody_is_trusted_to_follow_a_place_still() -> None:
    async with at_the_note("{}") as (library, _, bob):
        library.house.container.lease().renew(-math.inf)
        assert await wave(bob, library, 8) == "dependency_unavailable"


async def wave(visitor: Visitor, library: Library, id: int) -> str:
    """What comes of waving: `reply`, or the code of the refusal."""
    params = {"id": str(library.id), "wave": {"hands": 2}}
    answer = await visitor.say(type="call", id=id, method="note.wave", params=params)
    return str(answer.get("code", answer["type"]))


async def test_another_door_follows_a_note_without_a_frame() -> None:
    library = await Library().open()
    container, bob = library.house.container, principal(library.house.bob)
    feed = await container.channels().feed(bob, library.channel)
    news = follow(container.hub(), container.authentication(), bob, feed, 2)
    await library.write("Bring the lamp.")
    assert await anext(news) == Begun(2)
    assert isinstance(written := await anext(news), Entry)
    assert (written.offset, written.type) == (3, "note.written")
    await library.notes.leave(principal(library.house.ada), library.id, library.house.bob.id)
    assert [type(each) for each in [each async for each in news]] == [Entry, RightLost]


def test_everything_that_the_source_says_has_happened_has_a_row() -> None:
    rows = by_name(container_in_memory().counted())
    said: dict[str, set[object]] = {}
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="happened"), args=[ast.Constant(str() as what), outcome]):
                    said.setdefault(what, set()).update([outcome.value] if isinstance(outcome, ast.Constant) else [])
    assert said.keys() == rows.keys()
    assert {what: unlisted for what in said if (unlisted := said[what] - set(rows[what].outcomes))} == {}
