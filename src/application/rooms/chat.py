"""What people say in a room, and what happened there."""

from application.limits import Limits
from application.paging import Page
from application.ports.events import EventFilter, EventView, JournalQueries
from application.ports.rooms import MessageView, RoomQueries, RoomWork, message_view
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.rooms.measures import MESSAGES_PER_PARTICIPANT
from application.rooms.messages import NewMessage
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ
from application.rooms.steps import require_within
from domain.ids import MessageId, RoomId
from domain.rooms import Message, room_stream

_EVERYTHING = EventFilter()


class Chat:
    """The messages and the history of rooms, for those who are in them; to others a room is NotFound."""

    def __init__(
        self,
        work: UnitOfWork[RoomWork],
        queries: RoomQueries,
        journal: JournalQueries,
        limits: Limits,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._work = work
        self._queries = queries
        self._journal = journal
        self._limits = limits
        self._clock = clock
        self._ids = ids

    async def page(self, actor: Principal, id: RoomId, cursor: str | None, limit: int) -> Page[MessageView]:
        """The newest messages, the newest first."""
        actor.require(ROOMS_READ)
        await require_within(actor, self._queries, id)
        return await self._queries.messages(id, actor.account_id, cursor, limit)

    async def history(self, actor: Principal, id: RoomId, cursor: str | None, limit: int) -> Page[EventView]:
        """Who did what, newest first; also for those who were in a closed room last, who follow it no longer."""
        actor.require(ROOMS_READ)
        room = await self._queries.view(id, actor.account_id)
        actor.require_within(id, room.workspace_id)
        return await self._journal.page(room_stream(id), _EVERYTHING, True, cursor, limit)

    async def say(self, actor: Principal, id: RoomId, new: NewMessage) -> MessageView:
        """Say something. The message keeps where the item is now. RoomClosed, Muted, Exhausted."""
        actor.require(ROOMS_PLAY)
        await self._limits.require(MESSAGES_PER_PARTICIPANT, f"{id}:{actor.account_id}")
        return await self._say(actor, id, new)

    @retried
    async def _say(self, actor: Principal, id: RoomId, new: NewMessage) -> MessageView:
        now = self._clock.now()
        async with self._work() as work:
            seat, workspace, playback = await work.rooms.seat(id, actor.account_id)
            actor.require_within(id, workspace)
            at = (playback.item_id, playback.position_ms(now), now)
            message = Message.say(MessageId(self._ids.new()), id, workspace, seat, new.text, *at)
            work.messages.add(message)
        return message_view(message)

    @retried
    async def delete(self, actor: Principal, id: RoomId, message_id: MessageId) -> None:
        """Delete a message: one's own, or any as a moderator."""
        actor.require(ROOMS_PLAY)
        async with self._work() as work:
            seat, workspace, _ = await work.rooms.seat(id, actor.account_id)
            actor.require_within(id, workspace)
            message = await work.messages.get(message_id, id)
            message.delete(seat, self._clock.now())
            work.messages.save(message)
