"""A deadlock and a serialization failure, both PostgreSQL's own: the loser runs again from its start, unseen."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Self

import asyncpg
import pytest

from application.ports.idempotency import Answer
from application.tasks import TaskPatch
from domain.channels import workspace_stream
from domain.ids import WorkspaceId
from tests.integration.test_database import House, furnished
from tests.support.clients import until

Change = Callable[[House], Coroutine[object, object, None]]


class Rival:
    """Somebody who holds the row of the stream, as no use case does before it has written everything else."""

    def __init__(self, url: str, house: House) -> None:
        self._url = url
        self._stream = workspace_stream(WorkspaceId(house.actor.account_id))
        self._task = house.task

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        await self._connection.execute("UPDATE streams SET head = head WHERE name = $1", self._stream)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def sees_somebody_wait(self) -> bool:
        return bool(
            await self._connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
            )
        )

    async def want_the_task(self) -> None:
        await self._connection.execute("UPDATE tasks SET title = title WHERE id = $1", self._task)

    async def commit(self) -> None:
        await self._connection.execute("COMMIT")

    async def deadlocks(self) -> int:
        """How many deadlocks there were in this database."""
        return int(
            await self._connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )


async def rename(house: House) -> None:
    await house.container.tasks().edit(house.actor, house.task, TaskPatch(title="Renamed"))


async def rename_under_a_key(house: House) -> None:
    async with house.container.idempotency().attempt(house.actor.account_id, "key", b"") as attempt:
        await rename(house)
        attempt.record(Answer(200, (), b""))


async def assert_renamed_once(house: House) -> None:
    view = await house.container.task_queries().view(house.task, house.actor.account_id)
    assert (view.title, view.version) == ("Renamed", 2)
    stream = workspace_stream(WorkspaceId(house.actor.account_id))
    entries = await house.container.journal().read(stream, 0, 10)
    assert [entry.type for entry in entries] == ["workspace.created", "task.created", "task.updated"]


@pytest.mark.parametrize("change", [rename, rename_under_a_key])
async def test_the_victim_of_a_deadlock_runs_again(new_database: Callable[[], str], change: Change) -> None:
    url = new_database()
    async with furnished(url) as house, Rival(url, house) as rival:
        before = await rival.deadlocks()
        changing = asyncio.create_task(change(house))
        await until(rival.sees_somebody_wait)
        await rival.want_the_task()  # PostgreSQL sees the ring when the first has waited for a second, and fails it
        await rival.commit()
        await changing
        await assert_renamed_once(house)
        assert any(error.endswith(": Stale") for error in house.accounts.errors)
        await until(lambda: rose(rival, before))


async def rose(rival: Rival, before: int) -> bool:
    return await rival.deadlocks() == before + 1


async def test_who_cannot_be_serialized_runs_again(new_database: Callable[[], str]) -> None:
    url = new_database()
    admin = await asyncpg.connect(url)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    await admin.close()
    async with furnished(url) as house, Rival(url, house) as rival:
        changing = asyncio.create_task(rename(house))
        await until(rival.sees_somebody_wait)
        await rival.commit()
        await changing
        await assert_renamed_once(house)
        assert house.accounts.errors == ["commit: Stale"]
