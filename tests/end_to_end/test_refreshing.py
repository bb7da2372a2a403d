"""Tabs that refresh at once on several processes stay signed in, and two who hold copies of a cookie do not."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx

from tests.support.clients import client, done, refresh_cookie, sign_up
from tests.support.server import ServerProcess


async def refresh(http: httpx.AsyncClient, cookie: str) -> httpx.Response:
    headers = {"Cookie": f"__Host-refresh={cookie}", "X-Requested-With": "a test"}
    return await http.post("/api/v1/auth/refresh", headers=headers)


async def test_twenty_tabs_on_two_processes_refresh_at_once_and_go_on_with_what_they_got(
    start_server: Callable[..., ServerProcess], database_url: str
) -> None:
    servers = [start_server(database_url, RATE_LIMIT_MAX_REQUESTS="10000") for _ in range(2)]
    async with AsyncExitStack() as stack:
        https = [await stack.enter_async_context(client(server.base_url)) for server in servers]
        ada = await sign_up(https[0])
        jar = ada.cookie
        for _ in range(5):
            answers = await asyncio.gather(*(refresh(https[number % 2], jar) for number in range(20)))
            assert [answer.status_code for answer in answers] == [200] * 20
            jar = refresh_cookie(random.choice(answers))  # that of the reply which came last
        done(await refresh(https[1], jar))
        events = done(await ada.get("/events", params={"channel": "me", "sort": "-offset", "limit": "200"}))["data"]
        graces = [event for event in events if event["type"] == "session.grace_used"]
        assert len(graces) >= 5 * 19
        assert {event["data"]["address"] for event in graces} == {"127.0.0.1"}
