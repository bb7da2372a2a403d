"""Finds those who are gone from rooms although nobody told, because that was lost with a process."""

import asyncio
import logging
from uuid import UUID

from application.ports.rooms import RoomQueries
from application.ports.system import Clock
from application.principal import correlation, new_correlation
from application.rooms.use_cases import Rooms
from domain.errors import DomainError
from domain.ids import RoomId

# By then those are back who lost their connection when this process started in place of another.
FIRST_SECONDS = 15.0
EVERY_SECONDS = 600.0
AT_ONCE = 100

log = logging.getLogger(__name__)


class RollCall:
    """Lets each room in which somebody is connected ask who really is, soon after a start and then every ten minutes.

    A room of which that is true already is read, and nothing is written.
    """

    def __init__(self, queries: RoomQueries, rooms: Rooms, clock: Clock) -> None:
        self._queries = queries
        self._rooms = rooms
        self._clock = clock

    async def run(self) -> None:
        """Call the roll until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self.call()
            except DomainError as problem:
                log.warning("cannot see who is in rooms: %s", problem)
            await asyncio.sleep(EVERY_SECONDS)

    async def call(self) -> None:
        """Let all rooms ask once. Unavailable without the store."""
        last = RoomId(UUID(int=0))
        while ids := await self._queries.attended(last, AT_ONCE):
            for last in ids:
                correlation.set(new_correlation())
                try:
                    await self._rooms.elapse(last, self._clock.now())
                except DomainError as problem:
                    log.debug("cannot see who is in the room %s: %s", last, problem)
