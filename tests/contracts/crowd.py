"""People whose presence several processes keep in one Redis, and what may befall these processes."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from redis import Redis

from adapters.redis.presence import RedisPresence
from application.ports.presence import Attendance
from domain.errors import Unavailable
from domain.ids import AccountId
from tests.contracts.house import eventually

HALL = "presence:workspace:hall"
ADA, BOB = AccountId(UUID(int=1)), AccountId(UUID(int=2))

NewPresence = Callable[..., RedisPresence]


def account(number: int) -> AccountId:
    return AccountId(UUID(int=number + 1))


async def present(presence: RedisPresence, channel: str = HALL) -> set[AccountId]:
    return set((await presence.present(channel)).accounts)


async def enter_crowd(presence: RedisPresence, size: int, name: str = "c") -> None:
    """Let as many accounts in, each with one connection."""
    await asyncio.gather(*(presence.enter(HALL, account(i), f"{name}{i}") for i in range(size)))


async def refreshed(presence: RedisPresence) -> list[Attendance]:
    """What the first refresh says that succeeds."""
    came: list[Attendance] = []

    async def succeeds() -> bool:
        try:
            came.extend(await presence.refresh())
        except Unavailable:
            return False
        return True

    await eventually(succeeds)
    return came


async def reap_together(reapers: Sequence[RedisPresence]) -> list[Attendance]:
    return [gone for each in await asyncio.gather(*(reaper.reap() for reaper in reapers)) for gone in each]


def lapse(presence: RedisPresence, admin: Redis) -> None:
    """Let the lease of an instance be over, as if it had stood still for that long."""
    admin.zadd("signalbox:presence:instances", {presence._instance: 1})
