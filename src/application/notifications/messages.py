"""The messages of the notifications context: the bodies of its requests and answers."""

from datetime import datetime, time
from typing import Annotated

from msgspec import Meta, Struct

from domain.errors import Invalid
from domain.notifications import Digest, QuietHours

TYPES_MAX = 100

Clock = Annotated[
    str,
    Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", max_length=5, examples=["22:00"], description="A time of day: `HH:MM`."),
]


class Mark(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a notification is read."""

    read: bool


class AllRead(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything up to this time is read.

    If that is the newest `updated_at` that the caller has shown, what is not shown yet stays unread.
    """

    before: Annotated[datetime, Meta(tz=True)]


class Unread(Struct, frozen=True):
    """How many notifications are unread; 1,000 means that many or more."""

    unread: int


class Chosen(Struct, frozen=True, forbid_unknown_fields=True):
    """The channels on which a type of notification is told."""

    in_app: bool
    email: bool


class QuietBetween(Struct, frozen=True, forbid_unknown_fields=True):
    """The hours in which no letter is sent, by the clock of the account's time zone. They may begin before midnight."""

    begin: Clock
    end: Clock


class Preferences(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the account wants: all of it is replaced. A type that is left out is told as by default."""

    types: Annotated[dict[str, Chosen], Meta(max_length=TYPES_MAX)] = {}
    quiet_hours: QuietBetween | None = None
    digest: Digest = Digest.OFF


class TypePreference(Struct, frozen=True):
    """What a type of notification is about, and the channels on which it is told. Some are told `always`."""

    description: str
    in_app: bool
    email: bool
    always: bool


class PreferencesView(Struct, frozen=True):
    """Of what the account wants to be told: each type that there is, with what was chosen or is the default."""

    types: dict[str, TypePreference]
    quiet_hours: QuietBetween | None
    digest: Digest
    version: int


def quiet_hours(quiet: QuietBetween | None) -> QuietHours | None:
    if quiet is None:
        return None
    if quiet.begin == quiet.end:
        raise Invalid("Quiet hours have to end at another time than they begin.", pointer="/quiet_hours/end")
    return QuietHours(time.fromisoformat(quiet.begin), time.fromisoformat(quiet.end))


def quiet_view(quiet: QuietHours | None) -> QuietBetween | None:
    return None if quiet is None else QuietBetween(f"{quiet.begin:%H:%M}", f"{quiet.end:%H:%M}")
