"""The kinds of events of a room, of its queue and of its messages, with their fields."""

from domain.kernel import EventType, declared

_WHO = {"participant_id": "Which participant.", "account_id": "The account of the participant."}
_ITEM = {
    "item_id": "Which item.",
    "url": "Where it is played from.",
    "title": "Its title.",
    "duration_ms": "How long it is, in milliseconds, or null.",
    "added_by": "The account that added it.",
}
_WHICH = {"item_id": "Which item."}
_END = {"reason": "Why: closed, expired, workspace_deleted."}

ROOM_EVENTS = declared(
    EventType(
        "room.created",
        "room",
        "Somebody opened a room, and is its host.",
        {
            "name": "Its name.",
            "workspace_id": "Its workspace, or null.",
            "visibility": "Who may come in.",
            "password_set": "Whether one needs a password.",
            "max_participants": "How many it lets in.",
            "allow_guests": "Whether it lets in people without an account.",
            "policies": "Who controls it, for whom it waits, and what follows when the host leaves.",
            "expires_at": "When it ends, unless somebody extends it.",
            **_WHO,
            "display_name": "What the host is called.",
        },
    ),
    EventType(
        "room.updated",
        "room",
        "The settings of a room changed.",
        changes=("name", "visibility", "password_set", "max_participants", "allow_guests", "policies"),
    ),
    EventType(
        "room.state",
        "room",
        "The timeline of a room changed. The data is all of it.",
        {
            "status": "What it does: idle, loading, waiting, playing, paused, ended.",
            "item_id": "The item that plays, or null.",
            "epoch": "How often the timeline has changed.",
            "anchor_position_ms": "Its position at the time of the anchor, in milliseconds.",
            "anchor_at": "The time of the anchor, which may lie ahead.",
            "rate": "How fast it plays: 1 is its own speed.",
            "duration_ms": "How long the item is, in milliseconds, or null.",
            "reason": "Why: play, pause, seek, rate, load, next, skipped, ready, overdue, buffering, ended, empty, "
            "host_left, duration, closed.",
        },
    ),
    EventType("room.extended", "room", "A room was extended.", changes=("expires_at",)),
    EventType("room.expiring", "room", "A room ends soon.", {"minutes": "In how many.", "expires_at": "When that is."}),
    EventType("room.invited", "room", "Somebody was asked to come in.", {"account_id": "Whose account that is."}),
    EventType("room.expired", "room", "The time of a room is over. Nobody is in it any more.", _END),
    EventType("room.closed", "room", "A room was closed. Nobody is in it any more.", _END),
    EventType(
        "participant.joined",
        "room",
        "Somebody came in.",
        {
            **_WHO,
            "display_name": "What they are called.",
            "role": "The role in the room.",
            "is_guest": "Whether they are a guest.",
            "muted": "Whether they are muted, as they were when they went.",
        },
    ),
    EventType(
        "participant.changed",
        "room",
        "A participant has another role, connection or player.",
        _WHO,
        ("role", "muted", "slot_until", "progress", "buffering_since", "duration_ms"),
    ),
    EventType(
        "participant.left",
        "room",
        "Somebody left, or lost the place.",
        {**_WHO, "reason": "Why: left, lost, account_disabled, account_deletion, member_removed."},
    ),
    EventType(
        "participant.removed",
        "room",
        "Somebody was sent out.",
        {
            **_WHO,
            "reason": "Why: removed, banned.",
            "banned": "Whether they are banned. Then the room has a new code.",
        },
    ),
    EventType(
        "host.passed",
        "room",
        "Somebody else is the host.",
        {"from": "The account that was, null if it has gone.", "to": "The account that is."},
    ),
)
QUEUE_EVENTS = declared(
    EventType(
        "queue.changed",
        "room",
        "The mode of the queue changed, or the title or duration of an item.",
        {"item_id": "Which item, null for the queue itself."},
        ("mode", "title", "duration_ms"),
    ),
    EventType("queue.added", "room", "Somebody put something into the queue.", _ITEM),
    EventType("queue.removed", "room", "Something was taken out of the queue.", _WHICH),
    EventType("queue.moved", "room", "An item was moved in the queue.", {**_WHICH, "position": "Where, from 0."}),
    EventType(
        "queue.voted",
        "room",
        "Somebody voted, or took a vote back.",
        {
            **_WHICH,
            "account_id": "Who voted.",
            "votes": "How many votes it has.",
            "skip": "True for a vote to skip what plays, false for a vote to play this item.",
        },
    ),
    EventType("queue.advanced", "room", "An item left the queue to be played.", _ITEM),
)
MESSAGE_EVENTS = declared(
    EventType(
        "message.said",
        "room",
        "Somebody said something.",
        {
            **_WHO,
            "display_name": "What they were called.",
            "text": "What was said.",
            "item_id": "What played, or null.",
            "position_ms": "Where in the item that was, in milliseconds.",
        },
    ),
    EventType("message.deleted", "room", "A message was taken away."),
)

# The kinds that tell what their actor is called, in `display_name`.
NAMING = tuple(
    sorted(
        name for name, kind in {**ROOM_EVENTS, **QUEUE_EVENTS, **MESSAGE_EVENTS}.items() if "display_name" in kind.data
    )
)
