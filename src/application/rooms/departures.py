"""Closes the rooms of workspaces that are gone, and lets accounts leave rooms that they may be in no longer."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.rooms import RoomWork
from application.rooms.steps import Keeping
from domain.ids import AccountId, WorkspaceId

AT_ONCE = 20
_DISABLED = "account.disabled"


def closing(keeping: Keeping) -> Consumer[RoomWork]:
    """Closes the rooms of a workspace that was deleted, twenty at a time."""

    async def close(work: RoomWork, event: EventView, now: datetime) -> bool:
        rooms = await work.rooms.of_workspace(WorkspaceId(event.resource.id), AT_ONCE)
        for room in rooms:
            before = replace(room)
            room.close(None, now, reason="workspace_deleted")
            await keeping.save(work, before, room, _actor(event))
        return len(rooms) < AT_ONCE

    return Consumer("rooms_close", frozenset({"workspace.deleted"}), close)


def leaving(keeping: Keeping) -> Consumer[RoomWork]:
    """Takes an account out of rooms, twenty at a time: a disabled one out of all rooms.

    One that was removed from a workspace leaves those rooms that are for its members. If it is a member again by now,
    it stays.
    """

    async def leave(work: RoomWork, event: EventView, now: datetime) -> bool:
        if event.type == _DISABLED:
            account, workspace, reason = AccountId(event.resource.id), None, "account_disabled"
        else:
            account, reason = AccountId(UUID(str(event.data["account_id"]))), "member_removed"
            workspace = WorkspaceId(event.resource.id)
            if await work.access.members(workspace, frozenset({account})):
                return True
        rooms = await work.rooms.of_account(account, AT_ONCE, workspace)
        for room in rooms:
            before = replace(room)
            room.leave(account, None, now, reason=reason)
            await keeping.save(work, before, room, _actor(event))
        return len(rooms) < AT_ONCE

    return Consumer("rooms_leave", frozenset({_DISABLED, "member.removed"}), leave)


def _actor(event: EventView) -> AccountId | None:
    return None if event.actor is None else AccountId(event.actor)
