"""Rooms to begin a test with."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.ids import AccountId, ParticipantId, QueueItemId, RoomId, WorkspaceId
from domain.kernel import Event
from domain.rooms import Queue, QueueItem, Room

ADA, BOB, EVE = (AccountId(UUID(int=n)) for n in (1, 2, 3))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
WORKSPACE = WorkspaceId(UUID(int=8))


def a_room(*others: AccountId, **settings: Any) -> Room:
    """A room of Ada's with these others in it, as the store hands it out: saved, without news."""
    room = Room.open(
        RoomId(UUID(int=9)), ParticipantId(UUID(int=11)), "Film night", "0123ABCD", ADA, "Ada", NOW, **settings
    )
    for account in others:
        room.join(ParticipantId(UUID(int=10 + account.int)), account, f"Person {account.int}", NOW)
    room.take_news()
    return room


def an_item(number: int, duration_ms: int | None = 60_000, by: AccountId = ADA) -> QueueItem:
    id, url = QueueItemId(UUID(int=100 + number)), f"https://films.example/{number}"
    return QueueItem.of(id, url, f"Film {number}", duration_ms, by, NOW)


def a_queue(room: Room, items: int = 3, **settings: Any) -> Queue:
    """A queue of items 1, 2, … of a minute each, saved."""
    queue = Queue(room.id, room.workspace_id, items=[an_item(n + 1) for n in range(items)], **settings)
    queue.take_news()
    return queue


def place_of(room: Room, account: AccountId) -> ParticipantId:
    return room.seat(account).participant_id


def types(news: Iterable[Event]) -> list[str]:
    return [event.type for event in news]


def told(news: Iterable[Event], type: str) -> list[Mapping[str, Any]]:
    """What the events of this type say."""
    return [event.data for event in news if event.type == type]
