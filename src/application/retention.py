"""How long things are kept: a worker drops what is older, a little at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from application.ports.idempotency import Idempotency
from application.ports.system import Clock
from application.ports.tickets import TicketStore
from application.ports.upkeep import Upkeep
from domain.errors import DomainError
from domain.identity import SESSION_ABSOLUTE

EVERY_SECONDS = 600.0
AT_ONCE = 1_000
PAUSE_SECONDS = 0.05

log = logging.getLogger(__name__)


class Retention:
    """Drops what was kept for so many days, 0 of them meaning for ever: events, sessions that are over, invitations.

    Answers to idempotent requests and tickets go as soon as nobody can ask for them any more. Everything goes in pieces
    of 1,000 with a pause between them, so that it is a load at no moment, and several workers may do it at once.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        idempotency: Idempotency,
        tickets: TicketStore,
        clock: Clock,
        event_days: int,
        session_days: int,
        invitation_days: int,
    ) -> None:
        self._upkeep = upkeep
        self._clock = clock
        self._pieces: Mapping[str, Callable[[], Awaitable[int]]] = {
            "answers": lambda: idempotency.forget_old(AT_ONCE),
            "tickets": lambda: tickets.forget_old(AT_ONCE),
            **({"invitations": lambda: self._invitations(timedelta(invitation_days))} if invitation_days else {}),
            **({"sessions": lambda: self._sessions(timedelta(session_days))} if session_days else {}),
            **({"events": lambda: self._events(timedelta(event_days))} if event_days else {}),
        }

    async def forget(self) -> Mapping[str, int]:
        """Drop everything that is due, and return how many of each kind it were; Unavailable if the store is away."""
        dropped: dict[str, int] = {}
        for name, drop in self._pieces.items():
            while (count := await drop()) > 0:
                dropped[name] = dropped.get(name, 0) + count
                if count < AT_ONCE:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        return dropped

    async def run(self) -> None:
        """Drop what is due, every ten minutes until cancelled."""
        while True:
            try:
                dropped = await self.forget()
                if dropped:
                    log.info("dropped what was kept for long enough: %s", dropped)
            except DomainError as problem:
                log.warning("cannot drop what was kept for long enough: %s", problem)
            await asyncio.sleep(EVERY_SECONDS)

    def _events(self, kept: timedelta) -> Awaitable[int]:
        return self._upkeep.forget_events(self._clock.now(), kept, AT_ONCE)

    def _sessions(self, kept: timedelta) -> Awaitable[int]:
        before = self._clock.now() - kept
        return self._upkeep.forget_sessions(before, before - SESSION_ABSOLUTE, AT_ONCE)

    def _invitations(self, kept: timedelta) -> Awaitable[int]:
        return self._upkeep.forget_invitations(self._clock.now() - kept, AT_ONCE)
