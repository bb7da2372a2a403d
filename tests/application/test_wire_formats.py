"""Another door brings its wire format, and has the same streams, rights and endings; each entry is encoded once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec import Raw

from application.ports.events import Entry
from application.realtime.frames import (
    ClientFrame,
    CloseCode,
    Connect,
    Error,
    Publish,
    Reply,
    Resync,
    ServerFrame,
    Subscribe,
    Unsubscribed,
    Value,
)
from application.realtime.wire import BadFrame, WireFormat
from application.tasks import NewComment
from domain.identity import Account
from entrypoints.websocket.wire import JsonFrames
from tests.application.live_house import DEADLINE_SECONDS, House, Visitor, turns
from tests.support.builders import principal
from tests.support.faulty_broker import Fate


class Lines(WireFormat):
    """A line of words for each frame. There is no word for comments, nor for most of what is not an entry."""

    def __init__(self) -> None:
        self.encoded: Counter[tuple[str, int]] = Counter()
        self.values = 0

    def entry(self, entry: Entry) -> bytes:
        self.encoded[entry.stream, entry.offset] += 1
        if entry.type == "task.comment.created":
            return b""
        return f"event {entry.stream} {entry.offset} {entry.type}\n".encode()

    def frame(self, frame: ServerFrame) -> bytes:
        match frame:
            case Reply(id):
                return f"reply {id}\n".encode()
            case Error(id, code):
                return f"error {id} {code}\n".encode()
            case Unsubscribed(channel, code):
                return f"unsubscribed {channel} {code}\n".encode()
            case Resync(stream, reason, offset):
                return f"resync {stream} {reason} {offset}\n".encode()
            case Value(channel, key):
                self.values += 1
                return f"value {channel} {key}\n".encode()
            case _:
                return b""

    def read(self, message: bytes) -> ClientFrame:
        match message.decode().split():
            case ["connect", id]:
                return Connect(id=int(id))
            case ["subscribe", id, channel]:
                return Subscribe(int(id), channel)
            case ["subscribe", id, channel, since]:
                return Subscribe(int(id), channel, int(since))
            case ["publish", id, channel]:
                return Publish(int(id), channel, Raw(b"1"))
            case _:
                raise BadFrame(self.id_in(message), "bad_line", "Nobody says that here.")

    def id_in(self, message: bytes) -> int | None:
        words = message.split()
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


class CountedJson(JsonFrames):
    def __init__(self) -> None:
        self.encoded: Counter[tuple[str, int]] = Counter()
        self.values = 0

    def entry(self, entry: Entry) -> bytes:
        self.encoded[entry.stream, entry.offset] += 1
        return super().entry(entry)

    def frame(self, frame: ServerFrame) -> bytes:
        self.values += isinstance(frame, Value)
        return super().frame(frame)


class Reader(Visitor):
    """Somebody on a wire of lines; their frames are noted as far as they are told there."""

    def write(self, data: bytes) -> None:
        assert data, "nothing is written where nothing is told"
        if self.closed is None:
            self.bytes += len(data)
            self.frames += [named(line.split()) for line in data.decode().splitlines()]

    def send(self, **frame: object) -> None:
        line = " ".join(map(str, frame.values())).encode()
        (self.connection.received if self.connection.heard(len(line)) else self.connection.too_fast)(line)


def named(words: list[str]) -> dict[str, object]:
    match words:
        case ["event", stream, offset, type]:
            return {"type": "event", "stream": stream, "offset": int(offset), "event": {"type": type}}
        case ["reply" | "error" as type, id, *code]:
            return {"type": type, "id": int(id) if id.isdigit() else None, "code": "".join(code)}
        case [type, channel, *rest]:
            return {"type": type, "channel": channel, "rest": rest}
        case _:
            raise AssertionError(words)


@asynccontextmanager
async def visiting(house: House, account: Account, *formats: WireFormat) -> AsyncIterator[list[Visitor]]:
    """One visitor on a wire of each of these formats."""
    async with AsyncExitStack() as stack:
        visitors: list[Visitor] = []
        for format in formats:
            visitor = Reader() if isinstance(format, Lines) else Visitor()
            visitor.format = format
            visitors.append(await stack.enter_async_context(house.visit(account, visitor=visitor)))
        yield visitors


def offsets(visitor: Visitor) -> list[int]:
    return [offset for offset, _ in visitor.events()]


async def test_an_entry_is_encoded_once_for_each_format_however_many_follow_its_stream() -> None:
    house = await House().settle()
    task = await house.task()
    lines, json = Lines(), CountedJson()
    async with visiting(house, house.bob, *[lines, json] * 4) as visitors:
        for number, visitor in enumerate(visitors):
            channel = house.channel if number < 4 else f"task:{task.id}"
            assert (await visitor.say(type="subscribe", id=2, channel=channel))["type"] == "reply"
        begins = (await house.container.journal().heads([house.stream]))[house.stream]
        for number in range(5):
            await house.rename(task, f"Title {number}")
        expected = list(range(begins + 1, begins + 6))
        for visitor in visitors:
            await visitor.until(lambda visitor: len(visitor.events()) == 5)
            assert offsets(visitor) == expected
        assert lines.encoded == json.encoded == Counter({(house.stream, offset): 1 for offset in expected})


async def test_a_page_is_encoded_once_for_each_format_however_many_resume() -> None:
    house = await House().settle()
    task = await house.task()
    for number in range(5):
        await house.rename(task, f"Title {number}")
    lines, json = Lines(), CountedJson()
    head = (await house.container.journal().heads([house.stream]))[house.stream]
    async with visiting(house, house.bob, *[lines, json] * 3) as visitors:
        for number, visitor in enumerate(visitors):
            await visitor.say(type="subscribe", id=2, channel=house.channel, since=number)
            await visitor.until(lambda visitor: offsets(visitor)[-1:] == [head])
            assert offsets(visitor) == list(range(number + 1, head + 1))
    assert set(lines.encoded.values()) == set(json.encoded.values()) == {1}
    assert max(offset for _, offset in lines.encoded) == head


async def test_a_word_to_others_is_encoded_once_for_each_format() -> None:
    house = await House().settle()
    lines, json = Lines(), CountedJson()
    typing = f"typing:{house.channel}"
    async with visiting(house, house.bob, *[lines, json] * 3) as visitors:
        for visitor in visitors:
            await visitor.say(type="subscribe", id=2, channel=typing)
        await visitors[0].say(type="publish", id=3, channel=typing)
        for visitor in visitors:
            await visitor.until(lambda visitor: bool(visitor.of("value")))
        assert (lines.values, json.values) == (1, 1)


async def test_what_a_format_has_no_word_for_is_passed_over_and_the_rest_comes_in_order() -> None:
    house = await House().settle()
    task = await house.task()
    lines = Lines()
    async with visiting(house, house.bob, lines, lines) as (everything, one):
        await everything.say(type="subscribe", id=2, channel=house.channel)
        await one.say(type="subscribe", id=2, channel=f"task:{task.id}", since=0)
        await one.until(lambda visitor: bool(visitor.events()))
        await turns(5)  # from here on it is live
        await house.container.tasks().comment(principal(house.ada), task.id, NewComment("Silent"))
        silent = (await house.container.journal().heads([house.stream]))[house.stream]
        await everything.until(lambda _: (house.stream, silent) in lines.encoded)
        await house.rename(task, "Told")
        for visitor in (everything, one):
            await visitor.until(lambda visitor: "task.updated" in [type for _, type in visitor.events()])
            assert "task.comment.created" not in [type for _, type in visitor.events()]
            assert offsets(visitor) == sorted(offsets(visitor))


async def test_over_a_hole_every_format_gets_what_the_journal_has() -> None:
    """Every hint is lost, so that only the check of the heads finds what happened."""
    house = await House(fate=Fate.IS_LOST).settle()
    task = await house.task()
    async with visiting(house, house.bob, Lines(), CountedJson()) as visitors:
        for visitor in visitors:
            await visitor.say(type="subscribe", id=2, channel=house.channel)
        for number in range(3):
            await house.rename(task, f"Title {number}")
        await turns(5)
        assert [visitor.events() for visitor in visitors] == [[], []]
        await house.container.hub().check_heads()
        for visitor in visitors:
            await visitor.until(lambda visitor: len(visitor.events()) == 3)
        assert visitors[0].events() == visitors[1].events()


async def test_a_stranger_is_refused_and_whoever_loses_the_right_hears_no_more_in_every_format() -> None:
    house = await House().settle()
    task = await house.task()
    private = f"workspace:{house.ada.id}"
    async with visiting(house, house.bob, Lines(), CountedJson()) as visitors:
        for visitor in visitors:
            refused = await visitor.say(type="subscribe", id=2, channel=private)
            assert (refused["type"], refused["code"]) == ("error", "not_found")
            await visitor.say(type="subscribe", id=3, channel=house.channel)
        await house.dismiss(house.bob)
        await house.rename(task, "Secret")
        for visitor in visitors:
            await visitor.until(lambda visitor: bool(visitor.of("unsubscribed")))
            assert [frame["channel"] for frame in visitor.of("unsubscribed")] == [house.channel]
            assert "task.updated" not in [type for _, type in visitor.events()]


@pytest.mark.parametrize("format", [Lines(), CountedJson()])
async def test_a_credential_that_ends_ends_the_connection_in_every_format(format: WireFormat) -> None:
    house = await House().settle()
    async with visiting(house, house.bob, format) as (visitor,):
        house.container.authentication().end([principal(house.bob).credential_id])
        assert visitor.closed == (CloseCode.REVOKED, "session_ended")


async def test_what_a_format_cannot_read_is_refused_by_the_id_it_finds() -> None:
    house = await House().settle()
    async with visiting(house, house.bob, Lines()) as (visitor,):
        assert (await visitor.say(type="sing", id=7))["code"] == "bad_line"
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert (await visitor.say(type="subscribe", id=8, channel=house.channel))["type"] == "reply"
