"""A kind of credential besides access tokens, which is no part of the product: badges, which have to be looked up."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from adapters.memory.system import MovableClock
from application.authentication import CredentialRevoked
from application.ports.credentials import CredentialKind
from application.principal import Principal
from application.scopes import Scope
from domain.errors import Unauthenticated, Unavailable
from domain.identity import AccountRole
from domain.ids import AccountId


class BadgeUnknown(Unauthenticated):
    """There is no such badge."""

    code = "badge_unknown"


class Badges(CredentialKind):
    """Badges by their text, each good for an hour.

    `asked` counts how often one was looked up. Nobody gets an answer while `is_open` is not set, or a useful one while
    `is_away` is true.
    """

    def __init__(self, clock: MovableClock) -> None:
        self.asked = 0
        self.is_away = False
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.revoked: dict[UUID, datetime] = {}
        self._clock = clock
        self._issued: dict[str, Principal] = {}

    def issue(self, account: str | UUID, *scopes: Scope, **limits: Any) -> tuple[str, UUID]:
        """A new badge of an account with these scopes and further limits of its principal, and its id."""
        id, text = uuid4(), f"badge-{uuid4().hex}"
        expires_at = self._clock.now() + timedelta(hours=1)
        names = frozenset(scope.name for scope in scopes)
        self._issued[text] = Principal(AccountId(UUID(str(account))), id, AccountRole.USER, expires_at, names, **limits)
        return text, id

    def revoke(self, id: UUID) -> None:
        self.revoked[id] = self._clock.now()

    def recognises(self, text: str) -> bool:
        return text.startswith("badge-")

    async def find(self, text: str) -> Principal:
        self.asked += 1
        if self.is_away:
            raise Unavailable("The list of badges is away.")
        found = self._issued.get(text)
        is_revoked = found is not None and found.credential_id in self.revoked
        await self.is_open.wait()
        await asyncio.sleep(0)
        if found is None or self._clock.now() >= found.expires_at:
            raise BadgeUnknown("There is no such badge.")
        if is_revoked:
            raise CredentialRevoked("This badge was taken back.")
        return found

    async def ended_since(self, since: datetime | None) -> tuple[Collection[UUID], datetime]:
        return [id for id, at in self.revoked.items() if since is None or at >= since], self._clock.now()
