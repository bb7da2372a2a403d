"""The ports of the notifications context to the store, and the view of a notification that the store returns."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from application.paging import Page
from application.ports.access import Access
from application.ports.mail import MailWork
from domain.ids import AccountId, NotificationId
from domain.notifications import Inbox, Notification

UNREAD_COUNTED_MAX = 1_000


class SubjectView(Struct, frozen=True):
    """The resource that a notification is about."""

    type: str
    id: UUID


class NotificationView(Struct, frozen=True):
    """A notification as its owner sees it.

    `title` is what the resource is called, and `place_id` the workspace or other place in which it is. `actor_id` did
    it, or nobody did. `count` is how often it happened within ten minutes, and `details` what else there is to know of
    the last time, which was at `updated_at`.
    """

    id: UUID
    type: str
    title: str
    resource: SubjectView
    place_id: UUID | None
    actor_id: UUID | None
    count: int
    details: Mapping[str, object]
    created_at: datetime
    updated_at: datetime
    read_at: datetime | None
    version: int


# A letter says at most so many things; of others it says how many there are.
LINES_MAX = 50


class LetterLine(Struct, frozen=True):
    """What a letter says of one notification: its type, the title of its resource, and when it was.

    `notification` is None if there is none, because the owner wants mail only. `due_at` is when the thing is due, if
    that is what the letter is about, and `facts` are what else there is to say. Only who is in the
    `workspace` may be told.
    """

    type: str
    title: str
    at: datetime
    notification: UUID | None = None
    due_at: datetime | None = None
    facts: tuple[str, ...] = ()
    workspace: UUID | None = None


class Gathered(NamedTuple):
    """What one letter to an account will say, and how many things it will leave out. It is sent at `due_at`."""

    account: AccountId
    lines: Sequence[LetterLine]
    left_out: int
    due_at: datetime
    version: int


class NotificationRepository(Protocol):
    """Notifications inside a unit of work. Those of others are absent.

    What the owner has read together with others has the time up to which that was as its `read_at`.
    """

    async def get(self, id: NotificationId, account: AccountId) -> Notification:
        """The notification; NotFound if absent."""
        ...

    async def unread_about(
        self, accounts: Collection[AccountId], type: str, subject: UUID, since: datetime
    ) -> Mapping[AccountId, Notification]:
        """The newest unread notification of this type about this resource that each account got after `since`."""
        ...

    async def unread_of(self, account: AccountId, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
        """Those of these notifications of the account that are there and unread, by their ids."""
        ...

    def add(self, notification: Notification) -> None: ...

    def save(self, notification: Notification) -> None:
        """Store a changed notification; `Stale` on leaving if another unit has saved or removed it since."""
        ...

    def remove(self, notification: Notification) -> None:
        """Remove one that was deleted; `Stale` on leaving as with `save`."""
        ...


class InboxRepository(Protocol):
    """Inboxes inside a unit of work. An account whose owner has never changed anything has an empty one."""

    async def get(self, account: AccountId) -> Inbox: ...

    async def of(self, accounts: Collection[AccountId]) -> Mapping[AccountId, Inbox]:
        """The inboxes of these accounts that are not empty.

        The unit of work is applied only if they have not changed; `Stale` otherwise. So nothing becomes read that was
        made after everything before it was.
        """
        ...

    def save(self, inbox: Inbox) -> None:
        """Store a changed inbox; `Stale` on leaving if another unit of work has saved it since it was read."""
        ...


class Round(NamedTuple):
    """How far the accounts are told of an event: those of `notice` up to `after`, and all of the notices before it."""

    notice: str
    after: AccountId


class RoundRepository(Protocol):
    """How far the telling of many accounts is, inside a unit of work. Most events have so few that there is none."""

    async def get(self, event: UUID) -> Round | None: ...

    def put(self, event: UUID, round: Round, now: datetime) -> None: ...

    def end(self, event: UUID) -> None:
        """Forget a round that there is, because everybody is told."""
        ...


class DigestRepository(Protocol):
    """What waits to be said in a letter, inside a unit of work. It changes without events."""

    async def get(self, account: AccountId) -> Gathered | None: ...

    def gather(self, account: AccountId, line: LetterLine, due_at: datetime) -> None:
        """Let the next letter to the account say this too, at `due_at` or before. Any number may do so at once."""
        ...

    def end(self, gathered: Gathered) -> None:
        """Forget what was gathered, because it is said; `Stale` on leaving if more was gathered since it was read."""
        ...


class NotificationWork(MailWork, Protocol):
    """The slice of a unit of work that the notifications context sees."""

    @property
    def access(self) -> Access: ...

    @property
    def digests(self) -> DigestRepository: ...

    @property
    def notifications(self) -> NotificationRepository: ...

    @property
    def inboxes(self) -> InboxRepository: ...

    @property
    def rounds(self) -> RoundRepository: ...


class NotificationQueries(Protocol):
    """Notifications for reading only. `place` leaves out all that are not in that place; None leaves out nothing."""

    async def page(
        self, account: AccountId, unread: bool, place: UUID | None, cursor: str | None, limit: int
    ) -> Page[NotificationView]:
        """A page of the account's notifications, or of the unread ones, newest first.

        They are in the order in which they were made. A cursor of another query is `InvalidCursor`.
        """
        ...

    async def unread(self, account: AccountId, place: UUID | None) -> int:
        """How many of them are unread, counted up to `UNREAD_COUNTED_MAX`."""
        ...


class NotificationUpkeep(Protocol):
    """Maintenance of notifications."""

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop at most `most` notifications that were made longer than `kept` before `now`. Returns their number."""
        ...

    async def erase(self, account: AccountId, most: int) -> int:
        """Drop at most `most` notifications of an account, its inbox, and what waits to be mailed to it.

        Returns the number of notifications.
        """
        ...


def view_of(notification: Notification) -> NotificationView:
    return NotificationView(
        id=notification.id,
        type=notification.type,
        title=notification.title,
        resource=SubjectView(notification.subject_type, notification.subject_id),
        place_id=notification.place_id,
        actor_id=notification.actor_id,
        count=notification.count,
        details=notification.details,
        created_at=notification.created_at,
        updated_at=notification.updated_at,
        read_at=notification.read_at,
        version=notification.version,
    )
