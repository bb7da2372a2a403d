"""From a token to the principal it stands for, at the cost of a dictionary look-up, yet revoked within a second."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from application.lease import Lease
from application.ports.identity import ENDS_KNOWN, AccessTokens, SessionQueries
from application.ports.observer import Observer
from application.ports.system import Clock
from application.principal import Principal
from domain.errors import DomainError, Unauthenticated
from domain.ids import SessionId

REMEMBERED_MAX = 50_000
RECHECK_SECONDS = 0.4
# Longer than any transaction may run, so that an end that was written before the last look and committed after it is
# still found.
OVERLAP = timedelta(seconds=15)

log = logging.getLogger(__name__)


class SessionEnded(Unauthenticated):
    """The session that the token belongs to has ended."""

    code = "session_ended"


class Authentication:
    """Knows who is behind a token.

    The signature is checked once per token; then the token is remembered until it expires, at most 50,000 of them.
    Sessions that end are learnt from the store every 0.4 s by `run`, on every instance alike and with no help from a
    broker; the process that ends one knows at once. Each time renews the `lease`, without which nothing is delivered. A
    token outlives its signature check by 15 minutes at most, so
    only the ends of the last 30 are kept.
    """

    def __init__(
        self, tokens: AccessTokens, sessions: SessionQueries, clock: Clock, observer: Observer, lease: Lease
    ) -> None:
        self._tokens = tokens
        self._lease = lease
        self._observer = observer
        self._sessions = sessions
        self._clock = clock
        self._known: dict[str, Principal] = {}
        self._ended: dict[SessionId, datetime] = {}
        self._read_until: datetime | None = None
        self._told: Callable[[Collection[SessionId]], None] = _nobody

    def listen(self, ended: Callable[[Collection[SessionId]], None]) -> None:
        """Name who is told, once each, of the sessions that end."""
        self._told = ended

    def authenticate(self, token: str) -> Principal:
        """The principal of a valid token of a live session; Unauthenticated otherwise."""
        try:
            principal = self._known.get(token)
            now = self._clock.now()
            if principal is not None and now >= principal.expires_at:
                del self._known[token]
                principal = None
            if principal is None:
                principal = self._tokens.read(token, now)
                if len(self._known) >= REMEMBERED_MAX:
                    self._known.pop(next(iter(self._known)))
                self._known[token] = principal
            if principal.session_id in self._ended:
                raise SessionEnded("This session has ended.")
        except Unauthenticated as error:
            self._observer.happened("token_rejected", error.code)
            raise
        return principal

    def is_live(self, principal: Principal) -> bool:
        """Whether a principal that was authenticated earlier would still be."""
        return principal.session_id not in self._ended and self._clock.now() < principal.expires_at

    def end(self, sessions: Collection[SessionId]) -> None:
        """Refuse these sessions from now on."""
        now = self._clock.now()
        news = [session for session in sessions if session not in self._ended]
        for session in sessions:
            self._ended[session] = now
        if news:
            self._told(news)

    async def refresh(self) -> None:
        """Learn which sessions have ended since the last time, by the one clock that all processes share."""
        asked_at = time.monotonic()
        since = None if self._read_until is None else self._read_until - OVERLAP
        ended, self._read_until = await self._sessions.ended_since(since)
        self.end(ended)
        self._lease.renew(asked_at)
        horizon = self._clock.now() - ENDS_KNOWN
        for session in [s for s, at in self._ended.items() if at < horizon]:
            del self._ended[session]

    async def run(self) -> None:
        """Keep learning until cancelled; while the store is away nothing else works either, so it only waits."""
        was_held = True
        while True:
            try:
                await self.refresh()
                if not was_held:
                    log.info("it is known again which sessions ended, so live events go out again")
                was_held = True
            except DomainError as problem:
                log.warning("cannot learn which sessions ended: %s", problem)
                if was_held and not self._lease.is_held:
                    log.warning("live events are held back, since nobody knows who may still see them")
                    was_held = False
            await asyncio.sleep(RECHECK_SECONDS)


def _nobody(_: Collection[SessionId]) -> None: ...
