"""A client under a steering wheel: orders go in, frames and answers come out, whatever language it is written in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Protocol

from entrypoints.client import Client, CommandRefused, Stopped, Subscription
from tests.support.clients import PATIENCE_SECONDS, Json


class Driver(Protocol):
    """A client that tells what it hears."""

    heard: list[Json]

    async def order(self, do: str, **fields: object) -> None:
        """Have something done, and do not wait for it."""
        ...


async def find(driver: Driver, wanted: Callable[[Json], bool]) -> Json:
    """The first thing heard that is wanted, which is taken away; TimeoutError if it does not come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for index, frame in enumerate(driver.heard):
                if wanted(frame):
                    return driver.heard.pop(index)
            await asyncio.sleep(0.01)


_orders = count(1)


async def done(driver: Driver, do: str, **fields: object) -> Any:
    """What an order comes to; an AssertionError if it fails."""
    answer = await outcome(driver, do, **fields)
    assert answer["type"] == "done", answer
    return answer.get("data")


async def outcome(driver: Driver, do: str, **fields: object) -> Json:
    """How an order ended: done, or failed with a code."""
    order = next(_orders)
    await driver.order(do, order=order, **fields)
    return await find(driver, lambda frame: frame["type"] in {"done", "failed"} and frame["order"] == order)


async def offsets(driver: Driver, number: int) -> list[int]:
    """The offsets of the next so many events."""
    return [(await find(driver, lambda frame: frame["type"] == "event"))["offset"] for _ in range(number)]


class PythonDriver:
    def __init__(self, url: str) -> None:
        self.heard: list[Json] = []
        self.token = ""
        self.failures = 0
        self.client = Client(url, self._hand_out)
        self.subscriptions: dict[str, Subscription] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def order(self, do: str, **fields: object) -> None:
        self.tasks.append(asyncio.create_task(self._carry_out(do, fields)))

    async def _hand_out(self) -> str:
        self.heard.append({"type": "token_asked"})
        if self.failures:
            self.failures -= 1
            raise LookupError("the page that knows the token did not answer")
        return self.token

    async def _carry_out(self, do: str, fields: Json) -> None:
        order = fields.pop("order", None)
        try:
            data = await self._act(do, fields)
        except (CommandRefused, Stopped) as error:
            self.heard.append({"type": "failed", "order": order, "code": error.code})
        except LookupError:
            self.heard.append({"type": "failed", "order": order, "code": "no token"})
        else:
            self.heard.append({"type": "done", "order": order, "data": data})

    async def _act(self, do: str, fields: Json) -> Any:
        match do:
            case "token":
                self.token, self.failures = fields["token"], fields.get("failures", 0)
            case "connect":
                await self.client.__aenter__()
            case "subscribe" | "present":
                follow = self.client.subscribe if do == "subscribe" else self.client.be_present
                subscription = self.subscriptions[fields["channel"]] = follow(**fields)
                first = await anext(subscription)
                self.tasks.append(asyncio.create_task(self._listen(subscription, first)))
                return first
            case "unsubscribe":
                await self.client.unsubscribe(self.subscriptions[fields["channel"]])
            case "publish":
                await self.client.publish(**fields)
            case "call":
                return await self.client.call(**fields)
            case "ping":
                return await self.client.ping(**fields)
            case "close":
                await self.client.close()
        return None

    async def _listen(self, subscription: Subscription, first: Json) -> None:
        self.heard.append(first)
        try:
            async for frame in subscription:
                self.heard.append(frame)
        except (CommandRefused, Stopped) as error:
            self.heard.append({"type": "stopped", "code": error.code})


@asynccontextmanager
async def python_driver(url: str) -> AsyncIterator[Driver]:
    driver = PythonDriver(url)
    try:
        yield driver
    finally:
        await driver.client.close()
        for task in driver.tasks:
            task.cancel()
        await asyncio.gather(*driver.tasks, return_exceptions=True)
