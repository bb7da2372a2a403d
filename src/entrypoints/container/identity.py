"""What identity brings to the assembly: accounts, how they sign in, their sessions, and passes of guests."""

from collections.abc import Callable
from operator import attrgetter

from dependency_injector.providers import Object, Provider, Singleton

from adapters.memory import MemoryDeadlines
from adapters.memory.addresses import REQUESTS, MemoryAddresses, MemoryAddressUpkeep
from adapters.memory.factors import MemoryFactors
from adapters.memory.guest_passes import MemoryGuestPasses, MemoryGuestPassStore
from adapters.memory.identity import ACCOUNTS, MemoryAccounts, MemorySessions
from adapters.postgres import PostgresDeadlines, tables
from adapters.postgres.addresses import PostgresAddresses, PostgresAddressUpkeep
from adapters.postgres.factors import PostgresFactors
from adapters.postgres.guest_passes import PostgresGuestPasses, PostgresGuestPassStore
from adapters.postgres.identity import PostgresAccounts, PostgresSessions
from adapters.security import TotpCodes, WebAuthn
from application.accounts import ACCOUNT_LEAVE, ACCOUNT_READ, AccountFeeds
from application.administration import Administration
from application.identity import (
    HAPPENINGS,
    NOTICES,
    POLICIES,
    Addresses,
    AddressRequests,
    Deletion,
    EmailVerification,
    Factors,
    ForgottenPasswords,
    Guests,
    Identity,
    Links,
    Passkeys,
    Proofs,
    SecondSteps,
    SigningIn,
    erasing,
    happened,
    profile,
)
from application.ports import CredentialKind, Deadlines, Due
from application.ports.identity import AddressUpkeep, Authenticators, GuestPassStore, OneTimeCodes
from application.reactions import EveryWork, refuse_owners, registered
from application.retention import Aging
from domain.identity import Account, AddressPurpose, FailedLogin, GuestPass, SecondFactors, Session
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.addresses import address_routes
from entrypoints.http.deletion import deletion_routes
from entrypoints.http.factors import factor_routes
from entrypoints.http.identity import identity_routes
from entrypoints.http.refresh_cookie import RefreshCookie

# For how long a link that has expired, and a request that nobody could do, are kept.
LEFT_DAYS = 1


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(
        accounts=PostgresAccounts,
        sessions=PostgresSessions,
        guest_passes=PostgresGuestPasses,
        addresses=PostgresAddresses,
        factors=PostgresFactors,
    )
    house.figures.add_kwargs(accounts=tables.accounts)
    return _with_identity(
        house,
        Singleton(PostgresGuestPassStore, house.database, house.numbers_database),
        Singleton(PostgresDeadlines, house.database, tables.accounts),
        Singleton(PostgresAddressUpkeep, house.database),
        Singleton(PostgresDeadlines, house.database, tables.address_requests),
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(
        accounts=MemoryAccounts,
        sessions=MemorySessions,
        guest_passes=MemoryGuestPasses,
        addresses=MemoryAddresses,
        factors=MemoryFactors,
    )
    house.figures.add_kwargs(accounts=ACCOUNTS)
    return _with_identity(
        house,
        Singleton(MemoryGuestPassStore, house.database),
        Singleton(MemoryDeadlines, house.database, ACCOUNTS, attrgetter("due_at")),
        Singleton(MemoryAddressUpkeep, house.database),
        Singleton(MemoryDeadlines, house.database, REQUESTS, attrgetter("due_at")),
    )


def _with_identity(
    house: Container,
    guest_passes: Provider[GuestPassStore],
    deadlines: Provider[Deadlines],
    upkeep: Provider[AddressUpkeep],
    request_deadlines: Provider[Deadlines],
) -> Container:
    given, clock = house.settings.provided, house.clock
    guests: Provider[CredentialKind] = Singleton(Guests, guest_passes, house.secrets, clock, house.ids)
    links = Singleton(Links, house.postbox, house.secrets)
    welcomed = Singleton(_welcomed, links, given.email_verification)
    requests = Singleton(AddressRequests, house.work, welcomed, links, house.postbox, house.limits, clock, house.ids)
    signing_in = Singleton(
        SigningIn,
        house.work,
        house.tokens,
        house.secrets,
        house.authentication,
        requests,
        house.limits,
        given.quota_sessions,
        given.mfa_required,
        given.email_verification,
        clock,
        house.ids,
    )
    codes: Provider[OneTimeCodes] = Singleton(TotpCodes)
    authenticators: Provider[Authenticators] = Singleton(WebAuthn, given.public_url)
    proofs = Singleton(Proofs, house.work, house.hasher, codes, authenticators, house.secrets, house.limits, clock)
    second_steps = Singleton(
        SecondSteps, house.work, signing_in, proofs, house.secrets, house.limits, clock, house.observer
    )
    identity = watched(
        house.observer,
        Identity,
        house.work,
        welcomed,
        house.hasher,
        signing_in,
        second_steps,
        proofs,
        house.secrets,
        house.authentication,
        house.limits,
        clock,
        house.ids,
        house.observer,
    )
    factors = watched(house.observer, Factors, house.work, signing_in, proofs, codes, clock)
    passkeys = watched(
        house.observer,
        Passkeys,
        house.work,
        signing_in,
        proofs,
        authenticators,
        house.secrets,
        house.limits,
        clock,
        house.ids,
        house.observer,
    )
    forgotten = watched(
        house.observer,
        ForgottenPasswords,
        house.work,
        requests,
        links,
        house.hasher,
        house.authentication,
        house.limits,
        clock,
    )
    addresses = watched(
        house.observer,
        Addresses,
        house.work,
        identity,
        forgotten,
        requests,
        links,
        house.postbox,
        proofs,
        house.hasher,
        house.limits,
        given.email_verification,
        clock,
    )
    deletion = watched(
        house.observer,
        Deletion,
        house.work,
        Object(refuse_owners),
        proofs,
        house.authentication,
        house.postbox,
        house.upkeep,
        given.deletion_grace_seconds,
        clock,
    )
    cookie = Singleton(RefreshCookie, given.cors_origin, given.cookie_samesite)
    house.set_providers(
        signing_in=signing_in,
        identity=identity,
        addresses=addresses,
        address_upkeep=upkeep,
        forgotten_passwords=forgotten,
        deletion=deletion,
        factors=factors,
        passkeys=passkeys,
        second_steps=second_steps,
        one_time_codes=codes,
        authenticators=authenticators,
        administration=Singleton(Administration, house.work, house.authentication, proofs, clock),
        guest_passes=guest_passes,
        guests=guests,
    )
    house.aggregates.add_args(Account, FailedLogin, GuestPass, SecondFactors, Session)
    house.credentials.add_args(guests)
    house.scopes.add_args(ACCOUNT_LEAVE, ACCOUNT_READ)
    house.policies.add_args(*POLICIES)
    house.happenings.add_args(*HAPPENINGS)
    house.notices.add_args(*NOTICES)
    house.feeds.add_args(Singleton(AccountFeeds))
    house.routes.add_args(
        Singleton(identity_routes, identity, addresses, cookie),
        Singleton(address_routes, addresses, forgotten),
        Singleton(factor_routes, factors, passkeys, second_steps, cookie),
        Singleton(deletion_routes, deletion),
    )
    house.exported.add_args(Singleton(profile, house.work, clock), Singleton(happened, house.journal))
    house.consumers.add_args(Singleton(erasing, house.upkeep))
    house.due.add_args(Singleton(Due, "accounts", deadlines, deletion.provided.elapse))
    house.due.add_args(Singleton(Due, "address_requests", request_deadlines, requests.provided.elapse))
    house.retention.add_args(
        Singleton(Aging, "sessions", given.session_retention_days, house.upkeep.provided.forget_sessions, clock),
        Singleton(Aging, "guest_passes", given.session_retention_days, guest_passes.provided.forget, clock),
        Singleton(Aging, "mailed_links", LEFT_DAYS, upkeep.provided.forget_links, clock),
        Singleton(Aging, "address_requests", LEFT_DAYS, upkeep.provided.forget_requests, clock),
    )
    return house


def _welcomed(links: Links, verification: EmailVerification) -> Callable[[EveryWork, Account], None]:
    """What follows a registration in its unit of work."""

    def follow(work: EveryWork, account: Account) -> None:
        registered(work, account)
        if verification != "off" and account.email is not None:
            links.mail(work, account, AddressPurpose.VERIFY, account.email, account.created_at)

    return follow
