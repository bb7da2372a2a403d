"""Rooms, their queues and messages for reading only."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    Text,
    Uuid,
    all_,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from adapters.postgres.database import Database
from adapters.postgres.pages import measured, page_of
from adapters.postgres.rooms.repository import queue_of
from adapters.postgres.rooms.terms import ITEMS, PEOPLE, PLAYBACK, POLICIES
from adapters.postgres.statement import Lookup, Statement, lookup_keys
from adapters.postgres.tables import lineage, members, messages, participants, queues, rooms, streams
from application.paging import Page, decode_cursor, encode_cursor, fitting
from application.ports.rooms import (
    MESSAGES_KEPT,
    MESSAGES_SHOWN,
    MessageView,
    ParticipantView,
    PoliciesView,
    QueueView,
    RoomQueries,
    RoomSnapshot,
    RoomView,
    StateView,
    queue_view,
)
from domain.errors import NotFound
from domain.ids import AccountId, RoomId, WorkspaceId
from domain.rooms import Control, HostLeave, PlaybackStatus, Visibility, Wait

_OWN = (
    rooms.c.id,
    rooms.c.workspace_id,
    rooms.c.name,
    rooms.c.join_code,
    rooms.c.visibility,
    rooms.c.password_hash.is_not(None).label("password_set"),
    rooms.c.max_participants,
    rooms.c.allow_guests,
)
_AGE = ("created_by", "created_at", "updated_at", "expires_at", "closed_at", "close_reason", "version")
_VIEWED = (
    *_OWN,
    *(rooms.c[name] for name in (*POLICIES, *PLAYBACK)),
    PEOPLE.label("people"),
    *(rooms.c[name] for name in _AGE),
)
_KEY = lookup_keys("room", "account")
_MINE = and_(participants.c.room_id == _KEY.c.room, participants.c.account_id == _KEY.c.account)
_VIEW = Lookup(
    _KEY,
    select(*_VIEWED).select_from(_KEY).join(participants, _MINE).join(rooms, rooms.c.id == participants.c.room_id),
)
_IS_IN = Lookup(_KEY, select(participants.c.id).select_from(_KEY).join(participants, _MINE))
_PARTICIPATING = Lookup(
    _KEY, select(participants.c.id).select_from(_KEY).join(participants, and_(_MINE, ~participants.c.is_over))
)
_SPEAKING = Lookup(
    _KEY,
    select(participants.c.id)
    .select_from(_KEY)
    .join(participants, and_(_MINE, ~participants.c.is_over, ~participants.c.muted)),
)
_ATTENDED = Statement(
    select(participants.c.room_id)
    .distinct()
    .where(~participants.c.is_over, participants.c.slot_until.is_(None), participants.c.room_id > bindparam("after"))
    .order_by(participants.c.room_id)
    .limit(bindparam("most"))
)
_WITHIN = bindparam("within", type_=rooms.c.id.type)
_IS_WITHIN = or_(_WITHIN.is_(None), rooms.c.workspace_id == _WITHIN, rooms.c.id == _WITHIN)
_MY_ROOMS = (
    select(*_VIEWED)
    .join(participants, participants.c.room_id == rooms.c.id)
    .where(
        participants.c.account_id == bindparam("account"),
        participants.c.is_over == bindparam("closed"),
        participants.c.room_id < bindparam("before"),
        _IS_WITHIN,
    )
    .order_by(participants.c.room_id.desc())
    .limit(bindparam("limit"))
)
_PAGE = Statement(_MY_ROOMS)
_THERE = rooms.c.workspace_id == bindparam("workspace")
_CLOSED_THERE = Statement(_MY_ROOMS.where(_THERE))
_I_AM_IN = exists().where(participants.c.room_id == rooms.c.id, participants.c.account_id == bindparam("account"))
_FOR_MEMBERS = and_(
    rooms.c.visibility == literal_column(f"'{Visibility.WORKSPACE}'"),
    bindparam("account", type_=Uuid) != all_(rooms.c.banned),
)
_IS_MEMBER = select(members.c.role).where(
    members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account")
)
_MEMBER = Statement(_IS_MEMBER)
_OPEN_THERE = Statement(
    select(*(case((_I_AM_IN, each)).label("join_code") if each is rooms.c.join_code else each for each in _VIEWED))
    .where(
        _THERE,
        rooms.c.closed_at.is_(None),
        rooms.c.id < bindparam("before"),
        _IS_WITHIN,
        or_(_I_AM_IN, _FOR_MEMBERS),
        _IS_MEMBER.exists(),
    )
    .order_by(rooms.c.id.desc())
    .limit(bindparam("limit"))
)
_QUEUE_COLUMNS = (
    queues.c.mode,
    queues.c.current_id,
    queues.c.ordered,
    queues.c.skips,
    queues.c.version.label("queue_version"),
    ITEMS.label("items"),
)
_QUEUE = Lookup(
    _KEY,
    select(*_QUEUE_COLUMNS)
    .select_from(_KEY)
    .join(participants, _MINE)
    .join(rooms, rooms.c.id == participants.c.room_id)
    .outerjoin(queues, queues.c.id == rooms.c.id),
)
_MESSAGE = tuple(messages.c[name] for name in MessageView.__struct_fields__)
_LAST = (
    select(messages.c.number, *_MESSAGE)
    .where(messages.c.room_id == rooms.c.id)
    .order_by(messages.c.number.desc(), messages.c.id.desc())
    .limit(literal_column(str(MESSAGES_SHOWN)))
    .correlate(rooms)
    .subquery("said")
)
_SAID = select(cast(func.json_agg(aggregate_order_by(literal_column("said"), _LAST.c.number, _LAST.c.id)), Text))
_STREAM = literal_column("'room:'", Text) + cast(rooms.c.id, Text)  # as `room_stream` names it
# One statement sees one snapshot: what it shows of the room is all that its stream tells up to the head in it.
_SNAPSHOT = Lookup(
    _KEY,
    select(
        *_VIEWED,
        *_QUEUE_COLUMNS,
        _SAID.select_from(_LAST).correlate(rooms).scalar_subquery().label("said"),
        lineage.c.epoch.label("journal_epoch"),
        func.coalesce(streams.c.head, literal_column("0")),
    )
    .select_from(_KEY)
    .join(lineage, true())
    .join(participants, _MINE)
    .join(rooms, rooms.c.id == participants.c.room_id)
    .outerjoin(queues, queues.c.id == rooms.c.id)
    .outerjoin(streams, streams.c.name == _STREAM),
)
_NEWEST = (
    select(messages.c.number, *_MESSAGE)
    .where(messages.c.room_id == bindparam("room"))
    .order_by(messages.c.number.desc(), messages.c.id.desc())
    .limit(literal_column(str(MESSAGES_KEPT)))
    .subquery("newest")
)
_PLACE = tuple_(bindparam("before", type_=messages.c.number.type), bindparam("before_id", type_=messages.c.id.type))
_SIZE = 400 + func.octet_length(_NEWEST.c.text) + func.octet_length(_NEWEST.c.display_name)
_SHOWN = select(*_NEWEST.c)
_MESSAGES, _EARLIER = (
    measured(shown, _SIZE, [_NEWEST.c.text], _NEWEST.c.number, _NEWEST.c.id, descending=True)
    for shown in (_SHOWN, _SHOWN.where(tuple_(_NEWEST.c.number, _NEWEST.c.id) < _PLACE))
)
_MESSAGE_SIZE = 400 + func.octet_length(messages.c.text) + func.octet_length(messages.c.display_name)
_OF_PERSON = measured(
    select(*_MESSAGE).where(messages.c.account_id == bindparam("account"), messages.c.id > bindparam("after")),
    _MESSAGE_SIZE,
    [messages.c.text],
    messages.c.id,
)
_BEFORE_ALL = UUID(int=0)
_AFTER_ALL = UUID(int=2**128 - 1)
_people = msgspec.json.Decoder(list[ParticipantView])
_said = msgspec.json.Decoder(list[MessageView])


class PostgresRoomQueries(RoomQueries):
    """Rooms for reading only; views are made from rows directly."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def view(self, id: RoomId, by: AccountId) -> RoomView:
        return _view(await self._seen(_VIEW, id, by))

    async def page(
        self,
        by: AccountId,
        workspace: WorkspaceId | None,
        closed: bool,
        cursor: str | None,
        limit: int,
        within: UUID | None = None,
    ) -> Page[RoomView]:
        query = f"rooms {by} {workspace} {closed} {within}"
        before = _AFTER_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]
        statement, values = _PAGE, {"account": by, "within": within, "before": before, "limit": limit + 1}
        if workspace is not None:
            statement, values["workspace"] = _CLOSED_THERE if closed else _OPEN_THERE, workspace
        if closed or workspace is None:
            values["closed"] = closed
        rows = await self._database.fetch(statement, **values)
        if not rows and workspace and await self._database.fetchrow(_MEMBER, workspace=workspace, account=by) is None:
            raise NotFound
        views = fitting([_view(iter(row)) for row in rows[:limit]])
        return Page(views, encode_cursor(query, views[-1].id) if len(views) < len(rows) else None)

    async def snapshot(self, id: RoomId, by: AccountId) -> RoomSnapshot:
        row = await self._seen(_SNAPSHOT, id, by)
        room, queue = _view(row), _queue(id, row)
        said = next(row)
        return RoomSnapshot(room, queue, _said.decode(said) if said else [], next(row), next(row))

    async def queue(self, id: RoomId, by: AccountId) -> QueueView:
        return _queue(id, await self._seen(_QUEUE, id, by))

    async def messages(self, id: RoomId, by: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        query = f"messages {id}"
        values: dict[str, Any] = {"room": id}
        if cursor is not None:
            values["before"], values["before_id"] = decode_cursor(cursor, query, int, UUID)
        statement = _MESSAGES if cursor is None else _EARLIER
        page = await page_of(
            lambda limit, most: self._database.fetch(statement, **values, limit=limit, most=most),
            limit,
            lambda row: (row[0], MessageView(*row[1:-1])),
            lambda last: encode_cursor(query, last[0], last[1].id),
        )
        await self._seen(_IS_IN, id, by)
        return Page([view for _, view in page.data], page.next_cursor)

    async def messages_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[MessageView]:
        query = f"messages of {account}"
        after = _BEFORE_ALL if cursor is None else decode_cursor(cursor, query, UUID)[0]
        return await page_of(
            lambda limit, most: self._database.fetch(_OF_PERSON, account=account, after=after, limit=limit, most=most),
            limit,
            lambda row: MessageView(*row[:-1]),
            lambda last: encode_cursor(query, last.id),
        )

    async def participating(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        return (await self._database.look_up_all(_PARTICIPATING, list(asked))).keys()

    async def speaking(self, asked: Collection[tuple[UUID, AccountId]]) -> Collection[tuple[UUID, AccountId]]:
        return (await self._database.look_up_all(_SPEAKING, list(asked))).keys()

    async def attended(self, after: RoomId, most: int) -> Sequence[RoomId]:
        return [RoomId(id) for (id,) in await self._database.fetch(_ATTENDED, after=after, most=most)]

    async def _seen(self, lookup: Lookup, id: RoomId, by: AccountId) -> Iterator[Any]:
        """The columns that the lookup finds for somebody who is in the room; NotFound for others."""
        row = await self._database.look_up(lookup, id, by)
        if row is None:
            raise NotFound
        return iter(row)


def _view(row: Iterator[Any]) -> RoomView:
    own = {column.name: value for column, value in zip(_OWN, row, strict=False)}
    own["visibility"] = Visibility(own["visibility"])
    policies = PoliciesView(Control(next(row)), Wait(next(row)), HostLeave(next(row)))
    state = StateView(PlaybackStatus(next(row)), *_next(row, len(PLAYBACK) - 1))
    people = _people.decode(next(row) or "[]")  # of an open room that everybody left it is null
    return RoomView(**own, policies=policies, state=state, participants=people, **dict(zip(_AGE, row, strict=False)))


def _queue(id: RoomId, row: Iterator[Any]) -> QueueView:
    return queue_view(queue_of(id, None, _next(row, len(_QUEUE_COLUMNS))))


def _next(row: Iterator[Any], count: int) -> Sequence[Any]:
    return list(islice(row, count))
