"""What the use cases of rooms share: a unit that changes one room, with what follows for its guests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from application.ports.observer import Observer
from application.ports.rooms import RoomQueries, RoomWork, view_of
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork
from application.principal import Principal
from application.scopes import Scope
from application.turns import OneByOne
from domain.channels import workspace_stream
from domain.errors import VersionConflict
from domain.ids import AccountId, RoomId, WorkspaceId
from domain.rooms import LEAD_DEFAULT_MS, PlaybackStatus, Room

Leads = Callable[[RoomId], Awaitable[int]]
"""How far ahead a start of this room lies, in milliseconds, so that all of its players hear of it before."""


class Named(Protocol):
    """An account, of which a room needs the name alone."""

    @property
    def id(self) -> AccountId: ...

    @property
    def display_name(self) -> str: ...


class Hospitality(Protocol):
    """Lets guests in, as accounts that end with their place in a room. Each call is part of the unit `work`."""

    def came(
        self, work: Any, display_name: str, scopes: Collection[Scope], until: datetime, at: datetime
    ) -> tuple[Named, str]:
        """A new guest, and the token with which it acts until then; Invalid if the name is none."""
        ...

    async def stay(
        self, work: Any, accounts: Collection[AccountId], until: datetime, by: AccountId | None, at: datetime
    ) -> None:
        """Let these guests stay until then."""
        ...

    async def gone(self, work: Any, accounts: Collection[AccountId], by: AccountId | None, at: datetime) -> None:
        """Let these guests do nothing any more."""
        ...


class Keeping:
    """Keeps changed rooms, and ends the passes of guests who are in them no longer. `guests` is public."""

    def __init__(self, guests: Hospitality, clock: Clock) -> None:
        self.guests = guests
        self._clock = clock

    async def save(self, work: RoomWork, before: Room, room: Room, by: AccountId | None) -> None:
        """Save a changed room. Guests who are in it no longer, or for whom it is over, can do nothing any more."""
        there = _guests(room) if room.closed_at is None else set()
        gone = (_guests(before) if before.closed_at is None else set()) - there
        now = self._clock.now()
        if gone:
            await self.guests.gone(work, gone, by, now)
        if there and room.expires_at != before.expires_at:
            await self.guests.stay(work, there, room.expires_at, by, now)
        work.rooms.save(room)


class RoomSteps:
    """What the use cases of rooms begin with: a unit of work that changes one room, and how far ahead it starts."""

    def __init__(
        self, work: UnitOfWork[RoomWork], keeping: Keeping, leads: Leads, clock: Clock, observer: Observer
    ) -> None:
        self.work = work
        self.keeping = keeping
        self.leads = leads
        self.clock = clock
        self._observer = observer
        self._turns = OneByOne()

    @asynccontextmanager
    async def changing(self, id: RoomId, actor: Principal | None) -> AsyncIterator[tuple[RoomWork, Room]]:
        """A unit of work and a room, which is saved on leaving if nothing is raised.

        NotFound if it is absent, or if the credential of the actor is for another place.
        """
        async with self._turns.turn(id), self.work() as work:
            room, by = await work.rooms.get(id), None
            if actor is not None:
                actor.require_within(id, room.workspace_id)
                by = actor.account_id
            before = replace(room)
            yield work, room
            await self.keeping.save(work, before, room, by)
        waited = _waited(before, room, self.clock.now())
        if waited is not None:
            self._observer.happened("room_waited", waited)


async def go_on(work: RoomWork, before: Room, room: Room, now: datetime, lead_ms: int = LEAD_DEFAULT_MS) -> None:
    """Play the next item, if the present one has ended since then, or if others are here and half of them skip it."""
    has_ended = room.playback.status is PlaybackStatus.ENDED and room.playback.epoch != before.playback.epoch
    are_others = room.playback.item_id is not None and room.here != before.here
    if has_ended or are_others:
        queue = await work.queues.get(room.id)
        if has_ended:
            room.advance(queue, room.playback.epoch, now, lead_ms)
        room.recount(queue, now, lead_ms)
        work.queues.save(queue)


async def require_within(actor: Principal, queries: RoomQueries, id: RoomId) -> None:
    """NotFound if the actor's credential is for a place that the room is not in. Only such a credential asks."""
    if actor.within is not None:
        actor.require_within(id, (await queries.view(id, actor.account_id)).workspace_id)


def workspace_of(actor: Principal, workspace: UUID | None) -> WorkspaceId | None:
    """The given workspace, or else the one that the credential is for; None is no workspace.

    NotFound if the credential is for another place, Forbidden if that is no workspace.
    """
    there = workspace or actor.place
    if there is None:
        return None
    actor.require_within(there)
    if actor.within is not None and actor.within != workspace_stream(WorkspaceId(there)):
        actor.require_anywhere()
    return WorkspaceId(there)


def require_version(room: Room, version: int | None) -> None:
    """VersionConflict if `version` is neither None nor the present one."""
    if version is not None and version != room.version:
        raise VersionConflict(view_of(room), room.version)


def _waited(before: Room, after: Room, now: datetime) -> str | None:
    """How a wait for players began or ended with this change, as it is counted; None if none did."""
    was, playing = before.playback.status, after.playback.status is PlaybackStatus.PLAYING
    if was is PlaybackStatus.PLAYING and after.playback.status is PlaybackStatus.WAITING:
        return "buffering"
    if before.starts_by is None or not playing:
        return None
    return "ready" if now < before.starts_by else "overdue"


def _guests(room: Room) -> set[AccountId]:
    return {each.account_id for each in room.participants.values() if each.is_guest}
