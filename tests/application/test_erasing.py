"""A deleted account is erased, and an export is made, however often the process dies at it."""

import io
import json
import random
import zipfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from dependency_injector.providers import Object

from adapters.memory.database import MemoryDatabase
from adapters.memory.exports import MemoryExportStore
from adapters.memory.rooms import MemoryRoomUpkeep
from adapters.memory.system import MovableClock
from adapters.memory.tasks import MemoryTaskUpkeep
from adapters.memory.upkeep import MemoryUpkeep
from application.workspaces import Acceptance, NewInvitation
from domain.errors import Unavailable
from domain.ids import ExportId, WorkspaceId
from tests.application.cinema import Cinema
from tests.support.builders import a_comment, a_message, a_session, a_task, a_team

GRACE = timedelta(days=3)


class Mortal:
    """A part at whose calls the process dies every now and then, before it has done anything or when it has."""

    def __init__(self, part: Any) -> None:
        self.part = part
        self.deaths = 0
        self.is_mortal = True
        self._chance = random.Random(7)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.part, name)

        async def call(*args: Any) -> Any:
            fate = self._chance.randrange(4) if self.is_mortal else 3
            self.deaths += fate < 2
            if fate == 0:
                raise Unavailable("killed before it")
            found = await method(*args)
            if fate == 1:
                raise Unavailable("killed after it")
            return found

        return call


async def a_life() -> tuple[Cinema, MemoryDatabase, list[Mortal]]:
    """An assembly in which erasing and exporting die again and again, and Ada with a hundred things of each kind."""
    clock = MovableClock()
    database = MemoryDatabase(clock)
    parts = {
        "upkeep": Mortal(MemoryUpkeep(database)),
        "room_upkeep": Mortal(MemoryRoomUpkeep(database)),
        "task_upkeep": Mortal(MemoryTaskUpkeep(database)),
        "export_store": Mortal(MemoryExportStore(database)),
    }
    changes = {name: Object(part) for name, part in parts.items()}
    cinema = await Cinema.open(clock=Object(clock), database=Object(database), **changes)
    ada = cinema.ada.account_id
    team = await a_team(cinema, cinema.bob.account_id)
    await cinema.workspaces.accept(cinema.ada, await _invited(cinema, team.id))
    for _ in range(100):
        task = await a_task(cinema, WorkspaceId(ada), ada)
        await a_comment(cinema, task.id, ada)
    await a_task(cinema, team.id, cinema.bob.account_id, assignees=[ada])
    room = await cinema.room(cinema.bob)
    for _ in range(100):
        await a_message(cinema, room.id, ada)  # type: ignore[arg-type]
    await a_session(cinema, ada)
    return cinema, database, list(parts.values())


async def _invited(cinema: Cinema, team: WorkspaceId) -> Any:
    made = await cinema.workspaces.invite(cinema.bob, team, NewInvitation())
    return Acceptance(made.token)


async def follow_up(cinema: Cinema) -> None:
    """Everything that follows has happened, failures and all."""
    worker, cursors = cinema.house.following_up(), cinema.house.cursors()
    for _ in range(1_000):
        if not await worker.turn() and not await cursors.backlog():
            return
        cinema.wait(minutes=5)  # what failed is tried again
    raise AssertionError("it has no end")


async def test_an_erasure_that_is_killed_again_and_again_comes_to_its_end() -> None:
    cinema, database, parts = await a_life()
    ada = cinema.ada.account_id
    async with cinema.work() as work:
        account = await work.accounts.get(ada)
        address = str(account.email)
        account.request_deletion(cinema.clock.now() + GRACE, cinema.clock.now())
        work.accounts.save(account)
    there = repr(database.committed._tables) + repr(database.committed.streams)
    assert address in there
    assert "Ada" in there
    await follow_up(cinema)
    await cinema.pass_time(days=3)
    await follow_up(cinema)
    kept = repr(database.committed._tables) + repr(database.committed.streams)
    assert address not in kept
    assert "Ada" not in kept
    assert sum(part.deaths for part in parts) > 10
    (left,) = [each for each in database.committed.streams[f"account:{ada}"] if each.type == "account.deleted"]
    assert left.offset == 1 + database.committed.tail(f"account:{ada}")


async def test_an_export_that_is_killed_again_and_again_has_everything_once() -> None:
    cinema, _, parts = await a_life()
    exports = cinema.house.exports()
    export = await exports.request(cinema.ada)
    await follow_up(cinema)
    parts[-1].is_mortal = False
    sent = b"".join([piece async for piece in await exports.fetch(cinema.ada, ExportId(export.id))])
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        comments = [each for name in names if name.startswith("comments/") for each in json.loads(archive.read(name))]
    assert len(names) == len(set(names))
    assert len({comment["id"] for comment in comments}) == len(comments) == 100
    assert parts[-1].deaths > 5
