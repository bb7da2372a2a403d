"""What identity brings to the assembly: accounts, and the sessions in which they are signed in."""

from dependency_injector.providers import Singleton

from adapters.memory.identity import ACCOUNTS, MemoryAccounts, MemorySessions
from adapters.postgres import tables
from adapters.postgres.identity import PostgresAccounts, PostgresSessions
from application.accounts import ACCOUNT_READ, AccountFeeds
from application.administration import Administration
from application.identity import HAPPENINGS, POLICIES, Identity
from application.reactions import registered
from application.retention import Aging
from domain.identity import Account, FailedLogin, Session
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.identity import identity_routes
from entrypoints.http.refresh_cookie import RefreshCookie


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(accounts=PostgresAccounts, sessions=PostgresSessions)
    house.figures.add_kwargs(accounts=tables.accounts)
    return _with_identity(house)


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(accounts=MemoryAccounts, sessions=MemorySessions)
    house.figures.add_kwargs(accounts=ACCOUNTS)
    return _with_identity(house)


def _with_identity(house: Container) -> Container:
    given = house.settings.provided
    identity = watched(
        house.observer,
        Identity,
        house.work,
        registered,
        house.hasher,
        house.tokens,
        house.secrets,
        house.authentication,
        house.limits,
        given.quota_sessions,
        house.clock,
        house.ids,
        house.observer,
    )
    house.set_providers(
        identity=identity, administration=Singleton(Administration, house.work, house.authentication, house.clock)
    )
    house.aggregates.add_args(Account, FailedLogin, Session)
    house.scopes.add_args(ACCOUNT_READ)
    house.policies.add_args(*POLICIES)
    house.happenings.add_args(*HAPPENINGS)
    house.feeds.add_args(Singleton(AccountFeeds))
    house.routes.add_args(
        Singleton(identity_routes, identity, Singleton(RefreshCookie, given.cors_origin, given.cookie_samesite))
    )
    house.retention.add_args(
        Singleton(Aging, "sessions", given.session_retention_days, house.upkeep.provided.forget_sessions, house.clock)
    )
    return house
