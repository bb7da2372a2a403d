"""Redis is there for speed: whatever becomes of it, every write succeeds and everybody hears everything in time."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from tests.support.history import delays
from tests.support.load import under_load
from tests.support.server import ServerProcess
from tests.support.services import RedisService

Servers = list[ServerProcess]
# While Redis is away. A fault lasts for twice as long, so that its end cannot be what brings an event.
ARRIVAL_SECONDS = 3.0


def urls(servers: Servers) -> list[str]:
    return [server.base_url for server in servers]


def paused_and_resumed(redis: RedisService) -> list[Callable[[], object]]:
    return [redis.pause, redis.resume]


def killed_and_restarted(redis: RedisService) -> list[Callable[[], object]]:
    return [redis.kill, redis.start]


def emptied(redis: RedisService) -> list[Callable[[], object]]:
    return [redis.empty, redis.empty]


def thrown_out(redis: RedisService) -> list[Callable[[], object]]:
    def throw_out() -> None:
        with Redis.from_url(redis.url) as admin:
            admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    return [throw_out, throw_out]


def too_slow_for_it(redis: RedisService) -> list[Callable[[], object]]:
    """Redis ends a subscriber for whom a kilobyte waits."""

    def allow(limit: str) -> Callable[[], object]:
        def allow() -> None:
            with Redis.from_url(redis.url) as admin:
                admin.config_set("client-output-buffer-limit", f"pubsub {limit}")

        return allow

    return [allow("1 1 1"), allow("33554432 8388608 60")]


@pytest.mark.parametrize(
    "fault", [paused_and_resumed, killed_and_restarted, emptied, thrown_out, too_slow_for_it], ids=lambda f: f.__name__
)
async def test_under_load_every_write_succeeds_and_arrives_everywhere_in_time(
    three: Servers, redis: RedisService, tmp_path: Path, fault: Callable[[RedisService], list[Callable[[], object]]]
) -> None:
    async with under_load(urls(three), tmp_path) as load:
        await load.more()
        for step in fault(redis):
            await asyncio.to_thread(step)
            await load.going_on(2 * ARRIVAL_SECONDS)
    assert load.history.refused == 0
    late = {where: seconds for where, seconds in delays(load.history.entries).items() if seconds > ARRIVAL_SECONDS}
    assert not late
