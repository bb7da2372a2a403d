"""Brings what players have to tell to their rooms: all that waits for one room in one unit of work."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from application.ports.unit_of_work import retried
from application.principal import Principal
from application.rooms.steps import RoomSteps, go_on
from domain.errors import DomainError
from domain.ids import RoomId
from domain.rooms import Report

# A process brings news to this number of rooms at a time. Meanwhile reports gather before the others.
ROOMS_AT_ONCE = 4


class _Unheard:
    """A report that its room has not heard yet. `refusal` is the room's, once it has."""

    __slots__ = ("actor", "refusal", "report")

    def __init__(self, actor: Principal, report: Report) -> None:
        self.actor = actor
        self.report = report
        self.refusal: DomainError | None = None


class _Line:
    """The reports that wait for one room, and the lock of the caller who brings them."""

    __slots__ = ("__weakref__", "lock", "unheard")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.unheard: list[_Unheard] = []


class RoomNews:
    """Lets rooms hear reports.

    One caller brings the reports of all who wait for the same room. If that fails, the next caller tries again with
    those that are left. So the reports of a crowd cost each room one unit of work, and the more load, the fewer units.
    """

    def __init__(self, steps: RoomSteps) -> None:
        self._steps = steps
        self._lines: WeakValueDictionary[RoomId, _Line] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(ROOMS_AT_ONCE)

    async def bring(self, id: RoomId, actor: Principal, report: Report) -> None:
        """Return once the room has heard the report. What the room refuses is raised."""
        line, mine = self._lines.setdefault(id, _Line()), _Unheard(actor, report)
        line.unheard.append(mine)
        try:
            async with line.lock:
                if mine in line.unheard:
                    async with self._slots:
                        heard = await self._hear(id, line)
                    line.unheard = [each for each in line.unheard if each not in heard]
        finally:
            if mine in line.unheard:
                line.unheard.remove(mine)
        if mine.refusal is not None:
            raise mine.refusal

    @retried
    async def _hear(self, id: RoomId, line: _Line) -> Sequence[_Unheard]:
        """Let the room hear all reports that wait now, in their order. Returns them."""
        lead = await self._steps.leads(id)
        async with self._steps.changing(id, None) as (work, room):
            now, before = self._steps.clock.now(), replace(room)
            heard = list(line.unheard)
            for each in heard:
                each.refusal = None
                try:
                    each.actor.require_within(id, room.workspace_id)
                    room.report(each.actor.account_id, each.report, now, lead)
                except DomainError as refusal:
                    each.refusal = refusal
            await go_on(work, before, room, now, lead)
        return heard
