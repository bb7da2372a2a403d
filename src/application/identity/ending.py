"""Ends all sessions of an account."""

from collections.abc import Sequence
from datetime import datetime

from application.ports.identity import IdentityWork
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from domain.identity import EndReason
from domain.ids import AccountId, SessionId


async def end_sessions(
    work: IdentityWork, account: AccountId, because: EndReason, by: AccountId | None, now: datetime
) -> Sequence[SessionId]:
    """End the account's sessions within this unit of work. `Authentication.end` is told of them once it is applied."""
    sessions = await work.sessions.live(account, now)
    for session in sessions:
        session.end(because, by, now)
        work.sessions.save(session)
    return [session.id for session in sessions]


@retried
async def end_all_sessions(
    units: UnitOfWork[IdentityWork], account: AccountId, because: EndReason, by: AccountId | None, clock: Clock
) -> Sequence[SessionId]:
    """The same in a unit of work of its own.

    After a change that keeps logins out, it also ends the sessions that logins began while the change was applied.
    """
    async with units() as work:
        return await end_sessions(work, account, because, by, clock.now())
