"""The processes need a role that reads and writes rows, and no more; another one migrates."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from adapters.embedded import EmbeddedPostgres, programs
from adapters.postgres import migrations
from entrypoints.doctor import examine
from tests.support.clients import client, done, listening, sign_up
from tests.support.server import ServerProcess
from tests.support.services import free_port

ROLES = Path(__file__).parents[2] / "deploy" / "postgres" / "roles.sql"


@pytest.fixture(scope="module")
def superuser() -> Iterator[str]:
    """The URL of the superuser of a cluster in which the roles were made as a deployment makes them."""
    with tempfile.TemporaryDirectory(prefix="signalbox-tests-") as folder:
        Path(folder).chmod(0o711)
        postgres = EmbeddedPostgres(Path(folder), durable=False)
        url = postgres.start()
        passwords = {"DATABASE_OWNER_PASSWORD": "it's hers", "DATABASE_PASSWORD": "it's theirs"}
        subprocess.run(
            [programs() / "psql", "--no-psqlrc", "--quiet", "--dbname", url, "--file", ROLES],
            env=os.environ | passwords,
            check=True,
        )
        migrations.upgrade(of("signalbox_owner", url))
        yield url
        postgres.stop()


def of(role: str, url: str) -> str:
    assert url.startswith("postgresql://postgres@")
    return url.replace("postgresql://postgres@", f"postgresql://{role}@")


async def test_a_server_with_rights_to_rows_only_does_everything(
    superuser: str, start_server: Callable[..., ServerProcess]
) -> None:
    environment = {"EVENT_RETENTION_DAYS": "1", "RATE_LIMIT_ENABLED": "false"}
    server = start_server(of("signalbox", superuser), **environment)
    async with client(server.base_url) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")
        team = (await ada.create_team())["id"]
        await ada.admit(bob, team)
        async with listening(server.base_url, bob.token, f"workspace:{team}") as live:
            headers = {"Idempotency-Key": uuid4().hex}
            task = done(await ada.post("/tasks", {"title": "one", "workspace_id": team}, headers=headers))
            assert (await live.event("task.created"))["event"]["resource"]["id"] == task["id"]
            assert (
                await ada.post("/tasks", {"title": "one", "workspace_id": team}, headers=headers)
            ).status_code == 201
            done(await bob.post(f"/tasks/{task['id']}/comments", {"text": "hello"}))
            new = [{"title": str(number), "workspace_id": team} for number in range(10)]
            done(await ada.post("/tasks/bulk", {"operations": [{"op": "create", "task": task} for task in new]}))
            done(await ada.delete(f"/workspaces/{team}/members/{bob.id}"))
            assert (await live.frame("unsubscribed"))["channel"] == f"workspace:{team}"
        assert len(done(await ada.get("/tasks", params={"workspace_id": team, "q": "one"}))["data"]) == 1
        done(await ada.post("/live/tickets", {}))
        done(await ada.post("/auth/logout-all"))
        assert (await http.get("/ready")).status_code == 200
    assert "InsufficientPrivilege" not in server.log()
    assert "permission denied" not in server.log()


FORBIDDEN = {
    "make a table": "CREATE TABLE mine (id int)",
    "make a temporary table": "CREATE TEMPORARY TABLE mine (id int)",
    "change a table": "ALTER TABLE tasks ADD COLUMN mine int",
    "drop a table": "DROP TABLE tasks",
    "empty a table": "TRUNCATE tasks CASCADE",
    "switch rules off": "ALTER TABLE tasks DISABLE TRIGGER ALL",
    "skip foreign keys": "SET session_replication_role = replica",
    "make a role": "CREATE ROLE mine",
    "become the owner": "SET ROLE signalbox_owner",
    "run a program": "COPY tasks TO PROGRAM 'cat'",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_the_role_of_the_processes_cannot(superuser: str, statement: str) -> None:
    connection = await asyncpg.connect(of("signalbox", superuser))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_neither_role_is_a_superuser_and_nobody_else_gets_in(superuser: str) -> None:
    admin = await asyncpg.connect(superuser)
    try:
        rows = await admin.fetch(
            "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolcanlogin"
        )
        assert dict(map(tuple, rows)) == {"postgres": True, "signalbox": False, "signalbox_owner": False}
        await admin.execute("CREATE ROLE stranger LOGIN")
    finally:
        await admin.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(of("stranger", superuser))


async def test_the_doctor_tells_production_of_a_role_that_may_do_everything(superuser: str) -> None:
    for role, is_noted in (("postgres", True), ("signalbox_owner", True), ("signalbox", False)):
        diagnoses = await examine(
            {
                "ENVIRONMENT": "production",
                "HOST": "127.0.0.1",
                "PORT": str(free_port()),
                "JWT_SECRET": "fJ8w!kQ2zR7v#Lm4Xc9p@Tn6Bs1d^Hg3",
                "DATABASE_URL": of(role, superuser),
            }
        )
        noted = [d for d in diagnoses if d.check == "role" and d.verdict == "note"]
        assert bool(noted) == is_noted, role
