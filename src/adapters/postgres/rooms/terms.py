"""What statements about rooms have in common: their columns, those who are in them as JSON, and how rows are read."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import msgspec
from sqlalchemy import Text, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from adapters.postgres.tables import participants, queue_items, rooms
from domain.rooms import (
    Control,
    HostLeave,
    Participant,
    Playback,
    PlaybackStatus,
    Policies,
    QueueItem,
    Room,
    Visibility,
    Wait,
)

POLICIES = tuple(field.name for field in fields(Policies))
PLAYBACK = tuple(field.name for field in fields(Playback))
# The fields of a room that are columns of it, in the order of the row.
OWN = tuple(
    field.name
    for field in fields(Room)
    if field.init and field.name not in {"policies", "playback", "participants", "version"}
)
_who = participants.alias("who")
PEOPLE = (
    select(cast(func.json_agg(aggregate_order_by(literal_column("who"), _who.c.joined_at, _who.c.id)), Text))
    .select_from(_who)
    .where(_who.c.room_id == rooms.c.id)
    .correlate(rooms)
    .scalar_subquery()
)
ROOM = (*(rooms.c[name] for name in (*OWN, *POLICIES, *PLAYBACK, "version")), PEOPLE.label("people"))
_item = queue_items.alias("item")
# In no order; null if there is none.
ITEMS = (
    select(cast(func.json_agg(literal_column("item")), Text))
    .select_from(_item)
    .where(_item.c.room_id == rooms.c.id)
    .correlate(rooms)
    .scalar_subquery()
)
_people = msgspec.json.Decoder(list[Participant])
_items = msgspec.json.Decoder(list[QueueItem])


def room_of(row: Sequence[Any]) -> Room:
    """The room in a row that begins with the columns of `ROOM`."""
    taken = iter(row)
    own = {name: next(taken) for name in OWN}
    own["visibility"] = Visibility(own["visibility"])
    own["banned"], own["muted"] = tuple(own["banned"]), tuple(own["muted"])
    policies, playback = policies_of(taken), playback_of(taken)
    version, people = next(taken), next(taken)
    present = {who.id: who for who in _people.decode(people)} if people else {}
    return Room(**own, policies=policies, playback=playback, participants=present, version=version)


def policies_of(row: Iterator[Any]) -> Policies:
    return Policies(Control(next(row)), Wait(next(row)), HostLeave(next(row)))


def playback_of(row: Iterator[Any]) -> Playback:
    return Playback(PlaybackStatus(next(row)), *(next(row) for _ in PLAYBACK[1:]))


def items_in(json: str | None) -> dict[Any, QueueItem]:
    """The items that `ITEMS` found, by their ids."""
    return {item.id: item for item in _items.decode(json)} if json else {}
