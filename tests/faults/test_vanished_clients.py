"""Whoever vanishes without a word is noticed, and shown as gone to those who stayed."""

import asyncio
import json
from contextlib import AsyncExitStack
from time import monotonic

from application.realtime.frames import CloseCode
from tests.support.clients import Listener, client, listening, sign_up
from tests.support.server import ServerProcess

# A minute of silence, ten seconds in which it could come back, and what a slow machine takes.
NOTICED_SECONDS = 90.0


async def test_a_listener_who_falls_silent_is_closed_after_a_minute_and_shown_as_lost(
    three: list[ServerProcess],
) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client(three[0].base_url))
        ada, eve = await sign_up(http, "Ada"), await sign_up(http, "Eve")
        team = await ada.create_team()
        await ada.admit(eve, team["id"])
        channel = f"presence:workspace:{team['id']}"
        watching = await stack.enter_async_context(listening(three[0].base_url, ada.token))
        await watching.call("subscribe", channel=channel)
        silent = await stack.enter_async_context(listening(three[1].base_url, eve.token))
        await silent.call("presence", channel=channel)
        assert (await watching.frame("presence"))["joined"] == [eve.id]

        began = monotonic()
        left = await asyncio.wait_for(shown_as_left(watching), NOTICED_SECONDS)
        assert left == [{"account_id": eve.id, "why": "lost"}]
        assert monotonic() - began > 50
        assert await silent.closed() == CloseCode.NO_PONG


async def shown_as_left(watching: Listener) -> object:
    """Who left, heard by somebody who answers each ping meanwhile."""
    while True:
        frame = json.loads(await watching.socket.recv())
        if frame["type"] == "ping":
            await watching.send({"type": "pong"})
        elif frame["type"] == "presence" and frame["left"]:
            return frame["left"]
