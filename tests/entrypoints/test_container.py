"""What a context adds to the lists of the assembly is served, and what is replaced by name is replaced everywhere."""

import asyncio
from typing import Any

import pytest
from dependency_injector.providers import Object, Singleton
from litestar import get
from msgspec import Raw, Struct

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.observer import MemoryObserver
from application.principal import Principal
from application.retention import Expiring
from entrypoints.container import assembled, in_memory, offline
from entrypoints.http.request import ApiRequest
from entrypoints.lifetimes import Loop
from entrypoints.websocket.calls import Method
from tests.http.house import house_in_memory, visited
from tests.support.clients import done, sign_up, until


class Note(Struct, frozen=True):
    """What somebody notes."""

    text: str


@get("/notes")
async def read_notes(request: ApiRequest) -> Note:
    """The notes of whoever asks."""
    return Note(str(request.actor.account_id))


async def note(_: Principal, params: Note) -> Note:
    return params


async def test_what_a_context_adds_to_the_lists_is_served() -> None:
    house: Any = house_in_memory()
    beaten, forgotten = asyncio.Event(), asyncio.Event()

    async def beat() -> None:
        beaten.set()
        await asyncio.Event().wait()

    async def holds(channel: str) -> None: ...

    async def forget(most: int) -> int:
        forgotten.set()
        return 0

    house.routes.add_args(Object(read_notes))
    house.calls.add_args(Object((Method("note.write", Note, note),)))
    house.loops.add_args(Object(Loop("notes", "working", beat)))
    house.retention.add_args(Object(Expiring("notes", forget)))
    async with visited(house) as http:
        ada = await sign_up(http)

        assert done(await ada.get("/notes")) == {"text": ada.id}
        assert "/api/v1/notes" in (await http.get("/api/openapi.json")).json()["paths"]
        await until(beaten.is_set)
        await until(forgotten.is_set)
        assert await house.calling()(object(), "note.write", Raw(b'{"text":"x"}'), None, holds) == Raw(b'{"text":"x"}')


def test_what_is_replaced_by_name_is_replaced_for_operators_too() -> None:
    class Observer(MemoryObserver): ...

    house = in_memory(observer=Singleton(Observer), heart=Object("mine"), store=Object("another"))

    assert isinstance(house.following_up()._observer, Observer)
    assert house.exposition()._heart == "mine"
    assert house.statistics()._store == "another"


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(AttributeError, match="limitter"):
        in_memory(limitter=Singleton(MemoryRateLimiter))


def test_an_assembly_without_redis_keeps_what_processes_would_share() -> None:
    house = assembled(offline())

    assert house.limiter() is house.process_limiter()
    assert house.cache() is house.process_cache()
    assert house.redis() is None


def test_two_assemblies_share_nothing() -> None:
    assert in_memory().database() is not in_memory().database()
