"""The drill: a database is lost under a running server, yesterday's backup takes its place, and nobody is misled."""

import subprocess
import sys
from collections.abc import Callable

import asyncpg

from tests.support.clients import Json, Person, client, done, following, listening, sign_up, until
from tests.support.server import ROOT, ServerProcess
from tests.support.services import PostgresService, call_postgres

BACKED_UP, LOST, NEW = 20, 50, 100


async def titles(person: Person) -> list[str]:
    found: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = done(await person.get("/tasks", params={"limit": "200", "sort": "created_at", **cursor}))
        found += page["data"]
        if page["next_cursor"] is None:
            return [task["title"] for task in found]
        cursor = {"cursor": page["next_cursor"]}


def signalbox(command: str, database_url: str) -> str:
    """What a command of ours prints."""
    environment = {"PYTHONPATH": str(ROOT / "src"), "DATABASE_URL": database_url, "JWT_SECRET": "x" * 40}
    done = subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def put_in_place_of(lost_url: str, restored_url: str, admin_url: str) -> None:
    """Give the restored database the name of the lost one, whose connections break."""
    lost, restored = (url.partition("@/")[2].partition("?")[0] for url in (lost_url, restored_url))
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"ALTER DATABASE {lost} ALLOW_CONNECTIONS false")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", lost)
        await until(lambda: connection.fetchval("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = $1", lost))
        await connection.execute(f"ALTER DATABASE {lost} RENAME TO {lost}_lost")
        await connection.execute(f"ALTER DATABASE {restored} RENAME TO {lost}")
    finally:
        await connection.close()


async def test_after_a_restore_everybody_reads_anew_and_nothing_that_was_lost_is_shown(
    postgres_service: PostgresService, start_server: Callable[..., ServerProcess]
) -> None:
    url, restored = postgres_service.clone(), postgres_service.create()
    server = start_server(database_url=url, RATE_LIMIT_ENABLED="false")
    async with client(server.base_url) as http:
        ada = await sign_up(http)
        channel = f"workspace:{ada.id}"
        for number in range(BACKED_UP):
            await ada.open_task(f"kept {number}")
        backup = call_postgres("pg_dump", "--no-owner", url)
        async with listening(server.base_url) as live, following(ada) as stream:
            epoch = (await live.connect(ada.token, channel))["epoch"]
            for number in range(LOST):
                await ada.open_task(f"lost {number}")
            head = 1 + BACKED_UP + LOST
            assert [(await live.event())["offset"] for _ in range(LOST)][-1] == head
            assert [int((await stream.next() or {})["id"]) for _ in range(LOST)][-1] == head

            call_postgres("psql", restored, "--quiet", "--set=ON_ERROR_STOP=1", script=backup)
            said = signalbox("new-epoch", restored)
            await put_in_place_of(url, restored, postgres_service.create())

            # Who is connected is told so, without having come again.
            resync = await live.frame("resync")
            assert (resync["reason"], resync["offset"]) == ("epoch", 1 + BACKED_UP)
            assert resync["epoch"] in said
            assert resync["epoch"] != epoch
            assert await stream.next() == {
                "event": "resync",
                "id": str(1 + BACKED_UP),
                "data": {"reason": "epoch"},
            }
            assert await titles(ada) == [f"kept {number}" for number in range(BACKED_UP)]

            # What is written from now on comes, although the server may hold numbers of the lost journal.
            for number in range(NEW):
                await ada.open_task(f"new {number}")
            expected = list(range(2 + BACKED_UP, 2 + BACKED_UP + NEW))
            assert [(await live.event())["offset"] for _ in range(NEW)] == expected
            assert [int((await stream.next() or {})["id"]) for _ in range(NEW)] == expected
            assert not [frame for frame in live.inbox if frame["type"] == "resync"]
        # Who comes again with a position of before is told so as well, however far the new journal has come.
        async with listening(server.base_url) as live:
            data = await live.connect(ada.token, channel, resume={channel: head}, epoch=epoch)
            assert data["channels"][channel]["recovered"] is False
            assert (await live.frame("resync"))["reason"] == "epoch"
        tasks = await titles(ada)
    assert tasks == [f"kept {number}" for number in range(BACKED_UP)] + [f"new {number}" for number in range(NEW)]
