"""What people can do with the queue of a room, beside playing from it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import UNSET

from application.ports.rooms import QueueItemView, QueueView, RoomQueries, RoomWork, item_view, queue_view
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.rooms.messages import ItemPatch, Move, NewItem, NewItems, QueuePatch
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ
from application.rooms.steps import require_within
from domain.errors import VersionConflict
from domain.ids import QueueItemId, RoomId
from domain.rooms import Queue, QueueItem, Seat


class RoomQueues:
    """The queues of rooms, for those who are in them. To others a room is NotFound; one that is over is RoomClosed."""

    def __init__(self, work: UnitOfWork[RoomWork], queries: RoomQueries, clock: Clock, ids: Ids) -> None:
        self._work = work
        self._queries = queries
        self._clock = clock
        self._ids = ids

    async def read(self, actor: Principal, id: RoomId) -> QueueView:
        actor.require(ROOMS_READ)
        await require_within(actor, self._queries, id)
        return await self._queries.queue(id, actor.account_id)

    @retried
    async def arrange(self, actor: Principal, id: RoomId, patch: QueuePatch, version: int | None = None) -> QueueView:
        """Say how the next item is found. VersionConflict if `version` is neither None nor the present one."""
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            if version is not None and version != queue.version:
                raise VersionConflict(queue_view(queue), queue.version)
            queue.set_mode(seat, patch.mode, self._clock.now())
        return queue_view(queue)

    @retried
    async def add(self, actor: Principal, id: RoomId, new: NewItem) -> QueueItemView:
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            (item,) = self._add(queue, seat, [new])
        return item_view(item)

    @retried
    async def add_many(self, actor: Principal, id: RoomId, new: NewItems) -> QueueView:
        """Put all of these at the end, or none."""
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            self._add(queue, seat, new.items)
        return queue_view(queue)

    @retried
    async def edit(self, actor: Principal, id: RoomId, item_id: QueueItemId, patch: ItemPatch) -> QueueItemView:
        """Change the title or duration of an item, of the one that plays too."""
        actor.require(ROOMS_PLAY)
        now, by = self._clock.now(), actor.account_id
        title = None if patch.title is UNSET else patch.title
        duration_ms = None if patch.duration_ms is UNSET else patch.duration_ms
        async with self._work() as work:
            room, queue = await work.rooms.get(id), await work.queues.get(id)
            actor.require_within(id, room.workspace_id)
            item = queue.edit(room.seat(by), item_id, now, title, duration_ms)
            room.state_duration(item, by, now)
            work.queues.save(queue)
            work.rooms.save(room)
        return item_view(item)

    @retried
    async def move(self, actor: Principal, id: RoomId, item_id: QueueItemId, to: Move) -> QueueView:
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            queue.move(seat, item_id, to.position, self._clock.now())
        return queue_view(queue)

    @retried
    async def remove(self, actor: Principal, id: RoomId, item_id: QueueItemId) -> None:
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            queue.remove(seat, item_id, self._clock.now())

    @retried
    async def vote(self, actor: Principal, id: RoomId, item_id: QueueItemId, wanted: bool) -> None:
        """Vote for an item or, if it is not `wanted`, take the vote back."""
        actor.require(ROOMS_PLAY)
        async with self._changing(actor, id) as (queue, seat):
            queue.vote(seat, item_id, self._clock.now(), wanted)

    def _add(self, queue: Queue, seat: Seat, new: Sequence[NewItem]) -> Sequence[QueueItem]:
        now = self._clock.now()
        items = [
            QueueItem.of(QueueItemId(self._ids.new()), each.url, each.title, each.duration_ms, seat.account_id, now)
            for each in new
        ]
        queue.add(seat, items, now)
        return items

    @asynccontextmanager
    async def _changing(self, actor: Principal, id: RoomId) -> AsyncIterator[tuple[Queue, Seat]]:
        """The queue and the caller's seat. The queue is saved on leaving, if nothing is raised."""
        async with self._work() as work:
            seated = await work.rooms.seat(id, actor.account_id)
            actor.require_within(id, seated.workspace_id)
            queue = await work.queues.get(id)
            yield queue, seated.seat
            work.queues.save(queue)
