"""Subscribers of a live service, in a process of their own: told what to do by lines of JSON on stdin.

Needs picows and uvloop, so that counting costs less than sending. The first line says how to connect: `url`, `style`
(`plain` or `socketio`), `on_open` (frames to send once open), `ready` (text of the frame that says all is well) and
`update` (text that every update has). Then `connect` opens more, `arm` forgets what was counted, `wait` waits until
every one has had so many updates. Each command is answered by one line.
"""

import asyncio
import json
import resource
import sys
import time
from typing import Any

import uvloop  # type: ignore[import-not-found]
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect  # type: ignore[import-not-found]

STALLED_SECONDS = 15.0


class Count:
    """What all subscribers have had since it was armed; `arrivals` are the times at which each numbered update came."""

    total = 0
    last = 0.0
    arrivals: dict[bytes, list[float]] = {}  # noqa: RUF012  # one process, one count
    keep = False


class Subscriber(WSListener):  # type: ignore[misc]
    """One connection."""

    def __init__(self, how: dict[str, Any], ready: asyncio.Future[None]) -> None:
        self.how, self.ready = how, ready
        self.update = how["update"].encode()
        self.is_ready_text = how["ready"].encode()

    def on_ws_connected(self, transport: WSTransport) -> None:
        for frame in self.how.get("on_open", ()):
            transport.send(WSMsgType.TEXT, frame.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        said = frame.get_payload_as_bytes()
        if self.update in said:
            Count.total += 1
            Count.last = time.monotonic()
            if Count.keep:
                at = said.rfind(b"bench-")
                Count.arrivals.setdefault(said[at : at + 12], []).append(Count.last)
        elif self.is_ready_text in said and not self.ready.done():
            self.ready.set_result(None)
        elif self.how["style"] == "socketio":
            if said.startswith(b"0{"):
                transport.send(WSMsgType.TEXT, b"40" + json.dumps({"token": self.how["token"]}).encode())
            elif said.startswith(b"40"):
                transport.send(WSMsgType.TEXT, b'420["tasks:join"]')
            elif said == b"2":
                transport.send(WSMsgType.TEXT, b"3")
        elif b'"ping"' in said:
            transport.send(WSMsgType.TEXT, b'{"type":"pong"}')


async def connect(how: dict[str, Any], count: int) -> list[Any]:
    """So many more connections, 64 at a time."""
    opened: list[Any] = []
    turns = asyncio.Semaphore(64)

    async def one(number: int) -> None:
        async with turns:
            ready = asyncio.get_running_loop().create_future()
            # 28,000 ports fit behind one address.
            local = (f"127.0.0.{2 + number // 20_000}", 0)
            transport, _ = await ws_connect(
                lambda: Subscriber(how, ready), how["url"], websocket_handshake_timeout=30, local_addr=local
            )
            opened.append(transport)
            await asyncio.wait_for(ready, 30)

    await asyncio.gather(*(one(number) for number in range(count)))
    return opened


async def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    loop = asyncio.get_running_loop()
    opened: list[Any] = []
    how: dict[str, Any] = {}
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer: dict[str, Any] = {}
        match command["do"]:
            case "how":
                how = command
            case "connect":
                began = time.monotonic()
                opened += await connect(how, command["count"])
                answer = {"open": len(opened), "seconds": time.monotonic() - began}
            case "arm":
                Count.total, Count.last, Count.arrivals, Count.keep = 0, 0.0, {}, command["keep"]
            case "wait":
                goal, seen, moved = command["updates"] * len(opened), -1, time.monotonic()
                while Count.total < goal and time.monotonic() - moved < STALLED_SECONDS:
                    if Count.total != seen:
                        seen, moved = Count.total, time.monotonic()
                    await asyncio.sleep(0.01)
                answer = {"got": Count.total, "lost": goal - Count.total, "last": Count.last}
                answer["arrivals"] = {name.decode(): times for name, times in Count.arrivals.items()}
        print(json.dumps(answer), flush=True)


uvloop.run(main())
