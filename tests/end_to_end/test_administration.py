"""Accounts are looked after on the command line, and running servers learn of it within a second."""

import asyncio
import json
import os
import sys

from tests.support.clients import PASSWORD, PATIENCE_SECONDS, client, done, log_in, sign_up, until
from tests.support.server import JWT_SECRET, ROOT, ServerProcess


async def run(server: ServerProcess, *command: str) -> tuple[int | None, list[str]]:
    """The exit code of a command on the server's database, and the lines that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrypoints.cli", *command),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src", "DATABASE_URL": server.database_url, "JWT_SECRET": JWT_SECRET},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complained = await process.communicate()
    return process.returncode, (printed or complained).decode().splitlines()


async def test_accounts_are_listed_promoted_demoted_disabled_and_enabled(server: ServerProcess) -> None:
    async with client(server.base_url) as http:
        ada, bob = await sign_up(http, "Ada"), await sign_up(http, "Bob")

        code, lines = await run(server, "list-accounts", "--json")
        assert code == 0
        listed = [json.loads(line) for line in lines]
        assert [account["email"] for account in listed] == [ada.email, bob.email]
        assert await run(server, "create-admin", bob.email) == (
            0,
            [f"{bob.email} is an admin now and has to sign in again."],
        )
        code, lines = await run(server, "list-accounts")
        assert [line.split()[2:] for line in lines] == [["user", "active", ada.email], ["admin", "active", bob.email]]
        assert (await run(server, "demote", bob.email))[0] == 0

        assert (await run(server, "disable", ada.email))[0] == 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await ada.get("/me")).status_code == 200:
                await asyncio.sleep(0.05)
        refused = await http.post("/api/v1/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert refused.status_code == 401
        assert (await run(server, "enable", ada.email))[0] == 0
        again = await log_in(http, ada.email)

        async def is_told() -> bool:
            events = done(await again.get("/events", params={"channel": "me", "type": "login.failed"}))["data"]
            return [event["actor"] for event in events] == [None]

        await until(is_told)
        assert await run(server, "disable", "eve@example.org") == (1, ["No account has the address eve@example.org."])
