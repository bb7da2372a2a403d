"""The ports of mail: where it waits, and what gives it to a mail server."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.ids import MailId
from domain.mail import Mail


class Letter(Struct, frozen=True, omit_defaults=True):
    """What a mail says: the `name` of the letter, the address that it goes `to`, and the `data` that it fills in.

    `data` is JSON. It may hold secrets, such as a link that works once. Whoever gets such letters again and again can
    end that at the address `unsubscribe`: it shows a page, and a POST to it without credentials unsubscribes at once.
    """

    name: str
    to: str
    data: Mapping[str, object] = {}
    unsubscribe: str | None = None


class Sending(Struct, frozen=True):
    """A letter on its way. Its `id` and `written_at` are the same in each attempt."""

    id: UUID
    written_at: datetime
    letter: Letter


class MailRefused(Exception):
    """A mail was not accepted, for a `reason`. If that is `for_good`, another attempt would be refused as well."""

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.for_good = for_good


class UnknownLetter(KeyError):
    """There is no such letter in this release."""


class Mailer(Protocol):
    """Gives mail to a mail server."""

    async def send(self, sending: Sending) -> None:
        """Return once a server has accepted the mail. MailRefused if it was not accepted, or nobody knows whether.

        Ends within 30 s. UnknownLetter for a letter without a template. One with data that its template cannot use is
        refused for good.
        """
        ...


class MailRepository(Protocol):
    """Mails inside a unit of work. They are written without events."""

    async def get(self, id: MailId) -> Mail:
        """The mail; NotFound if there is none."""
        ...

    def add(self, mail: Mail) -> None:
        """Write a new mail. Once the unit is applied, workers are told that it is due."""
        ...

    def save(self, mail: Mail) -> None:
        """Write a mail that this unit got; Stale if it has changed since."""
        ...


class MailWork(Protocol):
    """The slice of a unit of work that writes mail."""

    @property
    def mails(self) -> MailRepository: ...


class MailStore(Protocol):
    """Mails outside of a unit of work."""

    async def oldest_at(self) -> datetime | None:
        """When the oldest mail was written that still has to be sent; None if there is none."""
        ...

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        """Drop at most `most` mails that were sent or given up and are older than `kept`. Returns their number.

        Several processes may call this at once: each drops different mails, and none waits.
        """
        ...
