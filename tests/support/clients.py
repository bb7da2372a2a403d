"""The callers that tests play: people who use HTTP, listen on a live connection or follow an event stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import count
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

API = "/api/v1"
PASSWORD = "correct horse battery"
# What a wait is given up after: it says that something never comes, not how soon it has to.
PATIENCE_SECONDS = 30.0

Json = dict[str, Any]

_numbers = count(1)


def client(base_url: str = "https://signalbox.test", **options: Any) -> httpx.AsyncClient:
    """Somebody without a name: keeps no cookies, as several people send through it."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    # Certificates are read for each client, and no test shows any.
    given = {"timeout": 30, "trust_env": False, "verify": False} | options
    return httpx.AsyncClient(base_url=base_url, cookies=no_cookies, **given)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in: `cookie` holds the refresh token. Paths are those below `/api/v1`."""

    http: httpx.AsyncClient
    id: str
    email: str
    token: str
    cookie: str

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = self.authorization | (options.pop("headers", None) or {})
        return await self.http.request(method, API + path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        return await self.send("POST", path, json=body, **options)

    async def patch(self, path: str, body: object, **options: Any) -> httpx.Response:
        return await self.send("PATCH", path, json=body, **options)

    async def put(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.send("DELETE", path, **options)

    async def open_task(self, title: str = "Write the rollout plan", **fields: object) -> Json:
        opened: Json = done(await self.post("/tasks", {"title": title, **fields}))
        return opened

    async def create_team(self, name: str = "Operations") -> Json:
        created: Json = done(await self.post("/workspaces", {"name": name}))
        return created

    async def admit(self, other: "Person", team: str, role: str = "member") -> None:
        """Invite somebody into a workspace of one's own, who comes."""
        made = done(await self.post(f"/workspaces/{team}/invitations", {"role": role}))
        done(await other.post("/invitations/accept", {"token": made["token"]}))

    async def events(self, channel: str) -> list[Json]:
        """All events of a channel in the order in which they happened, page by page."""
        found: list[Json] = []
        cursor: dict[str, str] = {}
        while True:
            params = {"channel": channel, "sort": "offset", "limit": "200", **cursor}
            page = done(await self.get("/events", params=params))
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


def done(response: httpx.Response) -> Any:
    """What a successful response says; the response itself is the message if it is not one."""
    assert response.is_success, f"{response.status_code} {response.text}"
    return response.json() if response.content else None


async def sign_up(http: httpx.AsyncClient, name: str = "Ada", **options: Any) -> Person:
    """A new account with an address of its own."""
    email = f"{name.lower()}.{next(_numbers)}@example.org"
    body = {"email": email, "password": PASSWORD, "display_name": name}
    return signed_in(http, await http.post(f"{API}/auth/register", json=body, **options))


async def log_in(http: httpx.AsyncClient, email: str, password: str = PASSWORD, **options: Any) -> Person:
    """One more session of an account."""
    body = {"email": email, "password": password}
    return signed_in(http, await http.post(f"{API}/auth/login", json=body, **options))


def signed_in(http: httpx.AsyncClient, response: httpx.Response) -> Person:
    """The person whom an answer of register, login or refresh is for."""
    said = done(response)
    return Person(http, said["user"]["id"], said["user"]["email"], said["access_token"], refresh_cookie(response))


def refresh_cookie(response: httpx.Response) -> str:
    """The refresh token that a response sets."""
    return response.headers["set-cookie"].partition("__Host-refresh=")[2].partition(";")[0]


class Listener:
    """One live connection. What comes waits in `inbox`, in order, until somebody asks for its kind."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.inbox: list[Json] = []
        self._ids = count(1)

    async def send(self, frame: Json | str) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def call(self, type: str, **fields: object) -> Json:
        """The reply or error that answers this command."""
        id = next(self._ids)
        await self.send({"type": type, "id": id, **fields})
        return await self.find(lambda frame: frame["type"] in {"reply", "error"} and frame["id"] == id)

    async def connect(self, token: str | None = None, *subscribe: str, **fields: object) -> Json:
        """The data of the reply to the first frame."""
        given = {} if token is None else {"token": token}
        reply = await self.call("connect", **given, subscribe=subscribe, **fields)
        assert reply["type"] == "reply", reply
        data: Json = reply["data"]
        return data

    async def event(self, type: str | None = None) -> Json:
        """The next event, or the next one of that type."""
        return await self.find(
            lambda frame: frame["type"] == "event" and (type is None or frame["event"]["type"] == type)
        )

    async def frame(self, type: str) -> Json:
        return await self.find(lambda frame: frame["type"] == type)

    async def find(self, wanted: Callable[[Json], bool]) -> Json:
        """The first frame that is wanted; TimeoutError if none comes, ConnectionClosed if none can come any more."""
        for index, frame in enumerate(self.inbox):
            if wanted(frame):
                return self.inbox.pop(index)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                frame = json.loads(await self.socket.recv())
                if wanted(frame):
                    return frame  # type: ignore[no-any-return]
                self.inbox.append(frame)

    async def closed(self) -> int:
        """The code with which the other side ends the connection; what still came before is in `inbox`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self.inbox.append(json.loads(await self.socket.recv()))
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def listening(
    url: str, token: str | None = None, *subscribe: str, path: str = f"{API}/ws", **options: Any
) -> AsyncIterator[Listener]:
    """A live connection to the server at `url`; with a token it is connected and subscribed."""
    socket = await connect(
        f"ws{url.removeprefix('http')}{path}", compression=None, proxy=None, open_timeout=PATIENCE_SECONDS, **options
    )
    try:
        listener = Listener(socket)
        if token is not None:
            await listener.connect(token, *subscribe)
        yield listener
    finally:
        await socket.close()


class EventStream:
    """The server-sent events of one response, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def begun(self) -> None:
        """The first line is there, so everything from now on is heard."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await anext(self._lines)).startswith("retry: ")

    async def next(self) -> Json | None:
        """The fields of the next event that has data, that decoded; None at the end."""
        fields: Json = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif "data" in fields:
                    return fields | {"data": json.loads(fields["data"])}
                elif not line:
                    fields = {}
        return None


@asynccontextmanager
async def following(
    person: Person, channel: str | None = None, since: int | None = None, **params: Any
) -> AsyncIterator[EventStream]:
    """The event stream of a channel, from behind an offset or from now on."""
    params |= {} if channel is None else {"channel": channel}
    headers = person.authorization | ({} if since is None else {"Last-Event-ID": str(since)})
    async with person.http.stream("GET", f"{API}/events/stream", params=params, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        stream = EventStream(response)
        await stream.begun()
        yield stream


class Wire:
    """A bare connection, for requests that no client library would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        """Send as they are; a peer that has hung up already is no error."""
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def abort(self) -> None:
        """Go away at once, without having read what came."""
        self._writer.transport.abort()

    def is_closed(self) -> bool:
        """Whether the peer has hung up, as far as is known."""
        return self._reader.at_eof() or self._reader.exception() is not None or self._writer.is_closing()

    def has_heard(self) -> bool:
        """Whether anything came that was not read yet."""
        return bool(self._reader._buffer)  # type: ignore[attr-defined]

    async def heard(self) -> bytes:
        """What came so far; nothing if nothing did."""
        return await self._reader.read(65_536) if self.has_heard() else b""

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response; status 0 if the peer hangs up instead."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}, b""
        return int(head[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Everything until the peer hangs up; TimeoutError if it does not."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""


async def until(met: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition is met; TimeoutError if it is not in time."""
    async with asyncio.timeout(seconds):
        while True:
            outcome = met()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
            await asyncio.sleep(0.01)
