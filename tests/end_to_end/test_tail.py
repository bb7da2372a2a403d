"""The command line follows a channel, and the JavaScript client is handed out to whoever asks."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.http.house import house_in_memory, served
from tests.support.clients import PASSWORD, Json, client, sign_up
from tests.support.server import START_SECONDS

SRC = Path(__file__).parents[2] / "src"


async def tail(url: str, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "entrypoints.cli",
        "tail",
        "--url",
        url,
        *arguments,
        env={**os.environ, "PYTHONPATH": str(SRC), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_tail_prints_one_event_a_line() -> None:
    async with served(house_in_memory()) as url, client(url) as http:
        ada = await sign_up(http)
        await ada.open_task("first")
        arguments = ("me", "--email", ada.email, "--since", "0")
        for process in (
            await tail(url, f"workspace:{ada.id}", "--since", "1", SIGNALBOX_TOKEN=ada.token),
            await tail(url, *arguments, SIGNALBOX_PASSWORD=PASSWORD),
        ):
            assert process.stdout
            async with asyncio.timeout(START_SECONDS):
                line: Json = json.loads(await process.stdout.readline())
            process.terminate()
            await process.communicate()
            assert line["type"] == "event"


async def test_tail_says_why_it_cannot() -> None:
    async with served(house_in_memory()) as url:
        process = await tail(url, "me", "--token", "nonsense")
        async with asyncio.timeout(START_SECONDS):
            _, said = await process.communicate()

    assert (process.returncode, said.decode().split()[0]) == (1, "4003")


async def test_the_javascript_client_is_handed_out_to_anybody_and_kept_while_it_is_the_same() -> None:
    async with served(house_in_memory()) as url, client(url) as http:
        first = await http.get("/client.js")
        again = await http.get("/client.js", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert "export class SignalboxClient" in first.text
    assert (again.status_code, again.content) == (304, b"")
