"""Tickets of live connections in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from application.ports.system import Clock
from application.ports.tickets import TicketStore
from application.principal import Principal


@dataclass(frozen=True, slots=True)
class _Kept:
    principal: Principal
    opening: bytes
    expires_at: datetime


class MemoryTicketStore(TicketStore):
    """Tickets by their digest, oldest first; an account has at most `most`."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._clock = clock
        self._tickets: dict[bytes, _Kept] = {}
        self._most = most

    async def keep(self, digest: bytes, principal: Principal, opening: bytes, lifetime_ms: int) -> None:
        expires_at = self._clock.now() + timedelta(milliseconds=lifetime_ms)
        self._tickets[digest] = _Kept(principal, opening, expires_at)
        account = principal.account_id
        theirs = [key for key, kept in self._tickets.items() if kept.principal.account_id == account]
        for key in theirs[: -self._most]:
            del self._tickets[key]

    async def take(self, digest: bytes) -> tuple[Principal, bytes] | None:
        kept = self._tickets.pop(digest, None)
        return (kept.principal, kept.opening) if kept and self._clock.now() < kept.expires_at else None

    async def forget_old(self, most: int) -> int:
        now = self._clock.now()
        expired = [key for key, kept in self._tickets.items() if now >= kept.expires_at][:most]
        for key in expired:
            del self._tickets[key]
        return len(expired)
