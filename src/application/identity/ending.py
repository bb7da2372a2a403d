"""Ends all sessions of an account."""

from collections.abc import Sequence
from datetime import datetime

from application.ports.identity import IdentityWork
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
