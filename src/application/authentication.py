"""From a credential to the principal it stands for, mostly by a dictionary look-up, yet revoked within a second."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from cachetools import FIFOCache, TTLCache

from application.lease import Lease
from application.ports.credentials import CredentialKind
from application.ports.identity import ENDS_KNOWN, AccessTokens, SessionQueries
from application.ports.observer import Observer
from application.ports.system import Clock
from application.principal import Principal
from domain.errors import DomainError, Unauthenticated

REMEMBERED_MAX = 50_000
# Of what had to be looked up: what changes of it is not told, unless it ends.
LOOKED_UP_MAX = 10_000
LOOKED_UP_SECONDS = 10.0
RECHECK_SECONDS = 0.4
# Longer than any transaction may run, so that an end that was written before the last look and committed after it is
# still found.
OVERLAP = timedelta(seconds=15)

log = logging.getLogger(__name__)


class SessionEnded(Unauthenticated):
    """The session that the token belongs to has ended."""

    code = "session_ended"


class CredentialRevoked(Unauthenticated):
    """The credential, which is no session, was taken back."""

    code = "credential_revoked"


class Authentication:
    """Knows who is behind a credential: an access token, or one of the kinds that have to be looked up.

    The signature is checked once per token; then the token is remembered until it expires, at most 50,000 of them. What
    was looked up is remembered for 10 s. Sessions and other credentials that end are learnt from the store every 0.4 s
    by `run`, on every instance alike and with no help from a broker; the process that ends one knows at once. Each time
    renews the `lease`, without which nothing is delivered. A token outlives its signature check by 15 minutes at most,
    so only the ends of the last 30 are kept.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        sessions: SessionQueries,
        kinds: Sequence[CredentialKind],
        clock: Clock,
        observer: Observer,
        lease: Lease,
    ) -> None:
        self._tokens = tokens
        self._kinds = kinds
        self._lease = lease
        self._observer = observer
        self._clock = clock
        self._known: FIFOCache[str, Principal] = FIFOCache(REMEMBERED_MAX)
        self._looked_up: TTLCache[str, Principal] = TTLCache(
            LOOKED_UP_MAX, LOOKED_UP_SECONDS, lambda: clock.now().timestamp()
        )
        self._ended: dict[UUID, datetime] = {}
        self._sources: Sequence[SessionQueries | CredentialKind] = (sessions, *kinds)
        self._read_until: list[datetime | None] = [None] * len(self._sources)
        self._told: Callable[[Collection[UUID]], None] = _nobody

    def listen(self, ended: Callable[[Collection[UUID]], None]) -> None:
        """Name who is told, once each, of the credentials that end."""
        self._told = ended

    def known(self, text: str) -> Principal | None:
        """Whom a credential stands for; None if that has to be looked up with `identify`, Unauthenticated if nobody."""
        try:
            principal = self._known.get(text)
            now = self._clock.now()
            if principal is not None and now >= principal.expires_at:
                del self._known[text]
                principal = None
            if principal is None:
                if self._kind_of(text) is not None:
                    principal = self._looked_up.get(text)
                    if principal is None or now >= principal.expires_at:
                        return None
                else:
                    principal = self._tokens.read(text, now)
                    self._known[text] = principal
            if principal.credential_id in self._ended:
                raise _ended(principal)
        except Unauthenticated as error:
            self._observer.happened("token_rejected", error.code)
            raise
        return principal

    async def identify(self, text: str) -> Principal:
        """Whom a credential stands for; Unauthenticated if nobody, Unavailable if that cannot be found out now."""
        principal = self.known(text)
        if principal is not None:
            return principal
        kind = self._kind_of(text)
        assert kind is not None
        try:
            principal = await kind.find(text)
            self._looked_up[text] = principal
            if principal.credential_id in self._ended:  # which it may have since it was read
                raise _ended(principal)
        except Unauthenticated as error:
            self._observer.happened("token_rejected", error.code)
            raise
        return principal

    def _kind_of(self, text: str) -> CredentialKind | None:
        return next((kind for kind in self._kinds if kind.recognises(text)), None)

    def is_live(self, principal: Principal) -> bool:
        """Whether a principal that was authenticated earlier would still be."""
        return principal.credential_id not in self._ended and self._clock.now() < principal.expires_at

    def end(self, credentials: Collection[UUID]) -> None:
        """Refuse these sessions and other credentials from now on."""
        now = self._clock.now()
        news = [credential for credential in credentials if credential not in self._ended]
        for credential in credentials:
            self._ended[credential] = now
        if news:
            self._told(news)

    async def refresh(self) -> None:
        """Learn which credentials have ended since the last time, by the one clock that all processes share."""
        asked_at = time.monotonic()
        for index, source in enumerate(self._sources):
            until = self._read_until[index]
            ended, self._read_until[index] = await source.ended_since(None if until is None else until - OVERLAP)
            self.end(ended)
        self._lease.renew(asked_at)
        horizon = self._clock.now() - ENDS_KNOWN
        for credential in [ended for ended, at in self._ended.items() if at < horizon]:
            del self._ended[credential]

    async def run(self) -> None:
        """Keep learning until cancelled; while the store is away nothing else works either, so it only waits."""
        was_held = True
        while True:
            try:
                await self.refresh()
                if not was_held:
                    log.info("it is known again which credentials ended, so live events go out again")
                was_held = True
            except DomainError as problem:
                log.warning("cannot learn which credentials ended: %s", problem)
                if was_held and not self._lease.is_held:
                    log.warning("live events are held back, since nobody knows who may still see them")
                    was_held = False
            await asyncio.sleep(RECHECK_SECONDS)


def _ended(principal: Principal) -> Unauthenticated:
    if principal.is_session:
        return SessionEnded("This session has ended.")
    return CredentialRevoked("This credential was revoked.")


def _nobody(_: Collection[UUID]) -> None: ...
