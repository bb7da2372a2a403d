"""Whom events of rooms concern."""

from collections.abc import Collection
from uuid import UUID

from application.ports.events import EventView
from application.ports.notices import Notice, Told, following
from application.ports.rooms import RoomWork
from domain.errors import NotFound
from domain.ids import AccountId, RoomId
from domain.rooms import Room, Visibility


async def may_come(work: RoomWork, room: Room, account: AccountId) -> bool:
    """Whether somebody who has the code of a room could come in, as far as the room decides it.

    The unit of work verifies this on leaving.
    """
    if account in room.banned:
        return False
    if room.visibility is not Visibility.WORKSPACE or room.workspace_id is None:
        return True
    return bool(await work.access.readers(room.workspace_id, frozenset({account})))


async def may_ask(work: RoomWork, room: Room, account: AccountId, other: AccountId) -> bool:
    """Whether somebody may ask another one into a room: who shares a workspace with them, or is in that of the room."""
    if room.workspace_id is not None and await work.access.members(room.workspace_id, frozenset({other})):
        return True
    return await work.access.are_together(account, other)


async def _invited(work: RoomWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Whoever was asked to come in, with the code that leads there."""
    room, account = await _open(work, event), AccountId(UUID(str(event.data["account_id"])))
    if room is None or room.participant_of(account) is not None or not await may_come(work, room, account):
        return None
    told = _told(room, [account], None, {"join_code": room.join_code})
    return told._replace(facts=(f"Its code is {room.join_code}, which POST /api/v1/rooms/join takes.",))


async def _expiring(work: RoomWork, event: EventView, after: AccountId | None, most: int) -> Told | None:
    """Those who are in."""
    room = await _open(work, event)
    if room is None:
        return None
    accounts, after = following((each.account_id for each in room.participants.values()), after, most)
    return _told(room, accounts, after, dict(event.data))


async def _open(work: RoomWork, event: EventView) -> Room | None:
    try:
        room = await work.rooms.get(RoomId(event.resource.id))
    except NotFound:
        return None
    return room if room.closed_at is None else None


def _told(room: Room, accounts: Collection[AccountId], after: AccountId | None, details: dict[str, object]) -> Told:
    return Told("room", room.id, room.name, accounts, after, room.workspace_id or room.id, details)


NOTICES = (
    Notice("room.invited", frozenset({"room.invited"}), "You were asked to come into a room.", _invited, by_mail=True),
    Notice("room.expiring", frozenset({"room.expiring"}), "A room that you are in ends soon.", _expiring),
)
