"""Whoever reads nothing is noticed by what waits for them here, as the kernel takes little on their behalf."""

from tests.support.clients import client, done, listening, sign_up, until
from tests.support.exposition import Samples
from tests.support.server import ServerProcess

# 0.6 MB: twice what a receive buffer of the usual size, what may be unsent and what may wait in the process come to. By
# itself the kernel takes some 3 MB on the loopback.
TASKS = 75
DESCRIPTION = "x" * 8_000


async def test_a_reader_that_stalls_is_seen_before_the_kernel_has_taken_much(shared_server: ServerProcess) -> None:
    async with client(shared_server.base_url) as http:
        ada = await sign_up(http)
        async with listening(shared_server.base_url, ping_interval=None, max_queue=1, close_timeout=0) as stalled:
            await stalled.connect(ada.token, f"workspace:{ada.id}")
            task = {"title": "long", "description": DESCRIPTION}
            done(await ada.post("/tasks/bulk", {"operations": [{"op": "create", "task": task}] * TASKS}))

            async def is_seen() -> bool:
                return Samples((await http.get("/metrics")).text)("signalbox_ws_congested") == 1

            await until(is_seen)
