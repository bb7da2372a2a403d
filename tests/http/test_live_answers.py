"""The AsyncAPI document tells the truth: what methods answer, and what channels bring, has the shape that it states."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import jsonschema_rs
import pytest_asyncio

from tests.http.house import house_in_memory, served
from tests.support.clients import Json, Person, client, done, listening, sign_up

FILM = {"url": "https://videos.example.org/film.mp4"}


class Document:
    """The document of a server, and the answers that were compared with it."""

    def __init__(self, document: Json) -> None:
        self.methods: Mapping[str, Json] = document["x-methods"]
        self.channels: Mapping[str, Json] = document["x-channels"]
        self._components = document["components"]

    def check(self, schema: Json, value: object) -> None:
        jsonschema_rs.Draft202012Validator(schema | {"components": self._components}).validate(value)


def is_on(channel: str, frame: Json) -> bool:
    return "data" in frame and frame.get("channel") == channel


@pytest_asyncio.fixture
async def ada() -> AsyncIterator[tuple[str, Person]]:
    async with served(house_in_memory()) as url, client(url) as http:
        yield url, await sign_up(http, "Ada")


async def test_every_method_answers_as_the_document_says(ada: tuple[str, Person]) -> None:
    url, person = ada
    document = Document((await person.http.get("/api/asyncapi.json")).json())
    room = done(await person.post("/rooms", {"name": "Film night", "visibility": "link"}))["id"]
    left = set(document.methods)
    async with listening(url, person.token) as live:

        async def call(method: str, **params: object) -> Any:
            reply = await live.call("call", method=method, params=params)
            assert reply["type"] == "reply", reply
            document.check(document.methods[method]["params"], params)
            document.check(document.methods[method]["answer"], reply["data"])
            left.discard(method)
            return reply["data"]

        task = await call("task.create", title="Order the cake")
        await call("task.update", id=task["id"], patch={"title": "Order two"})
        await call("task.claim", id=task["id"])
        await call("task.comment", id=task["id"], comment={"text": "Done."})
        await call("room.get", id=room)
        await call("room.join", id=room)
        await live.call("subscribe", channel=f"room:{room}")
        items = [(await call("room.queue.add", id=room, **FILM))["id"] for _ in range(3)]
        await call("room.queue.add_many", id=room, items=[FILM])
        await call("room.queue.move", id=room, item_id=items[2], position=0)
        await call("room.queue.arrange", id=room, mode="vote")
        await call("room.vote", id=room, item_id=items[1])
        await call("room.queue.remove", id=room, item_id=items[2])
        state = await call("room.control", id=room, action="next")
        for channel in (f"status:room:{room}", f"reactions:room:{room}"):
            await live.call("subscribe", channel=channel)
        report = {"epoch": state["epoch"], "item_id": state["item_id"], "position_ms": 0, "ready": True}
        await call("room.report", id=room, **report)
        await live.call("publish", channel=f"reactions:room:{room}", data={"emoji": "🎉"})
        for kind in ("status", "reactions"):
            said = await live.find(partial(is_on, f"{kind}:room:{room}"))
            document.check(document.channels[kind]["value"], said["data"])
        await call("room.say", id=room, text="That was good.")
        await call("room.skip", id=room)
        await call("room.leave", id=room)
    assert left == set()
    classes = {name: kind["class"] for name, kind in document.channels.items()}
    assert classes.items() >= {"room": "durable", "status": "keyed", "reactions": "ephemeral"}.items()
