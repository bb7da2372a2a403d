"""kill -9 at any moment: nothing acknowledged is lost, nothing happens twice, and every subscriber catches up."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec.structs import replace
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from application.ports.idempotency import Answer
from application.realtime.reader import JournalReader
from application.tasks import Bulk, BulkCreate, NewTask
from domain.channels import workspace_stream
from domain.ids import AccountId, WorkspaceId
from entrypoints.container import Container, assembled, offline
from tests.support.builders import an_account, principal
from tests.support.clients import Json, Person, client, done, following, listening, sign_up
from tests.support.faulty_broker import FatalBroker
from tests.support.promised import stretched
from tests.support.server import ROOT, ServerProcess

WRITERS = 6
KILLS = 3
DEADLINE_SECONDS = 60.0
HEAD_CHECK_BOUND_SECONDS = 3.0

ANSWER = Answer(201, (), b"{}")

# What a client sees of a server that is killed.
BROKEN = (httpx.TransportError, ConnectionClosed, InvalidHandshake, OSError, TimeoutError)


@dataclass(slots=True)
class History:
    """What the writers did, by the unique title that each write sets, and what they were told about it."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """The id of the task, of every write that was answered with a 2xx."""
    keyed: set[str] = field(default_factory=set)
    """Writes with an idempotency key, repeated until they were answered."""
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        return len(self.acknowledged)


class Writer:
    """Writes one thing after the other until it is told to stop; what it was not answered it does not know."""

    def __init__(self, person: Person, history: History, name: str) -> None:
        self._person = person
        self._history = history
        self._titles = (f"{name}.{number}" for number in count())

    async def write(self) -> None:
        title = next(self._titles)
        match random.randrange(4):
            case 0:
                await self._open_under_a_key(title)
            case 1:
                await self._be_refused(title)
            case _:
                await self._open_and_rename(title)

    async def _open_and_rename(self, title: str) -> None:
        task = await self._told(title, "POST", "/tasks", {"title": title})
        if task is not None:
            title += " renamed"
            await self._told(title, "PATCH", f"/tasks/{task['id']}", {"title": title})

    async def _open_under_a_key(self, title: str) -> None:
        self._history.keyed.add(title)
        headers = {"Idempotency-Key": uuid4().hex}
        while title not in self._history.acknowledged:
            await self._told(title, "POST", "/tasks", {"title": title}, headers=headers)
        self._history.unknown.discard(title)

    async def _be_refused(self, title: str) -> None:
        """All or nothing, and the second half cannot be."""
        operations = [{"op": "create", "task": {"title": title}}, {"op": "delete", "id": str(uuid4())}]
        await self._told(title, "POST", "/tasks/bulk", {"operations": operations})

    async def _told(self, title: str, method: str, path: str, body: Json, **options: object) -> Json | None:
        try:
            response = await self._person.send(method, path, json=body, **options)
        except BROKEN:
            self._history.unknown.add(title)
            await asyncio.sleep(0.01)
            return None
        if response.is_success:
            said: Json = response.json()
            self._history.acknowledged[title] = said["id"]
            return said
        # Either the fault of the request, or of a store that is there all the time.
        assert 400 <= response.status_code < 500, response.text
        self._history.refused.add(title)
        return None


class Subscriber:
    """Follows a stream over all interruptions; AssertionError at the first event that is not the next one."""

    def __init__(self, person: Person, stream: str) -> None:
        self._person = person
        self._stream = stream
        self.position = 0
        self.connections = 0

    def take(self, offset: int) -> None:
        assert offset == self.position + 1
        self.position = offset

    async def over_a_socket(self, base_url: str) -> None:
        epoch = None
        while True:
            with suppress(*BROKEN):
                async with listening(base_url) as listener:
                    resume = {self._stream: self.position}
                    data = await listener.connect(self._person.token, self._stream, resume=resume, epoch=epoch)
                    assert data["channels"][self._stream]["recovered"]
                    epoch = data["epoch"]
                    self.connections += 1
                    while True:
                        frame = await listener.frame("event")
                        self.take(frame["offset"])
            await asyncio.sleep(0.02)

    async def over_an_event_stream(self) -> None:
        while True:
            with suppress(*BROKEN):
                async with following(self._person, self._stream, self.position) as stream:
                    self.connections += 1
                    while (event := await stream.next()) is not None:
                        self.take(int(event["id"]))
            await asyncio.sleep(0.02)


async def test_no_acknowledged_write_is_lost_and_none_is_doubled_by_a_killed_server(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = await asyncio.to_thread(start_server, RATE_LIMIT_ENABLED="false")
    async with client(server.base_url) as http, asyncio.timeout(DEADLINE_SECONDS):
        ada = await sign_up(http)
        stream = f"workspace:{ada.id}"
        history = History()
        subscribers = [Subscriber(ada, stream) for _ in range(2)]
        following = [
            asyncio.create_task(subscribers[0].over_a_socket(server.base_url)),
            asyncio.create_task(subscribers[1].over_an_event_stream()),
        ]
        await under_load(server, ada, history)
        events = await ada.events(stream)
        while min(subscriber.position for subscriber in subscribers) < len(events):
            assert not any(task.done() for task in following), [task for task in following if task.done()]
            await asyncio.sleep(0.01)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        assert all(subscriber.connections > KILLS for subscriber in subscribers)
        await check(ada, history, events)


async def under_load(server: ServerProcess, ada: Person, history: History) -> None:
    """Let the writers write, and kill the server again and again."""
    stopping = False

    async def write(number: int) -> None:
        writer = Writer(ada, history, f"writer {number}")
        while not stopping:
            await writer.write()

    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(write(number))
        for _ in range(KILLS):
            enough = history.size + random.randint(20, 80)
            while history.size < enough:
                await asyncio.sleep(random.uniform(0, 0.01))
            server.kill()
            await asyncio.to_thread(server.restart)
        enough = history.size + 20
        while history.size < enough:
            await asyncio.sleep(0.01)
        stopping = True


async def check(ada: Person, history: History, events: list[Json]) -> None:
    """Compare what was acknowledged with what there is."""
    assert [event["offset"] for event in events] == list(range(1, len(events) + 1))
    written = Counter(title_in(event) for event in events[1:])
    assert all(number == 1 for number in written.values()), written.most_common(3)
    assert history.acknowledged.keys() <= written.keys()
    assert history.keyed <= written.keys()
    assert written.keys() <= history.acknowledged.keys() | history.unknown
    assert history.refused
    assert not history.refused & written.keys()
    resources = {title_in(event): event["resource"]["id"] for event in events[1:]}
    assert {title: resources[title] for title in history.acknowledged} == history.acknowledged
    shown = {task["id"]: task["title"] for task in await all_tasks(ada)}
    newest = {resources[title]: title for title in map(title_in, events[1:])}
    assert shown == newest


def title_in(event: Json) -> str:
    """What the one write that this event tells of set the title to."""
    title: str = event["changes"]["title"][1] if event["changes"] else event["data"]["title"]
    return title


async def all_tasks(person: Person) -> list[Json]:
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = done(await person.get("/tasks", params={"limit": 200, **cursor}))
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def write_and_die(database_url: str, account: str, way: str) -> None:
    """What the other process does: write in one of these ways, and be killed before anybody hears of it."""
    asyncio.run(_write_and_die(database_url, AccountId(UUID(account)), way))


async def _write_and_die(database_url: str, id: AccountId, way: str) -> None:
    house = process(database_url, broker=providers.Object(FatalBroker()))
    await house.database().open()
    await house.numbers_database().open()
    async with house.work()() as work:
        actor = principal(await work.accounts.get(id))
    tasks = house.tasks()
    match way:
        case "one":
            await tasks.open(actor, NewTask("The last one"))
        case "many":
            await tasks.bulk(actor, Bulk([BulkCreate(NewTask("The last one"))] * 30))
        case _:
            async with house.idempotency().attempt(id, "a key", b"f" * 32) as attempt:
                await tasks.open(actor, NewTask("The last one"))
                if way == "unfinished":
                    os.kill(os.getpid(), signal.SIGKILL)
                attempt.record(ANSWER)


def process(database_url: str, **changes: object) -> Container:
    return assembled(settings=replace(offline(), database_url=database_url), **changes)


@asynccontextmanager
async def reading(house: Container, stream: str) -> AsyncIterator[JournalReader]:
    checking = asyncio.create_task(house.hub().run())
    try:
        async with house.hub().reader(stream, None) as reader:
            yield reader
    finally:
        checking.cancel()


async def killed_while_writing(database_url: str, account: AccountId, way: str) -> None:
    """Run the other process to its end."""
    program = "import sys; from tests.integration.test_crash import write_and_die; write_and_die(*sys.argv[1:])"
    writing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, database_url, str(account), way),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
    )
    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await writing.wait() == -signal.SIGKILL


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[Container]:
    house = process(database_url)
    await house.database().open()
    await house.numbers_database().open()
    yield house
    await house.numbers_database().close()
    await house.database().close()


@pytest.mark.parametrize(("way", "events"), [("one", 1), ("many", 30), ("under a key", 1)])
async def test_what_was_committed_by_a_process_that_could_not_tell_is_found_by_others_within_seconds(
    house: Container, database_url: str, way: str, events: int
) -> None:
    ada = await an_account(Store(house))
    async with reading(house, workspace_stream(WorkspaceId(ada.id))) as reader:
        await killed_while_writing(database_url, ada.id, way)
        seen: list[int] = []
        async with asyncio.timeout(stretched(HEAD_CHECK_BOUND_SECONDS)):
            while len(seen) < events:
                seen += [entry.offset for entry in await reader.read()]
        assert seen == list(range(2, 2 + events))
    if way == "under a key":
        async with house.idempotency().attempt(ada.id, "a key", b"f" * 32) as attempt:
            assert attempt.replay == ANSWER


async def test_what_was_not_committed_under_a_key_never_happened_and_happens_once_under_the_same_key(
    house: Container, database_url: str
) -> None:
    ada = await an_account(Store(house))
    await killed_while_writing(database_url, ada.id, "unfinished")
    for is_first in (True, False):
        async with house.idempotency().attempt(ada.id, "a key", b"f" * 32) as attempt:
            assert (attempt.replay is None) is is_first
            if is_first:
                await house.tasks().open(principal(ada), NewTask("The last one"))
                attempt.record(ANSWER)
    assert [event.offset for event in await house.journal().read(workspace_stream(WorkspaceId(ada.id)), 0, 9)] == [1, 2]


class Store:
    """A container as the builders want it."""

    def __init__(self, house: Container) -> None:
        self.work, self.clock, self.ids = house.work(), house.clock(), house.ids()
