"""The words that a task is found by are looked for when its text changes, as that is most of the work of a change."""

import asyncpg
import pytest

from application.tasks import Bulk, BulkUpdate, TaskPatch
from domain.tasks import Priority, Status
from tests.integration.test_database import furnished


@pytest.mark.parametrize("in_bulk", [True, False])
async def test_words_stay_as_they_are_while_no_text_changes(database_url: str, in_bulk: bool) -> None:
    async with furnished(database_url) as house:
        connection = await asyncpg.connect(database_url)

        async def words_after(patch: TaskPatch) -> str:
            tasks = house.container.tasks()
            if in_bulk:
                await tasks.bulk(house.actor, Bulk([BulkUpdate(house.task, patch)]))
            else:
                await tasks.edit(house.actor, house.task, patch)
            return str(await connection.fetchval("SELECT words FROM tasks WHERE id = $1", house.task))

        # As nobody finds them in this text.
        await connection.execute("UPDATE tasks SET words = 'marked' WHERE id = $1", house.task)
        for patch in (
            TaskPatch(status=Status.DONE, priority=Priority.HIGH, labels=["new"], custom={"a": 1}),
            TaskPatch(title="A task", description="", estimate_minutes=5),
        ):
            assert await words_after(patch) == "'marked'"
        assert await words_after(TaskPatch(title="Renamed")) == "'renamed'"
        assert await words_after(TaskPatch(description="Told")) == "'renamed' 'told'"
        await connection.close()
