"""The aggregate of a queue: what a room plays next, and who wants it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from urllib.parse import urlsplit

from domain.channels import workspace_stream
from domain.errors import Invalid, NotFound, QuotaExceeded
from domain.ids import AccountId, QueueItemId, RoomId, WorkspaceId
from domain.kernel import Aggregate, Changes, EventType
from domain.rooms.channels import room_stream
from domain.rooms.events import QUEUE_EVENTS
from domain.rooms.playback import checked_duration
from domain.rooms.rights import Right, Seat
from domain.text import clean

ITEMS_MAX = 200
URL_MAX_BYTES = 2_048
ITEM_TITLE_MAX = 300
_NO_ADDRESS = "This is no http or https address."


class QueueMode(StrEnum):
    """What is next: the first item, the one with most votes, or the first while what was played goes to the end."""

    MANUAL = "manual"
    VOTE = "vote"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """Something to play. Only the methods of the queue change it.

    `url` is http or https, and the server never asks it. If `duration_stated`, somebody who may arrange the queue has
    said the duration, so that no player knows better.
    """

    id: QueueItemId
    url: str
    title: str
    duration_ms: int | None
    added_by: AccountId
    added_at: datetime
    duration_stated: bool = False
    votes: tuple[AccountId, ...] = ()

    @classmethod
    def of(
        cls, id: QueueItemId, url: str, title: str, duration_ms: int | None, by: AccountId, at: datetime
    ) -> "QueueItem":
        return cls(id, _address(url), _title(title), checked_duration(duration_ms), by, at)

    def snapshot(self) -> Mapping[str, object]:
        return {
            "item_id": self.id,
            "url": self.url,
            "title": self.title,
            "duration_ms": self.duration_ms,
            "added_by": self.added_by,
        }


@dataclass(slots=True)
class Queue(Aggregate):
    """What one room plays: at most 200 items in their order, and `current`, which has left them.

    It has the id of its room, and is there with it: empty, at version 0. `skips` are the accounts that want the current
    item skipped.
    """

    resource_type: ClassVar[str] = "queue"
    announces: ClassVar[Mapping[str, EventType]] = QUEUE_EVENTS

    id: RoomId
    workspace_id: WorkspaceId | None
    mode: QueueMode = QueueMode.MANUAL
    current: QueueItem | None = None
    items: list[QueueItem] = field(default_factory=list)
    skips: tuple[AccountId, ...] = ()

    def add(self, seat: Seat, new: Sequence[QueueItem], at: datetime) -> None:
        """Put items at the end, all or none."""
        seat.require(Right.ADD)
        if len(self.items) + len(new) > ITEMS_MAX:
            raise QuotaExceeded("items_of_a_queue", ITEMS_MAX)
        self.items = [*self.items, *new]
        for item in new:
            self._tell("queue.added", seat.account_id, at, data=item.snapshot())

    def set_mode(self, seat: Seat, mode: QueueMode, at: datetime) -> None:
        seat.require(Right.ARRANGE)
        if mode is not self.mode:
            old, self.mode = self.mode, mode
            self._tell("queue.changed", seat.account_id, at, {"mode": (old, mode)}, {"item_id": None})

    def edit(
        self, seat: Seat, id: QueueItemId, at: datetime, title: str | None = None, duration_ms: int | None = None
    ) -> QueueItem:
        """Give an item another title or duration, the current one too. An argument that is None changes nothing."""
        old = self._own(seat, id, (*self.items, self.current) if self.current else self.items)
        new = replace(
            old,
            title=old.title if title is None else _title(title),
            duration_ms=old.duration_ms if duration_ms is None else checked_duration(duration_ms),
            duration_stated=old.duration_stated or (duration_ms is not None and seat.allows(Right.ARRANGE)),
        )
        changes = {
            name: (getattr(old, name), getattr(new, name))
            for name in ("title", "duration_ms")
            if getattr(old, name) != getattr(new, name)
        }
        if new != old:
            self._replace(new)
            self._tell("queue.changed", seat.account_id, at, changes, {"item_id": id})
        return new

    def move(self, seat: Seat, id: QueueItemId, position: int, at: datetime) -> None:
        """Let an item be the one at `position`, from 0, or the last if there are fewer."""
        seat.require(Right.ARRANGE)
        item = _found(id, self.items)
        moved = [each for each in self.items if each.id != id]
        moved.insert(max(0, position), item)
        if moved != self.items:
            self.items = moved
            self._tell("queue.moved", seat.account_id, at, data={"item_id": id, "position": moved.index(item)})

    def remove(self, seat: Seat, id: QueueItemId, at: datetime) -> None:
        """Take out an item: one's own, or any with the right to arrange the queue."""
        self._own(seat, id, self.items)
        self.items = [each for each in self.items if each.id != id]
        self._tell("queue.removed", seat.account_id, at, data={"item_id": id})

    def vote(self, seat: Seat, id: QueueItemId, at: datetime, wanted: bool = True) -> None:
        """Vote for an item, or take the vote back. Doing it twice changes nothing."""
        seat.require(Right.VOTE)
        item, by = _found(id, self.items), seat.account_id
        if (by in item.votes) is wanted:
            return
        votes = (*item.votes, by) if wanted else tuple(each for each in item.votes if each != by)
        self._replace(replace(item, votes=votes))
        self._tell("queue.voted", by, at, data=_vote(id, by, votes, False))

    def vote_skip(self, seat: Seat, voters: Collection[AccountId], at: datetime) -> bool:
        """Vote for the end of the current item; whether at least half of `voters` and this one want that now."""
        seat.require(Right.VOTE)
        if self.current is None:
            raise NotFound
        if seat.account_id not in self.skips:
            self.skips = (*self.skips, seat.account_id)
            self._tell(
                "queue.voted", seat.account_id, at, data=_vote(self.current.id, seat.account_id, self.skips, True)
            )
        return self.is_skipped_by({*voters, seat.account_id})

    def is_skipped_by(self, voters: Collection[AccountId]) -> bool:
        """Whether at least half of these have voted for the end of the current item, and they are somebody."""
        return 0 < len(voters) <= 2 * len({*voters} & {*self.skips})

    def take(self, id: QueueItemId, by: AccountId | None, at: datetime) -> QueueItem:
        """Let an item be the current one. That which was is gone, or last if the queue is a loop."""
        if self.current is not None and self.current.id == id:
            return self.current
        return self._take(_found(id, self.items), by, at)

    def next(self, by: AccountId | None, at: datetime) -> QueueItem | None:
        """Let the next item be the current one; None, and no change, if there is none."""
        if self.mode is QueueMode.LOOP and self.current is not None and not self.items:
            return self._take(self.current, by, at)
        if not self.items:
            return None
        if self.mode is QueueMode.VOTE:
            return self._take(max(self.items, key=lambda each: len(each.votes)), by, at)
        return self._take(self.items[0], by, at)

    def _take(self, item: QueueItem, by: AccountId | None, at: datetime) -> QueueItem:
        played, waiting = self.current, [each for each in self.items if each.id != item.id]
        if self.mode is QueueMode.LOOP and played is not None and played.id != item.id:
            waiting.append(played)
        self.items = waiting
        self.current, self.skips = replace(item, votes=()), ()
        self._tell("queue.advanced", by, at, data=self.current.snapshot())
        return self.current

    def _own(self, seat: Seat, id: QueueItemId, items: Collection[QueueItem]) -> QueueItem:
        item = _found(id, items)
        if item.added_by != seat.account_id:
            seat.require(Right.ARRANGE)
        return item

    def _replace(self, item: QueueItem) -> None:
        if self.current is not None and self.current.id == item.id:
            self.current = item
        self.items = [item if each.id == item.id else each for each in self.items]

    def _tell(
        self,
        type: str,
        by: AccountId | None,
        at: datetime,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        within = workspace_stream(self.workspace_id) if self.workspace_id else None
        self._announce(type, room_stream(self.id), self.id, at, by, changes, data, within)


def _found(id: QueueItemId, items: Collection[QueueItem]) -> QueueItem:
    for item in items:
        if item.id == id:
            return item
    raise NotFound


def _vote(id: QueueItemId, by: AccountId, votes: Collection[AccountId], skip: bool) -> Mapping[str, object]:
    return {"item_id": id, "account_id": by, "votes": len(votes), "skip": skip}


def _title(title: str) -> str:
    return clean(title, pointer="/title", longest=ITEM_TITLE_MAX)


def _address(url: str) -> str:
    """The address as it is; Invalid if a browser would not play from it, or it is longer than 2,048 bytes."""
    url = clean(url, pointer="/url", longest=URL_MAX_BYTES, shortest=1)
    if len(url.encode()) > URL_MAX_BYTES:
        raise Invalid(f"At most {URL_MAX_BYTES} bytes fit here.", pointer="/url")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise Invalid(_NO_ADDRESS, pointer="/url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid(_NO_ADDRESS, pointer="/url") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.username is not None:
        raise Invalid(_NO_ADDRESS, pointer="/url")
    return url
