"""A server that has notes, as people who use it meet it: its process is killed, and what is due comes all the same."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.clients import client, done, following, listening, log_in, sign_up, until
from tests.support.library import with_notes
from tests.support.server import ServerProcess


@pytest.fixture
def notes_server(new_database: Callable[[], str], tmp_path: Path) -> Iterator[ServerProcess]:
    module = "tests.architecture.notes"
    server = ServerProcess(with_notes(new_database()), tmp_path / "server.log", module=module, command=())
    yield server.start()
    server.stop()


async def test_a_killed_server_tells_after_its_restart_what_fell_due_meanwhile_and_tells_it_once(
    notes_server: ServerProcess,
) -> None:
    async with client(notes_server.base_url) as http:
        ada, bob = await sign_up(http), await sign_up(http, "Bob")
        note = done(await ada.post("/notes", {"text": "Bring the map."}))
        path, channel = f"/notes/{note['id']}", f"note:{note['id']}"
        done(await ada.put(f"{path}/participants/{bob.id}"))
        async with listening(notes_server.base_url, bob.token, channel, f"pulse:{channel}") as live:
            assert (await live.frame("value"))["data"] == 3
            written = {"id": note["id"], "note": {"text": "Bring the map and the lamp."}}
            assert (await live.call("call", method="note.write", params=written, key="k"))["type"] == "reply"
            assert (await live.event("note.written"))["offset"] == 3
            assert (await live.frame("value"))["data"] == 6
            due_at = datetime.now(UTC) + timedelta(seconds=1.5)
            done(await ada.put(f"{path}/reminder", json={"due_at": due_at.isoformat()}))
            notes_server.kill()
        await until(lambda: datetime.now(UTC) > due_at)
        notes_server.start()
        async with following(ada, channel, since=4) as stream:
            told = await stream.next()
            assert told is not None
            assert (told["id"], told["event"]) == ("5", "note.fell_due")
        notes_server.restart()
        bob = await log_in(http, bob.email)
        done(await bob.delete(f"{path}/participants/{bob.id}"))
        history = done(await ada.get(f"{path}/history"))["data"]
        assert (await bob.get(f"{path}/history")).status_code == 404
    assert [event["type"] for event in reversed(history)] == [
        *("note.opened", "writer.joined", "note.written", "note.reminder_set", "note.fell_due"),
        "writer.left",
    ]
