"""A whole context joins from beside the house: it is handed in through the lists, and no file of `src/` changes."""

import ast
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from dependency_injector import providers
from msgspec import Raw

from application.ports.events import Entry, Signal
from application.realtime.news import Begun, RightLost, follow
from domain.identity import Account
from tests.application.live_house import House, Visitor, turns
from tests.architecture.notes.domain import note_stream
from tests.architecture.notes.feeds import NoteFeeds
from tests.support.builders import an_account, principal

SRC = Path(__file__).parents[2] / "src"
# What serves every context and so knows none.
GENERIC = (
    "application/realtime/*.py",
    "application/events.py",
    "application/feeds.py",
    "application/retention.py",
    "entrypoints/http/edge.py",
)
CONTEXTS = re.compile(r"workspace|\btasks?\b|\brooms?\b|\bquotes?\b|\bmarket|member\.|typing:|presence:", re.IGNORECASE)


@pytest.mark.parametrize(
    "path", sorted(path for glob in GENERIC for path in SRC.glob(glob)), ids=lambda path: path.name
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


class Library:
    """An assembly into which notes are handed, in which Ada and Bob write one and Eve does not."""

    def __init__(self) -> None:
        self.house, self.feeds, self.note = House(), NoteFeeds(), uuid4()
        self.house.container.feeds.add_args(providers.Object(self.feeds))  # type: ignore[attr-defined]

    async def open(self) -> "Library":
        await self.house.settle()
        self.feeds.participants[self.note] = {self.house.ada.id, self.house.bob.id}
        return self

    @property
    def channel(self) -> str:
        return note_stream(self.note)

    def write(self, type: str, participant: UUID | None = None) -> None:
        kept = self.house.container.database().committed
        body = Raw(b'{"type":"%b","data":{"participant":"%b"}}' % (type.encode(), str(participant).encode()))
        entry = Entry(self.channel, kept.head(self.channel) + 1, type, self.note, body)
        kept.append(entry)
        self.house.broker.publish([entry])

    def remove(self, account: Account) -> None:
        self.feeds.participants[self.note].discard(account.id)
        self.write("participant.left", account.id)


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
        library.write("note.written")
        library.write("note.written")
        await ada.until(lambda visitor: len(visitor.events()) == 2)
        async with library.house.visit(library.house.bob) as again:
            await again.say(type="subscribe", id=2, channel=library.channel, since=1)
            await again.until(lambda visitor: visitor.events() == [(2, "note.written")])
        eve = await an_account(library.house, "Eve")
        async with library.house.visit(eve) as stranger:
            for kind in ("", "presence:", "typing:", "status:", "waves:"):
                answer = await stranger.say(type="subscribe", id=2, channel=f"{kind}{library.channel}")
                assert answer["code"] == "not_found"


async def test_who_leaves_a_note_loses_every_channel_of_it_and_the_others_none() -> None:
    names = ("{}", "status:{}", "waves:{}", "presence:{}", "typing:{}")
    async with at_the_note(*names) as (library, ada, bob):
        library.remove(library.house.bob)
        await bob.until(lambda visitor: len(visitor.of("unsubscribed")) == len(names))
        library.write("note.written")
        await ada.until(lambda visitor: len(visitor.events()) == 2)
        await turns(10)
        assert [type for _, type in bob.events()] == ["participant.left"]
        assert not ada.of("unsubscribed")
        library.feeds.participants.clear()
        library.write("note.burnt")
        await ada.until(lambda visitor: len(visitor.of("unsubscribed")) == len(names))


async def test_a_keyed_channel_begins_with_what_its_context_keeps_and_goes_on_with_what_is_newer() -> None:
    library = await Library().open()
    library.feeds.status[library.note] = 3, b'{"page":3}'
    status = f"status:{library.channel}"
    async with library.house.visit(library.house.ada) as ada:
        await ada.say(type="subscribe", id=2, channel=status)
        await ada.until(lambda visitor: bool(visitor.of("value")))
        for version in (2, 4):
            library.house.broker.publish([Signal(status, "page", version, Raw(b'{"page":%d}' % version))])
        await ada.until(lambda visitor: len(visitor.of("value")) > 1)
        assert [frame["data"] for frame in ada.of("value")] == [{"page": 3}, {"page": 4}]


async def test_a_value_whose_word_was_lost_on_the_way_is_found_by_asking() -> None:
    async with at_the_note("status:{}") as (library, ada, _):
        library.feeds.status[library.note] = 1, b'{"page":1}'
        await library.house.container.hub().renew_topics()
        assert [frame["data"] for frame in ada.of("value")] == [{"page": 1}]


async def test_a_word_on_another_ephemeral_channel_reaches_those_who_follow_it() -> None:
    async with at_the_note("waves:{}") as (library, ada, bob):
        answer = await ada.say(type="publish", id=9, channel=f"waves:{library.channel}", data={"hands": 2})
        assert answer["type"] == "reply"
        await bob.until(lambda visitor: bool(visitor.of("value")))
        assert bob.of("value")[0]["key"] == str(library.house.ada.id)


async def test_who_takes_part_is_present_there() -> None:
    async with at_the_note() as (library, ada, bob):
        place = f"presence:{library.channel}"
        await ada.say(type="subscribe", id=2, channel=place)
        await bob.say(type="presence", id=2, channel=place)
        await ada.until(lambda visitor: bool(visitor.of("presence")))
        assert ada.of("presence")[0]["joined"] == [str(library.house.bob.id)]


async def test_another_door_follows_a_note_without_a_frame() -> None:
    library = await Library().open()
    container, bob = library.house.container, principal(library.house.bob)
    feed = await container.channels().feed(bob.account_id, library.channel)
    news = follow(container.hub(), container.authentication(), bob, feed, 0)
    library.write("note.written")
    assert await anext(news) == Begun(0)
    assert isinstance(written := await anext(news), Entry)
    assert (written.offset, written.type) == (1, "note.written")
    library.remove(library.house.bob)
    assert [type(each) for each in [each async for each in news]] == [Entry, RightLost]
