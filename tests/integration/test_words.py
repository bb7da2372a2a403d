"""The words that a task is found by are looked for when its text changes, as that is most of the work of a change."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest

from adapters.memory.observer import MemoryObserver
from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.task_words import PostgresTaskWords
from application.tasks import Bulk, BulkUpdate, NewComment, NewTask, TaskPatch, TaskQuery
from domain.ids import CommentId, TaskId
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


# As a version before the rule of now left it: its words, and no rule.
OLD = "UPDATE {} SET words = 'old', words_rule = 0"


async def test_words_of_an_older_rule_are_found_anew_in_pieces_and_nobody_sees_more_of_it(database_url: str) -> None:
    async with furnished(database_url) as house:
        container, connection = house.container, await asyncpg.connect(database_url)
        tasks, anew = container.tasks(), container.task_words()
        opened = [await tasks.open(house.actor, NewTask(f"Łódź {number}")) for number in range(5)]
        made = [house.task, *(TaskId(task.id) for task in opened)]
        for task in made[1:]:
            await tasks.comment(house.actor, task, NewComment("请登录页面"))
        await container.words_anew().find()
        for table in ("tasks", "comments"):
            await connection.execute(OLD.format(table))
        before = [await tasks.read(house.actor, task) for task in made]

        async def found(q: str) -> int:
            return len((await tasks.page(house.actor, None, TaskQuery(q=q), "-created_at", None, 50)).data)

        assert (await found("lodz"), await found("登录"), await found("old")) == (0, 0, 6)
        assert await anew.find_anew(2) == 4
        assert await container.words_anew().find() == 7
        assert (await found("lodz"), await found("登录"), await found("old")) == (5, 5, 0)
        assert [await tasks.read(house.actor, task) for task in made] == before
        await connection.close()


class Between(Database):
    """Lets something happen after each thing that is read."""

    happens: Callable[[], Awaitable[object]]

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[asyncpg.Record]:
        rows = await super().fetch(statement, **values)
        if not statement.changes:
            await self.happens()
        return rows


async def test_a_text_that_changes_while_its_words_are_looked_for_keeps_the_words_that_it_has_now(
    database_url: str,
) -> None:
    async with furnished(database_url) as house:
        tasks, connection = house.container.tasks(), await asyncpg.connect(database_url)
        comment = await tasks.comment(house.actor, house.task, NewComment("before"))
        for table in ("tasks", "comments"):
            await connection.execute(OLD.format(table))

        async def change() -> None:
            await tasks.edit(house.actor, house.task, TaskPatch(title="Renamed"))
            await tasks.edit_comment(house.actor, house.task, CommentId(comment.id), NewComment("after"))
            # By a process of the version before, which knows no rules.
            for table in ("tasks", "comments"):
                await connection.execute(f"UPDATE {table} SET words_rule = 0")

        between = Between(database_url, 1, MemoryObserver())
        between.happens = change
        await between.open()
        assert await PostgresTaskWords(between).find_anew(10) == 1
        await between.close()
        assert await connection.fetchval("SELECT words::text FROM tasks WHERE id = $1", house.task) == "'renamed'"
        assert await connection.fetchval("SELECT words::text FROM comments WHERE id = $1", comment.id) == "'after'"
        await connection.close()


async def test_what_is_written_while_words_are_found_anew_stays_and_nobody_waits(database_url: str) -> None:
    async with furnished(database_url) as house:
        container, connection = house.container, await asyncpg.connect(database_url)
        await container.words_anew().find()
        await connection.execute(OLD.format("tasks"))
        # Somebody has the task in hand: it is passed over, and found the next time.
        async with connection.transaction():
            await connection.execute("UPDATE tasks SET version = version + 1 WHERE id = $1", house.task)
            async with asyncio.timeout(10):
                assert await container.task_words().find_anew(10) == 0
        assert await container.task_words().find_anew(10) == 1
        await connection.execute(OLD.format("tasks"))
        await container.tasks().edit(house.actor, house.task, TaskPatch(title="Renamed"))
        assert await container.task_words().find_anew(10) == 0
        row = await connection.fetchrow("SELECT words::text, words_rule FROM tasks WHERE id = $1", house.task)
        assert tuple(row) == ("'renamed'", 1)
        await connection.close()
