"""How notifications follow from events: a durable consumer, which tells one piece of the accounts after the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from application.limits import Limits
from application.notifications.letters import Correspondence, People, Person
from application.ports.consumers import Consumer
from application.ports.events import EventView
from application.ports.limits import Policy
from application.ports.notices import Notice, Told
from application.ports.notifications import LetterLine, NotificationWork, Round
from application.ports.system import Ids
from domain.ids import AccountId, NotificationId
from domain.kernel import Event
from domain.notifications import GROUPED_FOR, Inbox, Medium, Notification, Subject

AT_ONCE = 100
# Nobody is refused by it. It is how many letters of a kind an address gets that nobody has verified.
LETTERS_UNVERIFIED = Policy("letters_unverified", 5, 60 * 60_000)
_LATER = timedelta(hours=1)


class Notices:
    """All notices, and the consumer that follows their events. ValueError for two notices of one name.

    `people(work, accounts)` returns those of the accounts that can be told something at all. Of the accounts that an
    event concerns, at most `at_once` are told in one unit of work.

    An address that nobody has verified gets five letters of a kind in an hour. More is gathered for the next hour, and
    what is about the safety of the account is a notification alone.
    """

    def __init__(
        self,
        rows: Sequence[Notice[Any]],
        people: People,
        letters: Correspondence,
        limits: Limits,
        ids: Ids,
        at_once: int = AT_ONCE,
    ) -> None:
        self.rows: dict[str, Notice[Any]] = {}
        self._by_type: dict[str, list[Notice[Any]]] = {}
        self._people = people
        self._letters = letters
        self._limits = limits
        self._ids = ids
        self._at_once = at_once
        for row in rows:
            if row.name in self.rows:
                raise ValueError(f"two notices are called {row.name}")
            self.rows[row.name] = row
            for type in row.wants:
                self._by_type.setdefault(type, []).append(row)

    def consumer(self) -> Consumer[Any]:
        # Stored cursors have this name, so it cannot change.
        return Consumer("notifications", frozenset(self._by_type), self.effect, self.concerns)

    def concerns(self, event: Event) -> bool:
        """Whether somebody may have to be told of an event that is being written."""
        return any(row.concerns is None or row.concerns(event) for row in self._by_type[event.type])

    async def effect(self, work: NotificationWork, event: EventView, now: datetime) -> bool:
        """Tell a piece of the accounts of the event. Returns whether all of them are told."""
        round = await work.rounds.get(event.id)
        rows = self._by_type.get(event.type, [])
        if round is not None:  # a row that is no more was the last one that was told
            rows = [*rows[next((n for n, row in enumerate(rows) if row.name == round.notice), len(rows)) :]]
        after = round.after if round else None
        for row in rows:
            told = await row.tells(work, event, after, self._at_once)
            if told is not None:
                await self._tell(work, row, event, told, now)
                if told.after is not None:
                    work.rounds.put(event.id, Round(row.name, told.after), now)
                    return False
            after = None
        if round is not None:
            work.rounds.end(event.id)
        return True

    async def _tell(
        self, work: NotificationWork, row: Notice[Any], event: EventView, told: Told, now: datetime
    ) -> None:
        actor = None if event.actor is None else AccountId(event.actor)
        others = [account for account in told.accounts if row.always or account != actor]
        if not others:
            return
        people = await self._people(work, others)
        inboxes = await work.inboxes.of(people)
        before: Mapping[AccountId, Notification] = {}
        if not row.always:  # each of those says something else about the same account
            since = now - GROUPED_FOR
            before = await work.notifications.unread_about(people, row.name, told.resource_id, since)
        subject = Subject(told.resource_type, told.resource_id, told.title, told.place)
        for account, person in people.items():
            inbox = inboxes.get(account) or Inbox(account)
            chosen, present, id = channels_of(inbox, row), before.get(account), None
            at = inbox.unread_at(now)
            if Medium.IN_APP in chosen and present is not None:
                present.repeat(told.title, actor, told.details, at)
                work.notifications.save(present)
            elif Medium.IN_APP in chosen:
                id = NotificationId(self._ids.new())
                work.notifications.add(Notification.make(id, account, row.name, subject, actor, told.details, at))
            is_mailed = Medium.EMAIL in chosen and (person.mailed or row.always)
            if is_mailed and present is None:  # the letter about the first of a group is enough
                due_at = told.details.get("due_at")
                due = due_at if isinstance(due_at, datetime) else None
                line = LetterLine(row.name, told.title, event.at, id, due, told.facts, told.workspace)
                letter_at = now if row.always else inbox.letter_at(now, person.zone)
                if letter_at > now:
                    work.digests.gather(account, line, letter_at)
                elif await self._may_mail(row, person):
                    self._letters.write(work, account, person, self.rows, [(line, 1)], 0, now)
                elif not row.always:
                    work.digests.gather(account, line, now + _LATER)

    async def _may_mail(self, row: Notice[Any], person: Person) -> bool:
        return person.verified or await self._limits.allows(LETTERS_UNVERIFIED, f"{row.name}:{person.email}")


def channels_of(inbox: Inbox, row: Notice[Any]) -> frozenset[Medium]:
    """The channels on which the owner of an inbox is told something of this kind."""
    return default_of(row) if row.always else inbox.choices.get(row.name, default_of(row))


def default_of(row: Notice[Any]) -> frozenset[Medium]:
    return frozenset(Medium) if row.by_mail else frozenset({Medium.IN_APP})
