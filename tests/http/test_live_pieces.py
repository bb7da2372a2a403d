"""Frames as they come over the wire: a message in pieces, what is between them, and what comes before its time."""

import asyncio
import json

import pytest

from entrypoints.server import FRAME_MAX_BYTES
from tests.http.test_live_sessions import UPGRADE
from tests.support.clients import PATIENCE_SECONDS, Person, Wire
from tests.support.raw_live import MASK, PING

TEXT, MORE, LAST = 0x01, 0x00, 0x80


def frame(kind: int, data: bytes = b"") -> bytes:
    size = len(data)
    head = bytes((kind, 0x80 | size)) if size < 126 else bytes((kind, 0xFE)) + size.to_bytes(2, "big")
    return head + MASK + data


def opening(person: Person) -> bytes:
    return json.dumps({"type": "connect", "id": 1, "token": person.token}).encode()


async def upgraded(live_url: str) -> Wire:
    wire = await Wire.open(int(live_url.rpartition(":")[2]))
    await wire.send(UPGRADE)
    assert (await wire.answer())[0] == 101
    return wire


async def heard_until(wire: Wire, what: bytes) -> bytes:
    said = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while what not in said:
            said += await wire.heard()
            await asyncio.sleep(0.005)
    return said


async def test_a_message_in_pieces_with_a_ping_between_is_one_message(live_url: str, grace: Person) -> None:
    text = opening(grace)
    async with await upgraded(live_url) as wire:
        await wire.send(frame(TEXT, text[:10]) + PING + frame(MORE) + frame(MORE, text[10:20]))
        await wire.send(frame(LAST, text[20:]))
        said = await heard_until(wire, b'"reply"')
    assert said.startswith(b"\x8a\x00"), "a pong"


async def test_what_follows_connect_in_the_same_segment_is_heard_as_after_it(live_url: str, grace: Person) -> None:
    pongs = frame(TEXT | LAST, b'{"type":"pong"}') * 20
    large = frame(TEXT | LAST, b'{"type":"unsubscribe","id":2,"channel":"me"}'.ljust(40_000))
    async with await upgraded(live_url) as wire:
        await wire.send(frame(TEXT | LAST, opening(grace)) + pongs + large)
        await heard_until(wire, b'"id":2')


async def test_a_message_whose_pieces_never_end_has_a_bound(live_url: str, grace: Person) -> None:
    async with await upgraded(live_url) as wire:
        await wire.send(frame(TEXT | LAST, opening(grace)))
        await heard_until(wire, b'"reply"')
        await wire.send(frame(TEXT) + frame(MORE, b"x" * 1_000) * (FRAME_MAX_BYTES // 1_000 + 1))
        rest = await wire.rest()
    assert rest[0] == 0x88
    assert int.from_bytes(rest[2:4], "big") == 1009


@pytest.mark.parametrize("whole", [True, False])
async def test_before_connect_no_more_is_kept_than_a_connect_may_have(live_url: str, whole: bool) -> None:
    announced = frame(TEXT | LAST, b"x" * 60_000)
    async with await upgraded(live_url) as wire:
        await wire.send(announced if whole else announced[:50_000])
        said = await heard_until(wire, b"flood")
    assert int.from_bytes(said[-7:-5], "big") == 4008


async def test_before_connect_the_ninth_frame_is_a_flood_however_slowly_they_come(live_url: str) -> None:
    async with await upgraded(live_url) as wire:
        for _ in range(8):
            await wire.send(PING)
            await heard_until(wire, b"\x8a\x00")
        await wire.send(PING)
        said = await heard_until(wire, b"flood")
    assert int.from_bytes(said[-7:-5], "big") == 4008
