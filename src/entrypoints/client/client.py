"""A live connection that reconnects by itself, and resumes every channel where it was interrupted."""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Self
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from entrypoints.client.errors import CommandRefused, Stopped
from entrypoints.client.subscription import Frame, Subscription

PATH = "/api/v1/ws"
ANSWER_SECONDS = 30.0
CONNECT_SECONDS = 15.0
BACK_OFF_SECONDS = (0.5, 20.0)
CROWDED = 4105
TOKEN_TRIES = 5
STABLE_SECONDS = 30.0
FRAME_MAX_BYTES = 16 * 1024 * 1024


class Client:
    """One live connection that reconnects whenever it is lost: `async with Client(url, token) as client`.

    `url` is the address of the server (`https://…`). `token` returns an access token, and is called again when that
    expires. If it raises, it is called again later: after an OSError without end, after other errors until the fifth in
    a row, which ends the client. Stopped ends the client at once. Entering waits for the first connection without a
    deadline, and raises Stopped if the server refuses the client for good.
    """

    def __init__(self, url: str, token: Callable[[], Awaitable[str]]) -> None:
        self._address = f"ws{url.rstrip('/').removeprefix('http').removeprefix('ws')}{PATH}"
        self._token = token
        self._known_token: str | None = None
        self._token_failures = 0
        self._epoch: str | None = None
        self._silence_seconds = 60.0
        self._socket: ClientConnection | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._resyncs: dict[str, str] = {}
        self._unanswered: dict[int, tuple[Frame, asyncio.Future[Any]]] = {}
        self._ids = count(1)
        self._hint: float | None = None
        self._ended: Exception | None = None
        self._first: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._first = asyncio.get_running_loop().create_future()
        self._soon(self._run())
        try:
            await self._first
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and end every subscription."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            await _leave(self._socket)
        self._end(None)

    def subscribe(self, channel: str, since: int | None = None) -> Subscription:
        """Follow a channel after offset `since`, or from now on. ValueError if it is followed already.

        A connection gets an event once: an older `since` does not repeat events that another channel has shown.
        """
        return self._follow(Subscription(channel, "subscribe", since))

    def be_present(self, channel: str) -> Subscription:
        """Be shown as present, and follow which other accounts are, until `unsubscribe`.

        ValueError if the channel is followed already.
        """
        return self._follow(Subscription(channel, "presence", None))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop following a channel."""
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
            subscription.end(None)
            await self._command({"type": "unsubscribe", "channel": subscription.channel})

    async def call(
        self, method: str, params: Frame, key: str | None = None, seconds: float = ANSWER_SECONDS, *, once: bool = True
    ) -> Any:
        """Carry out a command once, even if the connection is lost meanwhile. Calls with the same `key` count as one.

        Without `once` perhaps twice: for what does no harm then, and need not be remembered. CommandRefused if the
        server refuses it; TimeoutError if no answer came in time.
        """
        frame = {"type": "call", "method": method, "params": params}
        return await self._command({**frame, "key": key or str(uuid4())} if once else frame, seconds)

    async def publish(self, channel: str, data: object, seconds: float = ANSWER_SECONDS) -> None:
        """Send `data` to the followers of an ephemeral channel that this client follows too. Errors as in `call`."""
        await self._command({"type": "publish", "channel": channel, "data": data}, seconds)

    async def ping(self, time: float, seconds: float = ANSWER_SECONDS) -> Frame:
        """Ask for the server's clock: the answer is `{time, received, sent}`. `time` is yours, and comes back.

        TimeoutError if no answer came in time, which there is not either if the connection is lost meanwhile.
        """
        return dict(await self._command({"type": "ping", "time": time}, seconds))

    # Commands

    def _follow(self, subscription: Subscription) -> Subscription:
        if self._subscriptions.setdefault(subscription.channel, subscription) is not subscription:
            raise ValueError(f"{subscription.channel} is followed already")
        self._soon(self._join(subscription))
        return subscription

    async def _join(self, subscription: Subscription) -> None:
        frame: Frame = {"type": subscription.type, "channel": subscription.channel}
        if subscription.since is not None:
            frame["since"] = subscription.since
        while True:
            try:
                await self._command(frame)
            except TimeoutError:
                continue  # a repeated subscribe does no harm
            except Exception as error:  # noqa: BLE001  # the iteration over the subscription raises it
                self._drop(subscription.channel, error)
            return

    async def _command(self, frame: Frame, seconds: float = ANSWER_SECONDS) -> Any:
        """Send a command and return the data of its reply.

        A command that is not answered when the connection is lost is sent again on the next one.
        """
        if self._ended is not None:
            raise self._ended
        id = next(self._ids)
        frame = {**frame, "id": id}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._unanswered[id] = frame, answer
        try:
            async with asyncio.timeout(seconds):
                if self._socket is not None:
                    with contextlib.suppress(ConnectionClosed):
                        await self._socket.send(json.dumps(frame))
                return await answer
        finally:
            del self._unanswered[id]

    # The connection

    async def _run(self) -> None:
        old: ClientConnection | None = None
        tries, loop = 0, asyncio.get_running_loop()
        try:
            while True:
                self._hint = None
                began = loop.time()
                try:
                    socket = await self._open()
                    if old is not None:
                        self._soon(_leave(old))  # only now, so that the account stays present without a gap
                        old = None
                    began = loop.time()
                    await self._listen(socket)
                    old = socket
                    continue
                except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as lost:
                    ended = lost
                self._socket = None
                tries = 0 if loop.time() - began >= STABLE_SECONDS else tries + 1
                await asyncio.sleep(self._pause(ended, tries))
        except Exception as error:  # noqa: BLE001  # every waiting call raises it
            if self._socket is not None:
                self._socket.transport.abort()
                self._socket = None
            self._end(error)
        finally:
            if old is not None:
                old.transport.abort()

    def _pause(self, ended: Exception, tries: int) -> float:
        """Seconds until the next attempt, by how the last one ended; Stopped if there must be no other attempt."""
        code, reason = 0, ""
        if isinstance(ended, ConnectionClosed) and ended.rcvd is not None:
            code, reason = ended.rcvd.code, ended.rcvd.reason
        elif isinstance(ended, InvalidStatus):
            code = ended.response.status_code
        if 4000 <= code < 4100 or (400 <= code < 500 and code != 429):
            raise Stopped(code, reason)
        if 4300 <= code < 4400:
            self._known_token = None
            if tries <= 1:
                return 0.0
        if self._hint is not None:
            return self._hint
        least, most = BACK_OFF_SECONDS
        if code == CROWDED:  # a connection that comes back makes another one of the account give way
            return random.uniform(most / 2, most)  # noqa: S311
        return random.uniform(0, min(most, least * 2 ** min(tries - 1, 10)))  # noqa: S311  # to spread load

    async def _open(self) -> ClientConnection:
        async with asyncio.timeout(CONNECT_SECONDS):
            if self._known_token is None:
                self._known_token = await self._new_token()
            socket = await connect(
                self._address, compression=None, proxy=None, ping_interval=None, max_size=FRAME_MAX_BYTES
            )
            try:
                await self._enter(socket, self._known_token)
            except BaseException:
                socket.transport.abort()
                raise
        return socket

    async def _new_token(self) -> str:
        """A new token; OSError if there is none now but may be later."""
        try:
            token = await self._token()
        except Exception as error:
            self._token_failures += not isinstance(error, OSError)
            if isinstance(error, OSError | Stopped) or self._token_failures >= TOKEN_TRIES:
                raise
            raise OSError("there is no token for now") from error
        self._token_failures = 0
        return token

    async def _enter(self, socket: ClientConnection, token: str) -> None:
        """Authenticate, resume the channels, and send the unanswered commands again."""
        joined = [each for each in self._subscriptions.values() if each.is_joined]
        resume: dict[str, int] = {}
        for each in joined:
            if each.stream is not None:
                resume[each.stream] = min(each.position, resume.get(each.stream, each.position))
        followed = [each.channel for each in joined if each.type == "subscribe"]
        id = next(self._ids)
        frame = {"type": "connect", "id": id, "token": token, "subscribe": followed, "resume": resume}
        await socket.send(json.dumps(frame if self._epoch is None else {**frame, "epoch": self._epoch}))
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == "reply" and frame["id"] == id:
                break
            self._take(frame, socket)
        said = frame["data"]
        self._epoch, self._silence_seconds = said["epoch"], 2 * said["ping_interval"] + 10
        for channel, where in said["channels"].items():
            self._joined(channel, where)
        self._socket = socket
        again = [frame for frame, _ in self._unanswered.values() if frame["type"] != "ping"]
        for each in joined:
            if each.type == "presence" and not any(frame.get("channel") == each.channel for frame in again):
                self._soon(self._join(each))
        for frame in again:
            await socket.send(json.dumps(frame))
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    async def _listen(self, socket: ClientConnection) -> None:
        """Take frames until it is time to move to another server, as `going_away` asked; TimeoutError on silence."""
        loop = asyncio.get_running_loop()
        leave_at = float("inf")
        while True:
            silent_at = loop.time() + self._silence_seconds
            try:
                async with asyncio.timeout_at(min(silent_at, leave_at)):
                    frame = json.loads(await socket.recv())
            except TimeoutError:
                if loop.time() >= leave_at:
                    return
                socket.transport.abort()
                raise
            if frame["type"] == "going_away":
                self._hint = frame["retry_ms"] / 1000
                leave_at = loop.time() + self._hint
            self._take(frame, socket)

    def _take(self, frame: Frame, socket: ClientConnection) -> None:
        match frame["type"]:
            case "event":
                for each in list(self._subscriptions.values()):
                    if each.stream == frame["stream"]:
                        each.happened(frame)
            case "reply" | "pong" | "error":
                self._answered(frame)
            case "value" | "presence":
                if frame["channel"] in self._subscriptions:
                    self._subscriptions[frame["channel"]].put(frame)
            case "unsubscribed":
                if frame["channel"] in self._subscriptions:
                    self._subscriptions[frame["channel"]].put(frame)
                    self._drop(frame["channel"], None)
            case "resync":
                self._resync(frame)
            case "ping":
                self._soon(self._pong(socket, frame))
            case "renew":
                self._soon(self._renew())

    def _resync(self, frame: Frame) -> None:
        self._epoch = frame.get("epoch", self._epoch)
        if "offset" not in frame:  # the reply that follows has it
            self._resyncs[frame["stream"]] = frame["reason"]
            return
        for each in self._subscriptions.values():
            if each.is_joined and each.stream == frame["stream"]:
                each.resynced(frame)

    def _answered(self, frame: Frame) -> None:
        command, answer = self._unanswered.get(frame["id"], ({}, None))
        if answer is None or answer.done():
            return
        if frame["type"] == "error":
            answer.set_exception(CommandRefused.of(frame))
            return
        if command["type"] in {"subscribe", "presence"}:
            self._joined(command["channel"], frame["data"])
        answer.set_result(frame if command["type"] == "ping" else frame["data"])

    def _joined(self, channel: str, where: Frame) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is None:
            return
        if "code" in where:
            self._drop(channel, CommandRefused.of(where))
        else:
            subscription.joined(where, self._resyncs.get(where.get("stream", ""), "offset"))

    async def _pong(self, socket: ClientConnection, ping: Frame) -> None:
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await socket.send(json.dumps({"type": "pong", "time": ping["time"]}))

    async def _renew(self) -> None:
        # After any failure here the server closes with 4300, and the client connects again with a new token.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(ANSWER_SECONDS):
                self._known_token = await self._new_token()
                await self._command({"type": "authenticate", "token": self._known_token})

    # The end

    def _drop(self, channel: str, why: Exception | None) -> None:
        subscription = self._subscriptions.pop(channel, None)
        if subscription is not None:
            subscription.end(why)

    def _end(self, why: Exception | None) -> None:
        self._ended = self._ended or why or Stopped(1000, "closed")
        for channel in list(self._subscriptions):
            self._drop(channel, why)
        waiting = [answer for _, answer in self._unanswered.values()]
        if self._first is not None:
            waiting.append(self._first)
        for answer in waiting:
            if not answer.done():
                answer.set_exception(self._ended)
        self._first = None

    def _soon(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _leave(socket: ClientConnection) -> None:
    """Close, and read until the connection is closed: the server's close frame comes after its other frames."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(socket.close())
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await socket.recv()
    finally:
        socket.transport.abort()
