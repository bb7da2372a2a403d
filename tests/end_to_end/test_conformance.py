"""Every case of `tests/conformance` against a real server: any client may be tested with the same cases.

A case is a list of steps on one connection: `connect` with the token, `send` a frame (so many `times`), `expect` a
frame that has at least these fields, be told `close` with a code, ask over `http` meanwhile, and open so many other
connections of the account as a `crowd`. `$TOKEN` and `$OTHER_TOKEN` are access tokens of two accounts, `$WORKSPACE` is
the first one's id and its workspace's, `$TASK` a task in it, `$OFFSET` the offset of the workspace's last event,
`$LONG` 5,000 and `$HUGE` 70,000 characters.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dependency_injector import providers

from application.realtime.lobby import Lobby
from tests.http.house import house_in_memory, served
from tests.support.clients import Json, Listener, client, done, listening, sign_up

CASES: list[Json] = [
    case
    for path in sorted((Path(__file__).parents[1] / "conformance").glob("*.json"))
    for case in json.loads(path.read_text())
]


@pytest_asyncio.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """A server that waits half a second for the first frame, and limits nothing but the connections of an account."""
    house = house_in_memory(connect_seconds=providers.Object(0.5))
    house.lobby.override(providers.Singleton(Lobby, house.presence, house.broker, house.hub, house.telling))
    async with served(house) as url:
        yield url


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_the_protocol_is_as_the_cases_say(url: str, case: Json) -> None:
    async with client(url) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        task = await ada.open_task()
        values = {
            "$TOKEN": ada.token,
            "$OTHER_TOKEN": bob.token,
            "$WORKSPACE": ada.id,
            "$TASK": task["id"],
            "$OFFSET": 2,
            "$LONG": "x" * 5_000,
            "$HUGE": "x" * 70_000,
        }
        async with listening(url) as live, AsyncExitStack() as others:
            for step in case["steps"]:
                match filled(step, values):
                    case {"http": request}:
                        done(await ada.send(request["method"], request["path"], json=request.get("body")))
                    case {"connect": _}:
                        await live.connect(ada.token)
                    case {"crowd": count}:
                        for _ in range(count):
                            await others.enter_async_context(listening(url, ada.token))
                    case wire_step:
                        await take(live, wire_step)


async def take(live: Listener, step: Json) -> None:
    match step:
        case {"send": frame}:
            for _ in range(step.get("times", 1)):
                await live.send(frame)
        case {"expect": wanted}:
            await live.find(lambda frame: has(frame, wanted))
        case {"close": code}:
            assert await live.closed() == code
        case _:
            pytest.fail(f"there is no such step: {step}")


def filled(template: Any, values: Json) -> Any:
    """The template with every placeholder replaced; one that stands alone keeps the type of its value."""
    match template:
        case dict():
            return {filled(key, values): filled(value, values) for key, value in template.items()}
        case list():
            return [filled(each, values) for each in template]
        case str() if template in values:
            return values[template]
        case str():
            for name, value in values.items():
                template = template.replace(name, str(value))
    return template


def has(found: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there."""
    if isinstance(wanted, dict) and wanted:
        return isinstance(found, dict) and all(key in found and has(found[key], wanted[key]) for key in wanted)
    return bool(found == wanted)
