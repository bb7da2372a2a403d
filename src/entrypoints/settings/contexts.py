"""Settings of the contexts."""

from typing import Annotated

from entrypoints.settings.bounds import Bounds
from entrypoints.settings.setting import Setting, number, quota


class Contexts(Bounds, frozen=True, kw_only=True):
    """How many of a thing there may be, and how long it is kept."""

    quota_tasks: Annotated[int, Setting("Tasks of a workspace that are not deleted.", quota, "tasks")] = 200_000
    quota_open_tasks: Annotated[int, Setting("Open tasks of one member of a workspace.", quota, "tasks")] = 10_000
    quota_comments: Annotated[int, Setting("Comments on those tasks of a workspace.", quota, "comments")] = 1_000_000
    quota_members: Annotated[int, Setting("Members of a workspace.", number(1, 10_000, int), "members")] = 500
    quota_invitations: Annotated[
        int, Setting("Invitations into a workspace that still admit somebody.", number(1, 200, int), "invitations")
    ] = 200
    quota_workspaces: Annotated[int, Setting("Workspaces that an account is in.", quota, "workspaces")] = 50
    quota_sessions: Annotated[
        int, Setting("Sessions of an account; one more ends the oldest.", number(1, 1_000, int), "sessions")
    ] = 100
    quota_rooms: Annotated[int, Setting("Open rooms that an account has opened.", quota, "rooms")] = 5
    quota_workspace_rooms: Annotated[int, Setting("Open rooms of a workspace.", quota, "rooms")] = 50
    max_participants_per_room: Annotated[
        int, Setting("How many a room lets in at most; a room may let in fewer.", number(2, 10, int), "participants")
    ] = 10
    room_lifetime_seconds: Annotated[
        int,
        Setting(
            "After that a room ends, unless it is extended: to 7 days at most.", number(300, 604_800, int), "seconds"
        ),
    ] = 86_400
    quota_tickets: Annotated[
        int, Setting("Tickets of an account; one more replaces the oldest.", number(1, 1_000, int), "tickets")
    ] = 10
    event_retention_days: Annotated[
        int,
        Setting("How long events are kept, and with them histories; 0: for ever.", number(0, 36_500, int), "days"),
    ] = 0
    session_retention_days: Annotated[
        int,
        Setting(
            "How long a session that is over, or the pass and name of a guest, is kept; 0: for ever.",
            number(0, 3_650, int),
            "days",
        ),
    ] = 30
    deletion_grace_seconds: Annotated[
        int,
        Setting(
            "For how long an account that is to be deleted can be kept after all; in production a day at least.",
            number(0, 2_592_000, int),
            "seconds",
        ),
    ] = 259_200
    room_retention_days: Annotated[
        int,
        Setting(
            "How long a closed room is kept for those who were in it, with its messages; 0: for ever.",
            number(0, 3_650, int),
            "days",
        ),
    ] = 30
    notification_retention_days: Annotated[
        int,
        Setting("How long a notification is kept; 0: for ever.", number(0, 3_650, int), "days"),
    ] = 90
    invitation_retention_days: Annotated[
        int,
        Setting("How long an invitation that ran out is kept; 0: for ever.", number(0, 3_650, int), "days"),
    ] = 30
    mail_retention_days: Annotated[
        int,
        Setting(
            "How long it is kept that a mail was sent or given up, without its address and content; 0: for ever.",
            number(0, 3_650, int),
            "days",
        ),
    ] = 30
