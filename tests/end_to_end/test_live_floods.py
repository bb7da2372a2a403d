"""Frames that are no messages count like any other: who sends them without end is cut, and costs the others nothing."""

import asyncio
import socket
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

import psutil
import pytest

from tests.support.clients import PATIENCE_SECONDS, client, done, sign_up
from tests.support.raw_live import MASK, PING, connected, opened
from tests.support.server import ServerProcess

PONG = b"\x8a\x80" + MASK
LONG_PING = b"\x89\xfd" + MASK + bytes(125)
BEGINNING = b"\x01\x80" + MASK
EMPTY_PIECE = b"\x00\x80" + MASK
LETTER = b"\x00\x81" + MASK + b"x"
EMPTY_TEXT = b"\x81\x80" + MASK
EMPTY_BYTES = b"\x82\x80" + MASK
PONG_COMMAND = b"\x81\x8f" + MASK + b'{"type":"pong"}'
UNMASKED = b"\x81\x02{}"
NO_UTF_8 = b"\x81\x82" + MASK + b"\xff\xfe"
# What comes first and what comes then, and the close codes before and after `connect`.
FLOODS = {
    "pings": (b"", PING, 4008, 4008),
    "pongs": (b"", PONG, 4008, 4008),
    "pings of 125 bytes": (b"", LONG_PING, 4008, 4008),
    "a message of empty pieces": (BEGINNING, EMPTY_PIECE, 4008, 4008),
    "a message of letters": (BEGINNING, LETTER, 4008, 4008),
    "texts": (b"", EMPTY_TEXT, 4001, 4008),
    "bytes": (b"", EMPTY_BYTES, 4001, 4008),
    "commands": (b"", PONG_COMMAND, 4001, 4008),
    "what is no frame": (b"", UNMASKED, 1002, 1002),
    "what is no text": (b"", NO_UTF_8, 1007, 1007),
}
# What an attacker may cost, in seconds of the server's processor. A single read of pings used to cost more.
COST_SECONDS = 0.15
CUT_SECONDS = 5.0  # a quarter of a second where nothing else runs


class Cut(NamedTuple):
    """How a flood ended: the close code, and how long the server's end of it lasted."""

    code: int
    seconds: float


def flood(peer: socket.socket, beginning: bytes, frame: bytes) -> Cut:
    """Send as fast as it goes until that is no longer possible."""
    began = monotonic()
    block = frame * (262_144 // len(frame))
    with suppress(ConnectionError):
        peer.sendall(beginning)
        while monotonic() - began < PATIENCE_SECONDS:
            peer.sendall(block)
    seconds = monotonic() - began
    said = b""
    with suppress(ConnectionError):
        while piece := peer.recv(65_536):
            said += piece
    peer.close()
    closing = said.rfind(b"\x88")
    return Cut(int.from_bytes(said[closing + 2 : closing + 4], "big"), seconds)


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("is_connected", [False, True], ids=["before connect", "after connect"])
async def test_a_flood_is_cut_within_a_second_and_costs_next_to_nothing(
    shared_server: ServerProcess, name: str, is_connected: bool
) -> None:
    beginning, frame, *codes = FLOODS[name]
    process = psutil.Process(shared_server.pid)
    async with client(shared_server.base_url) as http:
        ada = await sign_up(http)
        port = shared_server.port
        peer = await (
            asyncio.to_thread(connected, port, ada.token) if is_connected else asyncio.to_thread(opened, port)
        )
        used = sum(process.cpu_times()[:2])
        cut = await asyncio.to_thread(flood, peer, beginning, frame)
        cost = sum(process.cpu_times()[:2]) - used
        done(await http.get("/live"))

    assert cut.code == codes[is_connected]
    assert cut.seconds < CUT_SECONDS
    assert cost < COST_SECONDS
