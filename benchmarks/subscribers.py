"""Subscribers of a live service in a process of their own, told what to do by lines of JSON on stdin.

They have to cost less than the server that they listen to, and a library that calls Python for each frame does not,
once the server joins frames: so this is a WebSocket client of its own, which counts the updates in whatever the socket
brought in one go. It needs nothing but uvloop, which the project installs anyway. An answer is one line of JSON.

- `how`: `port`, `path`; `tokens` and `openings`, of which the connections take turns; `replies` ([prefix, frame to
  send]); `ready` (prefix of the frame that says all is well), `proof` (a text, and how often that frame has it at
  least); `update` (text that each update has once); `ping` and `pong`.
- `connect`: opens `count` more, `at_once` at a time; `stalled` ones never read again, nor does the kernel for them.
- `arm`: forgets what was counted; with `record` it keeps when each numbered update came.
- `wait`: until each connection had `updates` (a list: one for each opening), or nothing has come for `stall` seconds.
- `delays`: from `sent` and `answered` (times by number) to each receipt, counted by tenths of a millisecond.
"""

import asyncio
import base64
import json
import os
import resource
import socket
import sys
import time
from collections import Counter
from typing import Any

import uvloop

# As many connections as go out from one loopback address, well below the ephemeral ports that it has.
PER_ADDRESS = 10_000
UPDATE_NUMBER = b"bench-"
DIGITS = 6
SMALL, MEDIUM = 126, 65_536  # where RFC 6455 goes on to longer lengths


def client_frame(text: str) -> bytes:
    """A text frame; the mask that a client has to apply is of zeros, so that it changes nothing."""
    payload = text.encode()
    if len(payload) < SMALL:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def frames_in(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of the frames that are there in full, and the rest."""
    found, at = [], 0
    while at + 2 <= len(data):
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == 127:
            length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start > len(data) or start + length > len(data):
            break
        found.append(data[start : start + length])
        at = start + length
    return found, data[at:]


class How:
    """What all connections have in common."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.port, self.path = int(command["port"]), str(command["path"])
        self.tokens: list[str] = command["tokens"]
        self.openings: list[str | None] = command["openings"]
        self.replies = [(prefix.encode(), frame) for prefix, frame in command["replies"]]
        self.ready: bytes = command["ready"].encode()
        proof, times = command["proof"] or ("", 0)
        self.proof, self.proof_times = proof.encode(), int(times)
        self.update: bytes = command["update"].encode()
        self.ping: bytes = (command["ping"] or "").encode()
        # A frame of a single character is told from the same character elsewhere by its header.
        self.ping_frame = b"\x81\x01" + self.ping if len(self.ping) == 1 else self.ping
        self.pong = client_frame(command["pong"] or "")


class Count:
    """What all connections together have had since it was armed."""

    def __init__(self, is_recorded: bool = False) -> None:
        self.total = 0
        self.first = self.last = 0.0
        self.bytes = 0
        self.is_recorded = is_recorded
        self.arrivals: list[tuple[bytes, float]] = []


class Subscriber(asyncio.Protocol):
    """One connection: handshake, opening, and from then on it only counts."""

    def __init__(self, load: "Load", number: int) -> None:
        self.load, self.how, self.number = load, load.how, number
        self.token = self.how.tokens[number % len(self.how.tokens)]
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unread = b""
        self.had = 0
        self.is_upgraded = self.is_counting = self.is_closing = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        head = [f"GET {self.how.path} HTTP/1.1", f"Host: 127.0.0.1:{self.how.port}", "Upgrade: websocket"]
        head += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        transport.write("\r\n".join(head).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the server ended the connection")
        if not self.is_closing:
            self.load.ended += 1

    def fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))

    def say(self, text: str) -> None:
        self.transport.write(client_frame(text.replace("{token}", self.token)))

    def data_received(self, data: bytes) -> None:
        if self.is_counting:
            self.count(data)
        elif self.is_upgraded:
            self.talk(data)
        else:
            self.unread += data
            head, end, rest = self.unread.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.fail(head.decode(errors="replace"))
                return
            self.is_upgraded, self.unread = True, b""
            opening = self.how.openings[self.number % len(self.how.openings)]
            if opening is not None:
                self.say(opening)
            self.talk(rest)

    def talk(self, data: bytes) -> None:
        """Read frame by frame until the service says that all is well."""
        frames, self.unread = frames_in(self.unread + data)
        for number, frame in enumerate(frames):
            if frame.startswith(self.how.ready):
                if frame.count(self.how.proof) < self.how.proof_times:
                    self.fail(frame.decode(errors="replace"))
                    return
                self.is_counting = True
                if not self.ready.done():
                    self.ready.set_result(None)
                unread, self.unread = self.unread, b""
                # What came in the same piece counts already; it needs its headers no more, but for a ping.
                self.count(b"".join(frames[number + 1 :]) + unread)
                return
            answer = next((reply for prefix, reply in self.how.replies if frame.startswith(prefix)), None)
            if answer is not None:
                self.say(answer)
            elif frame.startswith(self.how.update):
                self.fail("an update came before the answer")

    def count(self, data: bytes) -> None:
        """Count the updates in what has come. What a piece ends with may be the beginning of the next one."""
        how, count = self.how, self.load.count
        data = self.unread + data
        if count.is_recorded:
            frames, self.unread = frames_in(data)
            if how.ping and any(frame.startswith(how.ping) for frame in frames):
                self.transport.write(how.pong)
            updates = [frame for frame in frames if how.update in frame]
            came = time.monotonic()
            # The new title is the last one; before it there may be the old one.
            count.arrivals += [(frame[frame.rfind(UPDATE_NUMBER) :][6:12], came) for frame in updates]
            count.bytes += sum(map(len, updates))
            found = len(updates)
        else:
            if how.ping_frame and how.ping_frame in data:
                self.transport.write(how.pong)
                data = data.replace(how.ping_frame, b"", 1)
            found = data.count(how.update)
            at = data.rfind(how.update) + len(how.update) if found else 0
            self.unread = data[max(at, len(data) - len(how.update) + 1) :]
        if found:
            self.had += found
            count.total += found
            count.last = time.monotonic()
            count.first = count.first or count.last


class Load:
    """All connections of this process."""

    def __init__(self, how: How) -> None:
        self.how = how
        self.open: list[Subscriber] = []
        self.count = Count()
        self.ended = 0

    async def connect(self, count: int, at_once: int, stalled: bool = False) -> dict[str, Any]:
        loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with turns:
                local = (f"127.0.0.{1 + number // PER_ADDRESS}", 0)
                link = socket.socket()
                if stalled:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
                link.setblocking(False)
                link.bind(local)
                await loop.sock_connect(link, ("127.0.0.1", self.how.port))
                _, subscriber = await loop.create_connection(lambda: Subscriber(self, number), sock=link)
                await asyncio.wait_for(subscriber.ready, 60)
                if stalled:
                    subscriber.transport.pause_reading()
                self.open.append(subscriber)

        began, before = time.monotonic(), len(self.open)
        await asyncio.gather(*(one(number) for number in range(before, before + count)))
        return {"open": len(self.open), "began": began, "seconds": time.monotonic() - began}

    def arm(self, record: bool = False) -> dict[str, Any]:
        self.count = Count(record)
        for subscriber in self.open:
            subscriber.had, subscriber.unread = 0, b""
        return {}

    async def wait(self, updates: list[int], stall: float) -> dict[str, Any]:
        openings = len(self.how.openings)
        goal = sum(updates[subscriber.number % openings] for subscriber in self.open)
        seen, moved = -1, time.monotonic()
        while self.count.total < goal and time.monotonic() - moved < stall:
            if self.count.total != seen:
                seen, moved = self.count.total, time.monotonic()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # what comes twice comes now
        balance = [subscriber.had - updates[subscriber.number % openings] for subscriber in self.open]
        return {
            "received": self.count.total,
            "first": self.count.first,
            "last": self.count.last,
            "bytes": self.count.bytes,
            "lost": -sum(difference for difference in balance if difference < 0),
            "doubled": sum(difference for difference in balance if difference > 0),
            "ended": self.ended,
        }

    def delays(self, sent: dict[str, float], answered: dict[str, float]) -> dict[str, Any]:
        since: dict[str, Counter[int]] = {"sent": Counter(), "answered": Counter()}
        for number, came in self.count.arrivals:
            since["sent"][round((came - sent[number.decode()]) * 1e4)] += 1
            since["answered"][round((came - answered[number.decode()]) * 1e4)] += 1
        return dict(since)

    def close(self) -> None:
        for subscriber in self.open:
            subscriber.is_closing = True
            subscriber.transport.write(bytes((0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8)))  # goodbye: 1000
            subscriber.transport.close()


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    load: Load | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            match command.pop("do"):
                case "how":
                    load = Load(How(command))
                case "connect" if load:
                    answer = await load.connect(**command)
                case "arm" if load:
                    answer = load.arm(**command)
                case "wait" if load:
                    answer = await load.wait(**command)
                case "delays" if load:
                    answer = load.delays(**command)
        except (OSError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    if load:
        load.close()
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    uvloop.run(main())
