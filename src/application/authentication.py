"""Authenticates credentials, mostly by a dictionary look-up, and learns within a second which have been revoked."""

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
# For credentials that were looked up. A process is told of their end, but of no other change.
LOOKED_UP_MAX = 10_000
LOOKED_UP_SECONDS = 10.0
RECHECK_SECONDS = 0.4
# Longer than any transaction may run, so that a look finds an end that was written before the previous look and
# committed after it.
OVERLAP = timedelta(seconds=15)

log = logging.getLogger(__name__)


class SessionEnded(Unauthenticated):
    """The session of the token has ended."""

    code = "session_ended"


class CredentialRevoked(Unauthenticated):
    """The credential, which is not a session, was revoked."""

    code = "credential_revoked"


class NetworkNotAllowed(Unauthenticated):
    """The credential is for other networks than the one that the caller comes from."""

    code = "network_not_allowed"


class Authentication:
    """Finds the principal of a credential: of an access token, or of a kind that has to be looked up.

    The address is that of the caller, whole. Only a credential that is for some networks needs it.

    The signature of a token is checked once; then its principal is remembered until the token expires, for at most
    50,000 tokens. A principal that was looked up is remembered for 10 s.

    Every 0.4 s, `run` asks the store which sessions and other credentials have ended. Every instance does so, without
    the broker; the process that ends a credential knows at once. Each answer renews the `lease`, without which nothing
    is delivered. A token is valid for at most 15 minutes after its signature was checked, so only the ends of the last
    30 minutes are kept.
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
        """Set the listener, which is told of each credential that ends, once."""
        self._told = ended

    def known(self, text: str, address: str = "") -> Principal | None:
        """The principal of a credential, if it can be found without the store; otherwise None: use `identify`.

        Unauthenticated if there is none.
        """
        try:
            now = self._clock.now()
            try:  # `get` of a cache takes three times as long
                principal = self._known[text]
            except KeyError:
                principal = None
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
            if self._ended and principal.credential_id in self._ended:
                raise _ended(principal)
            if principal.networks is not None:
                _admit(principal, address)
        except Unauthenticated as error:
            self._observer.happened("token_rejected", error.code)
            raise
        return principal

    async def identify(self, text: str, address: str = "") -> Principal:
        """The principal of a credential. Unauthenticated if there is none, Unavailable if the store does not answer."""
        principal = self.known(text, address)
        if principal is not None:
            return principal
        kind = self._kind_of(text)
        assert kind is not None
        try:
            principal = await kind.find(text)
            self._looked_up[text] = principal
            if principal.credential_id in self._ended:  # it may have ended since it was read
                raise _ended(principal)
            _admit(principal, address)
        except Unauthenticated as error:
            self._observer.happened("token_rejected", error.code)
            raise
        return principal

    def _kind_of(self, text: str) -> CredentialKind | None:
        return next((kind for kind in self._kinds if kind.recognises(text)), None)

    def is_live(self, principal: Principal) -> bool:
        """Whether a principal that was authenticated earlier is still valid."""
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
        """Learn which credentials have ended since the last call, by the store's clock, which all processes share."""
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
        """Refresh until cancelled. While the store does not answer, nothing else works either, so it only waits."""
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


def _admit(principal: Principal, address: str) -> None:
    if not principal.may_come_from(address):
        raise NetworkNotAllowed("This credential is for other networks.")


def _nobody(_: Collection[UUID]) -> None: ...
