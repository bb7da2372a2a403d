"""Where people sign in: the identity context of one in-memory assembly, and short words for what they do there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from msgspec import json

from adapters.memory.system import MovableClock
from adapters.security.passwords import Argon2Hasher
from application.administration import Administration
from application.authentication import Authentication, SessionEnded
from application.identity import (
    Credentials,
    Device,
    Factors,
    Identity,
    Passkeys,
    Registration,
    SecondSteps,
    SignedIn,
)
from application.ports.events import JournalQueries
from application.principal import Principal
from domain.channels import account_stream
from domain.identity import Account, Session
from domain.ids import AccountId, SessionId
from entrypoints.container import Container, in_memory

PASSWORD = "correct horse battery"
HOME = Device("203.0.113.7", "a browser")
AWAY = Device("198.51.100.9", "a telephone")


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who has just signed in, with what the client got."""

    access_token: str
    refresh_token: str
    actor: Principal
    expires_in: int

    @property
    def account(self) -> AccountId:
        return self.actor.account_id

    @property
    def session_id(self) -> SessionId:
        return SessionId(self.actor.credential_id)


class FrontDoor:
    """`changes` are providers of the container that replace others."""

    def __init__(self, **changes: Any) -> None:
        self.container: Container = in_memory(**changes)
        self.work, self.ids = self.container.work(), self.container.ids()
        self.identity: Identity = self.container.identity()
        self.factors: Factors = self.container.factors()
        self.passkeys: Passkeys = self.container.passkeys()
        self.second_steps: SecondSteps = self.container.second_steps()
        self.administration: Administration = self.container.administration()
        self.authentication: Authentication = self.container.authentication()
        self.journal: JournalQueries = self.container.journal()
        clock = self.container.clock()
        assert isinstance(clock, MovableClock)
        self.clock = clock

    def wait(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration))

    async def register(self, email: str = "ada@example.org", device: Device = HOME, **values: str) -> Visit:
        registration = {"password": PASSWORD, "display_name": "Ada", **values}
        return self.visit(*await self.identity.register(Registration(email=email, **registration), device))

    async def log_in(self, email: str = "ada@example.org", password: str = PASSWORD, device: Device = HOME) -> Visit:
        return self.visit(*await self.identity.log_in(Credentials(email, password), device))

    async def refresh(self, token: str | None, device: Device = HOME) -> Visit:
        return self.visit(*await self.identity.refresh(token, device))

    async def account(self, email: str = "ada@example.org") -> Account:
        """The account as it is kept."""
        async with self.container.work()() as work:
            account = await work.accounts.find(email)
        assert account
        return account

    async def session(self, visit: Visit) -> Session:
        """The session as it is kept."""
        async with self.container.work()() as work:
            session = await work.sessions.get(visit.session_id)
        assert session
        return session

    async def last_event(self, visit: Visit) -> tuple[str, object]:
        """The type and data of what last happened to the account."""
        entry = (await self.journal.read(account_stream(visit.account), 0, 1_000))[-1]
        return entry.type, json.decode(entry.body)["data"]

    async def live(self, visit: Visit) -> int:
        """How many live sessions the account has."""
        return len((await self.identity.sessions(visit.actor)).data)

    def close(self) -> None:
        hasher = self.container.hasher()
        if isinstance(hasher, Argon2Hasher):
            hasher.close()

    def visit(self, signed_in: SignedIn, refresh: str) -> Visit:
        """Whoever got this answer and this refresh token."""
        actor = self.authentication.known(signed_in.access_token)
        assert actor is not None
        return Visit(signed_in.access_token, refresh, actor, signed_in.expires_in)


async def events_of(door: FrontDoor, account: AccountId) -> Sequence[str]:
    """The types of what happened to the account, in order."""
    return [entry.type for entry in await door.journal.read(account_stream(account), 0, 1_000)]


def assert_signed_out(door: FrontDoor, visit: Visit) -> None:
    with pytest.raises(SessionEnded):
        door.authentication.known(visit.access_token)


def assert_signed_in(door: FrontDoor, visit: Visit) -> None:
    assert door.authentication.known(visit.access_token) == visit.actor
