"""Sends what was gathered for one letter, when its time has come."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from application.notifications.letters import Correspondence, People
from application.ports.notices import Notice
from application.ports.notifications import NotificationWork
from application.ports.unit_of_work import UnitOfWork
from domain.ids import AccountId, WorkspaceId


class Digests:
    """Writes one letter of all that was gathered for an account since the last one, and that it may still see."""

    def __init__(
        self,
        work: UnitOfWork[NotificationWork],
        rows: Mapping[str, Notice[Any]],
        people: People,
        letters: Correspondence,
    ) -> None:
        self._work = work
        self._rows = rows
        self._people = people
        self._letters = letters

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Write the letter if it is due, without what its reader has read meanwhile; see `Due`."""
        account = AccountId(id)
        async with self._work() as work:
            gathered = await work.digests.get(account)
            if gathered is None or gathered.due_at > now:
                return
            person = (await self._people(work, [account])).get(account)
            ids = [line.notification for line in gathered.lines if line.notification]
            unread = await work.notifications.unread_of(account, ids)
            lost = await _lost(work, account, {line.workspace for line in gathered.lines if line.workspace})
            lines = [
                (line, unread[line.notification].count if line.notification else 1)
                for line in gathered.lines
                if (line.notification is None or line.notification in unread) and line.workspace not in lost
            ]
            if person is not None and person.mailed and lines:
                self._letters.write(work, account, person, self._rows, lines, gathered.left_out, now)
            work.digests.end(gathered)


async def _lost(work: NotificationWork, account: AccountId, workspaces: Collection[UUID]) -> Collection[UUID]:
    """Those of the workspaces in which the account is no more."""
    mine = frozenset({account})
    return {each for each in workspaces if not await work.access.members(WorkspaceId(each), mine)}
