"""Somebody with thousands of open tasks is removed: they are out at once, and a kill on the way loses no task."""

import asyncio
from collections.abc import Callable

import asyncpg

from tests.support.clients import client, done, listening, sign_up, until
from tests.support.server import ServerProcess

TASKS = 5_000
KILLS = 2

# As many more tasks like the one that is there.
CLONE = """INSERT INTO tasks (id, workspace_id, key, title, description, status, priority, labels, assignees, watchers,
  custom, comment_count, created_by, created_at, updated_at, version, words)
SELECT gen_random_uuid(), workspace_id, 'MADE-' || i, title, description, status, priority, labels, assignees, watchers,
  custom, comment_count, created_by, created_at, updated_at, version, words
FROM tasks, generate_series(2, $1) AS i WHERE id = $2"""
TAKEN = """SELECT count(*), count(DISTINCT resource_id) FROM events WHERE stream = $1 AND type = 'task.unassigned'"""
LEFT = "SELECT count(*) FROM tasks WHERE assignees <> '{}'"
OFFSETS = 'SELECT count(*), min("offset"), max("offset") FROM events WHERE stream = $1'


async def test_who_had_thousands_of_tasks_is_out_at_once_and_each_of_them_is_taken_once_though_servers_are_killed(
    database_url: str, start_server: Callable[..., ServerProcess]
) -> None:
    server = start_server(database_url)
    store = await asyncpg.connect(database_url)
    try:
        async with client(server.base_url) as http:
            ada, bob = await sign_up(http), await sign_up(http, "Bob")
            team = (await ada.create_team())["id"]
            stream = f"workspace:{team}"
            await ada.admit(bob, team)
            task = await ada.open_task(workspace_id=team, assignee_ids=[bob.id])
            await store.execute(CLONE, TASKS, task["id"])
            async with listening(server.base_url) as wire:
                await wire.connect(bob.token, stream)
                done(await ada.delete(f"/workspaces/{team}/members/{bob.id}"))
                # They hear of it and of nothing after it.
                assert (await wire.event())["event"]["type"] == "member.removed"
            assert (await bob.get(f"/tasks/{task['id']}")).status_code == 404
            assert (await bob.patch(f"/tasks/{task['id']}", {"title": "Mine"})).status_code == 404
            for kill in range(KILLS):

                async def is_in_the_middle(enough: int = 200 * (kill + 1)) -> bool:
                    return bool(enough <= (await store.fetchrow(TAKEN, stream))[0])

                await until(is_in_the_middle, seconds=30)
                server.kill()
                assert await store.fetchval(LEFT) > 0
                await asyncio.to_thread(server.start)
            # What is not finished is somebody else's to see, and to change.
            done(await ada.patch(f"/tasks/{task['id']}", {"title": "Anybody's"}))

            async def is_over() -> bool:
                return not await store.fetchval("SELECT count(*) FROM cursors")

            await until(is_over, seconds=60)
            assert await store.fetchval(LEFT) == 0
            assert tuple(await store.fetchrow(TAKEN, stream)) == (TASKS, TASKS)
            count, first, last = await store.fetchrow(OFFSETS, stream)
            assert (first, last) == (1, count)
            assert done(await ada.get(f"/tasks/{task['id']}"))["assignees"] == []
    finally:
        await store.close()
