"""The schema, a module for each context.

Alembic compares the migrations with it, and every statement is written against it.
"""

from adapters.postgres.tables.events import cursors, events, lineage, streams
from adapters.postgres.tables.exports import export_pieces, exports
from adapters.postgres.tables.identity import (
    accounts,
    address_requests,
    guest_passes,
    mailed_links,
    passkeys,
    second_factors,
    sessions,
    tickets,
)
from adapters.postgres.tables.kept import idempotency, usage
from adapters.postgres.tables.mail import mails, waiting_mails
from adapters.postgres.tables.notifications import digests, inboxes, notifications, rounds
from adapters.postgres.tables.rooms import (
    messages,
    open_rooms,
    participants,
    present_participants,
    queue_items,
    queues,
    rooms,
)
from adapters.postgres.tables.schema import QUIET, Instant, due_index, metadata
from adapters.postgres.tables.tasks import comments, task_numbers, tasks
from adapters.postgres.tables.workspaces import invitations, members, removals, workspaces

__all__ = [
    "QUIET",
    "Instant",
    "accounts",
    "address_requests",
    "comments",
    "cursors",
    "digests",
    "due_index",
    "events",
    "export_pieces",
    "exports",
    "guest_passes",
    "idempotency",
    "inboxes",
    "invitations",
    "lineage",
    "mailed_links",
    "mails",
    "members",
    "messages",
    "metadata",
    "notifications",
    "open_rooms",
    "participants",
    "passkeys",
    "present_participants",
    "queue_items",
    "queues",
    "removals",
    "rooms",
    "rounds",
    "second_factors",
    "sessions",
    "streams",
    "task_numbers",
    "tasks",
    "tickets",
    "usage",
    "waiting_mails",
    "workspaces",
]
