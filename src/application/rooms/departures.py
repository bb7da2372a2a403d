"""Closes the rooms of workspaces that are gone, and lets accounts leave rooms that they may be in no longer.

Of an account that was deleted it erases what rooms hold.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from application.erasure import DELETED, ERASED_NAME, MOST
from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.rooms import RoomUpkeep, RoomWork
from application.rooms.steps import Keeping, go_on
from domain.ids import AccountId, WorkspaceId

AT_ONCE = 20
# Why somebody is in no room any more.
_OUT = {"account.disabled": "account_disabled", "account.deletion_requested": "account_deletion"}


def closing(keeping: Keeping) -> Consumer[RoomWork]:
    """Closes the rooms of a workspace that was deleted, twenty at a time."""

    async def close(work: RoomWork, event: EventView, now: datetime) -> bool:
        return await _close(work, keeping, event, now) < AT_ONCE

    return Consumer("rooms_close", frozenset({"workspace.deleted"}), close)


def erasing(keeping: Keeping, upkeep: RoomUpkeep) -> Consumer[RoomWork]:
    """Drops the rooms of the personal workspace of a deleted account, and forgets in all others what it was called."""

    async def erase(work: RoomWork, event: EventView, now: datetime) -> bool:
        account = AccountId(event.resource.id)
        # The unit of work comes last, because a unit that has read holds a connection, and these take another one.
        if await upkeep.erase_names(account, ERASED_NAME, MOST):
            return False
        if await upkeep.erase_rooms(WorkspaceId(account), MOST):
            return False
        return await _close(work, keeping, event, now) == 0

    return Consumer("rooms_erase", DELETED, erase)


async def _close(work: RoomWork, keeping: Keeping, event: EventView, now: datetime) -> int:
    """Close rooms of the workspace that an event is about, at most twenty, and return their number."""
    rooms = await work.rooms.of_workspace(WorkspaceId(event.resource.id), AT_ONCE)
    for room in rooms:
        before = replace(room)
        room.close(None, now, reason="workspace_deleted")
        await keeping.save(work, before, room, _actor(event))
    return len(rooms)


def leaving(keeping: Keeping) -> Consumer[RoomWork]:
    """Takes an account out of rooms, twenty at a time: out of all rooms if it is disabled or to be deleted.

    One that was removed from a workspace leaves those rooms that are for its members. If it is a member again by now,
    it stays.
    """

    async def leave(work: RoomWork, event: EventView, now: datetime) -> bool:
        if event.type in _OUT:
            account, workspace, reason = AccountId(event.resource.id), None, _OUT[event.type]
        else:
            account, reason = AccountId(UUID(str(event.data["account_id"]))), "member_removed"
            workspace = WorkspaceId(event.resource.id)
            if await work.access.members(workspace, frozenset({account})):
                return True
        rooms = await work.rooms.of_account(account, AT_ONCE, workspace)
        for room in rooms:
            before = replace(room)
            room.leave(account, None, now, reason=reason)
            await go_on(work, before, room, now)
            await keeping.save(work, before, room, _actor(event))
        return len(rooms) < AT_ONCE

    return Consumer("rooms_leave", frozenset({*_OUT, "member.removed"}), leave)


def _actor(event: EventView) -> AccountId | None:
    return None if event.actor is None else AccountId(event.actor)
