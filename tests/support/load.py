"""Writers and subscribers that go on whatever is done to the servers, and in the end a look at what came of it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from entrypoints.client import Client
from tests.support.clients import Json, Person, client, done, sign_up, until
from tests.support.history import History, holes, lost_or_made_up, outages, repeated_effects

# A little more than a request may take.
ANSWER_SECONDS = 32.0
SETTLE_SECONDS = 60.0
PACE_SECONDS = 0.05
# Of so many writes one has no key, so nobody can find out how it ended if it is not answered; and one is sent twice.
KEYLESS_EVERY = 4
TWICE_EVERY = 5


class Load:
    """What goes on in the personal workspace of `ada`, and the history of it."""

    def __init__(self, ada: Person, begun: int) -> None:
        self.ada = ada
        self.channel = f"workspace:{ada.id}"
        self.history = History()
        self.positions: dict[str, int] = {}
        """How far each subscriber has heard."""
        self._begun = begun
        self._is_over = False
        self._writing: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []

    def begin(self, writers: Sequence[Person], urls: Sequence[str]) -> None:
        """Let them write, and somebody listen at each of the addresses."""
        for number, writer in enumerate(writers):
            self._writing.append(asyncio.create_task(self._write(f"writer-{number}", writer)))
        for number, url in enumerate(urls):
            self._listening.append(asyncio.create_task(self._listen(f"listener-{number}", url)))

    async def more(self, writes: int = 40) -> None:
        """Return when so many more writes were acknowledged."""
        enough = self.history.written + writes
        await self._until(lambda: self.history.written >= enough)

    async def going_on(self, seconds: float) -> None:
        """Return when a write was acknowledged that was set out on so many seconds from now."""
        then = time.monotonic() + seconds
        await self._until(lambda: time.monotonic() > then, seconds + SETTLE_SECONDS)
        await self.more(1 + len(self._writing))

    async def refusals(self, writes: int = 10) -> None:
        """Return when so many more writes were refused or got no answer."""
        enough = self.history.refused + writes
        await self._until(lambda: self.history.refused >= enough)

    async def settle(self) -> None:
        """Let everybody write and hear to the end."""
        self._is_over = True
        await self._until(lambda: all(task.done() for task in self._writing))
        head = self._begun + len(await self.events())
        await self._until(lambda: all(at >= head for at in self.positions.values()))

    async def end(self) -> None:
        """Stop at once."""
        tasks = self._writing + self._listening
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until(self, met: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> None:
        """Wait for it; whatever ended a writer or listener before its time is raised."""

        def is_met() -> bool:
            for task in self._writing + self._listening:
                if task.done():
                    task.result()
            return met()

        await until(is_met, seconds)

    async def _write(self, name: str, person: Person) -> None:
        """Write until it is over, and each thing that has a key until it is answered."""
        for number in itertools.count():
            value = f"{name}.{number}"
            key = "" if number % KEYLESS_EVERY == 0 else value
            while not await self._try(name, value, key, person) and key:
                await asyncio.sleep(PACE_SECONDS)
            if key and number % TWICE_EVERY == 0:
                await self._try(name, value, key, person)
            if self._is_over:
                return
            await asyncio.sleep(PACE_SECONDS)

    async def _try(self, name: str, value: str, key: str, person: Person) -> bool:
        write = self.history.write(name, value, key)
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await person.post("/tasks", {"title": value}, headers=headers)
        except (httpx.TransportError, TimeoutError):
            write.lost()
            return False
        assert answer.is_success or answer.is_server_error or answer.status_code == 409, answer.text
        told = answer.json()["id" if answer.is_success else "code"]
        write.answered(answer.status_code, told, retry_after="retry-after" in answer.headers)
        return answer.is_success

    async def _listen(self, name: str, url: str) -> None:
        """Hear everything from the beginning on, over all interruptions."""
        self.positions[name] = self._begun
        self.history.begin(name, self._begun)
        async with Client(url, self._token) as live:
            begins_anew = False
            async for frame in live.subscribe(self.channel, since=self._begun):
                match frame["type"]:
                    case "event":
                        self.positions[name] = frame["offset"]
                        self.history.hear(name, frame["offset"], frame["event"]["data"]["title"])
                    case "resync":
                        begins_anew = True
                    case "subscribed" if begins_anew:
                        self.history.begin(name, frame["offset"])
                        begins_anew = False

    async def _token(self) -> str:
        return self.ada.token

    async def flaws(self, recovery_seconds: float, patience_seconds: float) -> list[str]:
        """What the final read shows that was not promised."""
        entries, events = self.history.entries, await self.events()
        titles = [event["data"]["title"] for event in events]
        written = {event["data"]["title"]: event["resource"]["id"] for event in events}
        flaws = lost_or_made_up(entries, written)
        flaws += holes(entries, self._begun + len(events))
        flaws += repeated_effects(entries, titles)
        flaws += outages(entries, recovery_seconds, patience_seconds)
        if await self._tasks() != written:
            flaws.append("the tasks are others than those that the journal tells of")
        return flaws

    async def events(self) -> list[Json]:
        """What the journal has of it."""
        return (await self.ada.events(self.channel))[self._begun :]

    async def _tasks(self) -> dict[str, str]:
        found: dict[str, str] = {}
        page: Json = {"next_cursor": None}
        while not found or page["next_cursor"]:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = done(await self.ada.get("/tasks", params={"limit": 200, **cursor}))
            found |= {task["title"]: task["id"] for task in page["data"]}
        return found


@asynccontextmanager
async def under_load(
    urls: Sequence[str],
    folder: Path,
    *,
    writers: int = 6,
    listeners: int = 2,
    recovery_seconds: float = 5.0,
    patience_seconds: float = 5.0,
) -> AsyncIterator[Load]:
    """Let `writers` write at these servers, and `listeners` listen at each, while the block does its worst.

    When it is left, everything has to be healed: then the servers have to be ready, and what was promised to hold.
    AssertionError with everything that does not; the history is in `folder`.
    """
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(url)) for url in urls]
        ada = await sign_up(clients[0])
        load = Load(ada, len(await ada.events(f"workspace:{ada.id}")))
        stack.callback(load.history.save, folder / f"history-{ada.id}.jsonl")
        stack.push_async_callback(load.end)
        load.begin([replace(ada, http=clients[n % len(clients)]) for n in range(writers)], [*urls] * listeners)
        yield load
        for http in clients:
            await until(partial(_is_ready, http), SETTLE_SECONDS)
        await load.settle()
        flaws = await load.flaws(recovery_seconds, patience_seconds)
        assert not flaws, "\n".join(flaws[:20])


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False
