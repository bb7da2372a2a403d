"""How often something may be tried in rooms, and what is counted of them."""

from application.ports.limits import Policy
from application.ports.observer import Happening, Measure

PASSWORDS_PER_ROOM = Policy("room_password", 5, 60_000, "Too many wrong passwords. Wait before you try another.")
CODES_PER_ADDRESS = Policy(
    "room_code", 20, 60_000, "Too many wrong codes came from your address. Wait before you try another."
)
COMMANDS_PER_PARTICIPANT = Policy("room_commands", 10, 10_000, "Too many commands for the room. Wait a moment.")
MESSAGES_PER_PARTICIPANT = Policy("room_messages", 5, 5_000, "Too many messages. Wait a moment.")
REACTIONS_PER_PARTICIPANT = Policy("room_reactions", 10, 5_000, "Too many reactions. Wait a moment.")
# Of reports that tell the room something new.
REPORTS_PER_PARTICIPANT = Policy("room_reports", 20, 10_000, "The player changes too often. Wait a moment.")
INVITATIONS_PER_ACCOUNT = Policy("room_invitations", 20, 600_000, "Too many invitations. Wait a few minutes.")

POLICIES = (
    PASSWORDS_PER_ROOM,
    CODES_PER_ADDRESS,
    COMMANDS_PER_PARTICIPANT,
    MESSAGES_PER_PARTICIPANT,
    REACTIONS_PER_PARTICIPANT,
    REPORTS_PER_PARTICIPANT,
    INVITATIONS_PER_ACCOUNT,
)

DRIFT = Measure(
    "room_drift_seconds",
    "How far players are from where their rooms are, as they report it.",
    (0.02, 0.05, 0.1, 0.3, 1, 3, 10),
)
# The figures of the store that are gauges too, with their help.
FIGURES = {
    "rooms": "Rooms, with closed ones that are still kept.",
    "rooms_open": "Open rooms.",
    "room_participants": "People in open rooms.",
}
HAPPENINGS = (
    Happening(
        "room_joined",
        "room_joins",
        "outcome",
        "Attempts to come into a room.",
        (
            "account",
            "guest",
            "room_full",
            "room_closed",
            "room_expired",
            "banned",
            "wrong_password",
            "guests_not_allowed",
            "not_found",
            "rate_limited",
        ),
        {"wrong_password": "authn_login_fail", "banned": "authz_fail"},
    ),
    Happening(
        "room_command",
        "room_commands",
        "action",
        "Commands on the timelines of rooms; `stale`: somebody else was faster.",
        ("play", "pause", "seek", "rate", "load", "next", "stale"),
    ),
    Happening(
        "room_waited",
        "room_waits",
        "outcome",
        "Rooms that stopped for a player (`buffering`), went on in time (`ready`), or only after 8 or 10 s: `overdue`.",
        ("buffering", "ready", "overdue"),
    ),
    Happening(
        "room_reported",
        "room_reports",
        "outcome",
        "Reports of players; `corrected`: at another rate than before, to catch up; `lagging`: seeking did not help.",
        ("steady", "corrected", "lagging"),
    ),
)
