"""The front door that the tests of identity knock at."""

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio
from dependency_injector import providers

from entrypoints.container import offline
from tests.application.front_door import FrontDoor
from tests.application.mail_room import MailRoom


@pytest_asyncio.fixture
async def door() -> AsyncIterator[FrontDoor]:
    door = FrontDoor()
    yield door
    door.close()


@pytest_asyncio.fixture
async def open_door() -> AsyncIterator[FrontDoor]:
    """A front door without limits, for tests that knock often."""
    door = FrontDoor(settings=providers.Object(msgspec.structs.replace(offline(), rate_limit_enabled=False)))
    yield door
    door.close()


@pytest_asyncio.fixture
async def room() -> AsyncIterator[MailRoom]:
    """Where addresses need not be verified."""
    room = MailRoom()
    yield room
    room.close()


@pytest_asyncio.fixture
async def strict() -> AsyncIterator[MailRoom]:
    """Where nobody signs in before the address was verified."""
    room = MailRoom("required")
    yield room
    room.close()
