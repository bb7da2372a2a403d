"""The members of rooms on one server in a process of their own, told what to do by lines of JSON on stdin.

Each is a connection that behaves like a player of the room: it reports every 5 s, and soon after each new state. An
answer is one line of JSON.

- `how`: `port`; `path` of the WebSocket; `tokens`, one for each member; `seats` of a room.
- `build`: opens the rooms over HTTP and lets all join, `at_once` rooms at a time.
- `connect`: opens all sockets, `at_once` at a time. Each follows its room and what the players say, and is present.
- `begin`: every room plays; `pace` is how many begin in a second.
- `watch`: lets `seconds` pass, with or without `reports`, and `seeks` a second in rooms by turns.
"""

import asyncio
import gc
import json
import random
import re
import resource
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import uvloop
from subscribers import PER_ADDRESS, client_frame, frames_in

REPORT_SECONDS = 5.0
TICK_SECONDS = 0.002
# How long a player takes to play from where a seek leads.
SEEKING_SECONDS = (0.05, 0.4)
HEADS = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
UPGRADE = "".join(f"{name}: {value}\r\n" for name, value in (HEADS | {"Sec-WebSocket-Version": "13"}).items())
REPORT = (
    '{"type":"call","id":%d,"method":"room.report","params":{"id":"%s","epoch":%d,"item_id":"%s","position_ms":%d,'
    '"rate":1.0,"drift_ms":%d,"rtt_ms":%d,"buffering":false,"ready":true,"ended":false,"duration_ms":%d,"sync":"strict"}}'
)
DURATION_MS = 7_200_000
VALUE, EVENT, REPLY, ERROR, PING = (
    f'{{"type":"{kind}"'.encode() for kind in ("value", "event", "reply", "error", "ping")
)


class Room:
    """A room as its members know it: the last state, and the seek that is under way."""

    def __init__(self) -> None:
        self.id = ""
        self.state: dict[str, Any] = {"epoch": 0, "status": "idle", "item_id": None}
        self.anchor = 0.0
        self.members: list[Member] = []
        self.seek: Seek | None = None
        self.plays: asyncio.Event = asyncio.Event()

    def take(self, state: dict[str, Any]) -> None:
        if state["epoch"] > self.state["epoch"]:
            self.state = state
            self.anchor = datetime.fromisoformat(state["anchor_at"]).timestamp()
        if state["status"] == "playing":
            self.plays.set()

    def position_ms(self) -> int:
        return int(self.state["anchor_position_ms"] + max(0.0, time.time() - self.anchor) * 1_000) % DURATION_MS


class Seek:
    """A seek: when it was sent and answered, when it happened by its event, and when each of the others heard."""

    def __init__(self, by: "Member", to_ms: int) -> None:
        self.by = by
        self.to_ms = to_ms
        self.sent = time.time()
        self.answered = self.at = 0.0
        self.heard: list[float] = []


class Member(asyncio.Protocol):
    """One connection of one account in one room."""

    def __init__(self, load: "Load", room: Room, token: str) -> None:
        self.load, self.room, self.token = load, room, token
        self.transport: Any = None
        self.upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unread = b""
        self.is_upgraded = False
        self.epoch = 0
        self.last_id = 0
        self.reported: tuple[int, float] = (0, 0.0)
        self.asked: dict[int, asyncio.Future[Any]] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        head = f"GET {self.load.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.load.port}\r\n{UPGRADE}\r\n"
        transport.write(head.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.ended += not self.load.is_closing
        self.fail("the server ended a connection")

    def fail(self, why: str) -> None:
        for future in (self.upgraded, *self.asked.values()):
            if not future.done():
                future.set_exception(ConnectionError(why))

    async def ask(self, type: str, **more: Any) -> Any:
        """The data of the answer to a command."""
        id = self.last_id = self.last_id + 1
        answer = self.asked[id] = asyncio.get_running_loop().create_future()
        self.transport.write(client_frame(json.dumps({"type": type, "id": id, **more})))
        try:
            return await asyncio.wait_for(answer, 60)
        finally:
            del self.asked[id]

    async def insist(self, type: str, **more: Any) -> Any:
        """The data of the answer; asked again if it is to be tried later, as on a machine that is busy."""
        for pause in (0.2, 0.5, 1.0, 2.0):
            try:
                return await self.ask(type, **more)
            except ConnectionError as problem:
                if '"retry":"later"' not in str(problem):
                    raise
            await asyncio.sleep(pause)
        return await self.ask(type, **more)

    def report(self) -> None:
        """Tell where the player is, in the state that this member has heard of."""
        room, self.last_id = self.room, self.last_id + 1
        self.epoch = room.state["epoch"]
        self.reported = self.last_id, time.monotonic()
        drift, rtt = random.randrange(-30, 31), random.randrange(20, 80)
        values = (self.last_id, room.id, self.epoch, room.state["item_id"], room.position_ms(), drift, rtt, DURATION_MS)
        self.transport.write(client_frame(REPORT % values))
        self.load.reports += 1

    def report_news(self) -> None:
        if self.epoch < self.room.state["epoch"] and not self.transport.is_closing():
            self.report()

    def data_received(self, data: bytes) -> None:
        if self.unread:
            data = self.unread + data
        if not self.is_upgraded:
            head, end, rest = data.partition(b"\r\n\r\n")
            self.unread = b"" if end else data
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.fail(head.decode(errors="replace"))
                return
            self.is_upgraded, data = True, rest
            if not self.upgraded.done():
                self.upgraded.set_result(None)
        frames, self.unread = frames_in(data)
        self.load.pieces += 1
        for frame in frames:
            if frame.startswith(VALUE):
                self.load.values += 1
            elif frame.startswith(EVENT):
                self.happened(frame)
            elif frame.startswith((REPLY, ERROR)):
                self.answered(frame)
            elif frame.startswith(PING):
                self.transport.write(client_frame('{"type":"pong","time":0}'))

    def happened(self, frame: bytes) -> None:
        now = time.time()
        if b'"type":"room.state"' not in frame:
            return
        event = json.loads(frame)["event"]
        self.room.take(event["data"])
        seek = self.room.seek
        if seek is not None and seek.by is not self and event["data"]["anchor_position_ms"] == seek.to_ms:
            seek.at = datetime.fromisoformat(event["at"]).timestamp()
            seek.heard.append(now)
        if event["data"]["item_id"] is not None:
            asyncio.get_running_loop().call_later(random.uniform(*SEEKING_SECONDS), self.report_news)

    def answered(self, frame: bytes) -> None:
        said = json.loads(frame)
        id, at = self.reported
        if said["type"] == "error":
            self.load.refused += 1
            self.load.why = frame.decode()
        if said["id"] == id:
            self.load.waits.append(time.monotonic() - at)
        elif (answer := self.asked.get(said["id"])) is not None and not answer.done():
            if said["type"] == "error":
                answer.set_exception(ConnectionError(frame.decode()))
            else:
                answer.set_result(said["data"])


class Http:
    """A keep-alive connection to the server."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port, self._reader, self._writer = port, reader, writer

    @classmethod
    async def to(cls, port: int) -> "Http":
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, token: str, body: object) -> Any:
        payload = json.dumps(body)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        self._writer.write((head + payload).encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", answer, re.IGNORECASE)
        said = await self._reader.readexactly(int(length[1])) if length else b""
        if not answer.startswith(b"HTTP/1.1 2"):
            raise ConnectionError((answer + said).decode(errors="replace"))
        return json.loads(said)

    def close(self) -> None:
        self._writer.close()


class Load:
    """All members of all rooms."""

    def __init__(self, port: int, path: str, tokens: list[str], seats: int) -> None:
        self.port, self.path, self.tokens, self.seats = port, path, tokens, seats
        self.rooms = [Room() for _ in range(len(tokens) // seats)]
        self.reports = self.values = self.pieces = self.refused = self.ended = 0
        self.why = ""
        self.waits: list[float] = []
        self.is_closing = False
        self._positions = iter(range(1_000_000, DURATION_MS))

    def tokens_of(self, number: int) -> list[str]:
        return self.tokens[number * self.seats : (number + 1) * self.seats]

    async def build(self, at_once: int) -> dict[str, Any]:
        todo = iter(enumerate(self.rooms))

        async def work() -> None:
            http = await Http.to(self.port)
            for number, room in todo:
                host, *others = self.tokens_of(number)
                body = {"name": f"Room {number}", "visibility": "link"}
                room.id = (await http.post("/api/v1/rooms", host, body))["id"]
                for token in others:
                    await http.post(f"/api/v1/rooms/{room.id}/join", token, {})
            http.close()

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(at_once)))
        return {"seconds": time.monotonic() - began}

    async def connect(self, at_once: int) -> dict[str, Any]:
        loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(at_once)

        async def one(room: Room, token: str, number: int) -> None:
            async with turns:
                link = socket.socket()
                link.setblocking(False)
                link.bind((f"127.0.0.{1 + number // PER_ADDRESS}", 0))
                await loop.sock_connect(link, ("127.0.0.1", self.port))
                _, member = await loop.create_connection(lambda: Member(self, room, token), sock=link)
                await asyncio.wait_for(member.upgraded, 60)
                followed = [f"room:{room.id}", f"status:room:{room.id}"]
                opened = await member.ask("connect", token=token, subscribe=followed)
                if any("code" in where for where in opened["channels"].values()):
                    raise ConnectionError(json.dumps(opened["channels"]))
                await member.insist("presence", channel=f"presence:room:{room.id}")
                room.members.append(member)

        began = time.monotonic()
        places = [(room, token) for number, room in enumerate(self.rooms) for token in self.tokens_of(number)]
        await asyncio.gather(*(one(*place, number) for number, place in enumerate(places)))
        refused, self.refused = self.refused, 0
        return {"seconds": time.monotonic() - began, "refused": refused}

    async def begin(self, pace: float) -> dict[str, Any]:
        async def one(number: int, room: Room) -> None:
            await asyncio.sleep(number / pace)
            host = room.members[0]
            item = {"url": "https://example.com/film.mp4", "title": "A film", "duration_ms": DURATION_MS}
            added = await host.insist("call", method="room.queue.add", params={"id": room.id, **item})
            command = {"id": room.id, "action": "load", "item_id": added["id"]}
            await host.insist("call", method="room.control", params=command)
            await asyncio.wait_for(room.plays.wait(), 60)

        began = time.monotonic()
        await asyncio.gather(*(one(number, room) for number, room in enumerate(self.rooms)))
        return {"seconds": time.monotonic() - began}

    async def watch(self, seconds: float, reports: bool, seeks: float) -> dict[str, Any]:
        self.reports = self.values = self.pieces = self.refused = 0
        self.waits = []
        done: list[Seek] = []
        began, cpu = time.monotonic(), time.process_time()
        working = [asyncio.create_task(self._keep_reporting())] if reports else []
        if seeks:
            working.append(asyncio.create_task(self._keep_seeking(seeks, done)))
        await asyncio.sleep(seconds)
        passed, busy = time.monotonic() - began, time.process_time() - cpu
        reported, values, pieces = self.reports, self.values, self.pieces
        for task in working:
            task.cancel()
        await asyncio.sleep(1)
        for task in working:
            if not task.cancelled() and task.done() and task.exception():
                raise ConnectionError(repr(task.exception()))
        whole = [seek for seek in done if len(seek.heard) == self.seats - 1 and seek.answered]
        return {
            "seconds": passed,
            "reports": reported,
            "values": values,
            "pieces": pieces,
            "refused": self.refused,
            "why": self.why,
            "ended": self.ended,
            "load_seconds": busy,
            "waits": shown(self.waits),
            "seeks": len(done),
            "lost": len(done) - len(whole),
            "answer": shown([seek.answered - seek.sent for seek in whole]),
            "since_sent": shown([at - seek.sent for seek in whole for at in seek.heard]),
            "since_at": shown([at - seek.at for seek in whole for at in seek.heard]),
            "since_answer": shown([at - seek.answered for seek in whole for at in seek.heard]),
            "last_since_at": shown([max(seek.heard) - seek.at for seek in whole]),
            "last_since_answer": shown([max(seek.heard) - seek.answered for seek in whole]),
        }

    async def _keep_reporting(self) -> None:
        """Each member in its turn, so that each reports every 5 s."""
        members = [member for room in self.rooms for member in room.members]
        random.Random(1).shuffle(members)
        began, told = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            due = int((time.monotonic() - began) / REPORT_SECONDS * len(members))
            for number in range(told, due):
                members[number % len(members)].report()
            told = due

    async def _keep_seeking(self, pace: float, done: list[Seek]) -> None:
        running: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        rooms = random.sample(self.rooms, len(self.rooms))
        number = 0
        while True:
            await asyncio.sleep(max(0.0, began + number / pace - time.monotonic()))
            task = asyncio.create_task(self._seek(rooms[number % len(rooms)], done))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1

    async def _seek(self, room: Room, done: list[Seek]) -> None:
        member = random.choice(room.members)
        seek = room.seek = Seek(member, next(self._positions))
        done.append(seek)
        command = {"id": room.id, "action": "seek", "position_ms": seek.to_ms}
        with suppress(ConnectionError):
            await member.ask("call", method="room.control", params=command)
            seek.answered = time.time()

    def close(self) -> None:
        self.is_closing = True
        for room in self.rooms:
            for member in room.members:
                member.transport.close()


def shown(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000 for name, share in at.items()}


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    loop = asyncio.get_running_loop()
    load: Load | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            match command.pop("do"):
                case "how":
                    load = Load(**command)
                case "build" if load:
                    answer = await load.build(**command)
                case "connect" if load:
                    answer = await load.connect(**command)
                case "begin" if load:
                    answer = await load.begin(**command)
                case "watch" if load:
                    answer = await load.watch(**command)
        except (OSError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    if load:
        load.close()
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    uvloop.run(main())
