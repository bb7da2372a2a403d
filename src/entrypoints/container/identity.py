"""What identity brings to the assembly: accounts, the sessions in which they are signed in, and passes of guests."""

from dependency_injector.providers import Provider, Singleton

from adapters.memory.guest_passes import MemoryGuestPasses, MemoryGuestPassStore
from adapters.memory.identity import ACCOUNTS, MemoryAccounts, MemorySessions
from adapters.postgres import tables
from adapters.postgres.guest_passes import PostgresGuestPasses, PostgresGuestPassStore
from adapters.postgres.identity import PostgresAccounts, PostgresSessions
from application.accounts import ACCOUNT_READ, AccountFeeds
from application.administration import Administration
from application.identity import HAPPENINGS, POLICIES, Guests, Identity, SigningIn
from application.ports import CredentialKind
from application.ports.identity import GuestPassStore
from application.reactions import registered
from application.retention import Aging
from domain.identity import Account, FailedLogin, GuestPass, Session
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.identity import identity_routes
from entrypoints.http.refresh_cookie import RefreshCookie


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(
        accounts=PostgresAccounts, sessions=PostgresSessions, guest_passes=PostgresGuestPasses
    )
    house.figures.add_kwargs(accounts=tables.accounts)
    return _with_identity(house, Singleton(PostgresGuestPassStore, house.database, house.numbers_database))


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(accounts=MemoryAccounts, sessions=MemorySessions, guest_passes=MemoryGuestPasses)
    house.figures.add_kwargs(accounts=ACCOUNTS)
    return _with_identity(house, Singleton(MemoryGuestPassStore, house.database))


def _with_identity(house: Container, guest_passes: Provider[GuestPassStore]) -> Container:
    given, clock = house.settings.provided, house.clock
    guests: Provider[CredentialKind] = Singleton(Guests, guest_passes, house.secrets, clock, house.ids)
    signing_in = Singleton(
        SigningIn,
        house.work,
        house.tokens,
        house.secrets,
        house.authentication,
        house.limits,
        given.quota_sessions,
        clock,
        house.ids,
    )
    identity = watched(
        house.observer,
        Identity,
        house.work,
        registered,
        house.hasher,
        signing_in,
        house.secrets,
        house.authentication,
        house.limits,
        clock,
        house.ids,
        house.observer,
    )
    house.set_providers(
        signing_in=signing_in,
        identity=identity,
        administration=Singleton(Administration, house.work, house.authentication, clock),
        guest_passes=guest_passes,
        guests=guests,
    )
    house.aggregates.add_args(Account, FailedLogin, GuestPass, Session)
    house.credentials.add_args(guests)
    house.scopes.add_args(ACCOUNT_READ)
    house.policies.add_args(*POLICIES)
    house.happenings.add_args(*HAPPENINGS)
    house.feeds.add_args(Singleton(AccountFeeds))
    house.routes.add_args(
        Singleton(identity_routes, identity, Singleton(RefreshCookie, given.cors_origin, given.cookie_samesite))
    )
    house.retention.add_args(
        Singleton(Aging, "sessions", given.session_retention_days, house.upkeep.provided.forget_sessions, clock),
        Singleton(Aging, "guest_passes", given.session_retention_days, guest_passes.provided.forget, clock),
    )
    return house
