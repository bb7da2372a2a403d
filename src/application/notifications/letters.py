"""The letters in which people are told by mail."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from application.mail import Postbox
from application.ports.mail import Letter, MailWork
from application.ports.notices import Notice
from application.ports.notifications import LetterLine
from application.ports.secrets import Secrets
from domain.errors import NotFound
from domain.ids import AccountId
from domain.text import without_links

UNSUBSCRIBE = "/api/v1/notification-preferences/unsubscribe"
_PURPOSE = b"unsubscribe"
_CLOCK = "%d %b %Y, %H:%M"


class Person(NamedTuple):
    """Somebody who can be told something, at an address and by the clock of a time zone.

    Unless they are `mailed`, only what is about the safety of the account goes to the address. Unless it is
    `verified`, somebody else may have it.
    """

    email: str
    time_zone: str = "UTC"
    mailed: bool = True
    verified: bool = True

    @property
    def zone(self) -> ZoneInfo:
        """The time zone; UTC if this installation has no such zone any more."""
        try:
            return ZoneInfo(self.time_zone)
        except (OSError, ValueError, KeyError):
            return ZoneInfo("UTC")


People = Callable[[Any, Collection[AccountId]], Awaitable[Mapping[AccountId, Person]]]


class Correspondence:
    """Writes what people are told by mail. Each letter but those about their safety says how to get no more of them."""

    def __init__(self, postbox: Postbox, secrets: Secrets, public_url: str) -> None:
        self._postbox = postbox
        self._secrets = secrets
        self._public_url = public_url

    def write(
        self,
        work: MailWork,
        account: AccountId,
        person: Person,
        rows: Mapping[str, Notice[Any]],
        lines: Sequence[tuple[LetterLine, int]],
        left_out: int,
        now: datetime,
    ) -> None:
        """Write one letter about these things, each with how often it happened."""
        told = [self._said(line, count, rows, person) for line, count in lines]
        row = rows.get(lines[0][0].type)
        if row is not None and row.always:  # each of those is told for itself
            self._postbox.post(work, Letter("safety", person.email, {**told[0], "advice": row.advice}), now)
            return
        unsubscribe = self._unsubscribe(account)
        data = {"lines": told, "more": left_out, "unsubscribe": unsubscribe}
        name = "notification" if len(told) == 1 and not left_out else "digest"
        self._postbox.post(work, Letter(name, person.email, data, unsubscribe), now)

    def account_of(self, token: str) -> AccountId:
        """Whose letters a token ends; NotFound if it is none of this installation."""
        if self._secrets.is_signed(_PURPOSE, token):
            return AccountId(UUID(token[:32]))
        raise NotFound

    def _unsubscribe(self, account: AccountId) -> str:
        return f"{self._public_url}{UNSUBSCRIBE}?token={self._secrets.signed(_PURPOSE, account.hex)}"

    @staticmethod
    def _said(line: LetterLine, count: int, rows: Mapping[str, Notice[Any]], person: Person) -> Mapping[str, object]:
        row, zone = rows.get(line.type), person.zone
        due = None if line.due_at is None else f"{line.due_at.astimezone(zone):{_CLOCK}} ({zone.key})"
        return {
            "sentence": row.sentence if row else "Something happened.",
            "title": without_links(line.title),  # it may be of anybody's choice
            "count": count,
            "at": f"{line.at.astimezone(zone):{_CLOCK}} ({zone.key})",
            "due": due,
            "facts": line.facts,
        }
