"""The use cases of one's own account: register, sign in and out, and manage profile, sessions and password."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET

from application.accounts import ACCOUNT_READ
from application.authentication import Authentication
from application.identity.ending import end_all_sessions, end_sessions
from application.identity.measures import (
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    REGISTER_PER_ADDRESS,
)
from application.identity.messages import Credentials, Device, PasswordChange, ProfilePatch, Registration, SignedIn
from application.identity.proofs import Proofs
from application.identity.second_step import MfaRequired, SecondSteps
from application.identity.signing_in import SigningIn, user_view
from application.limits import Limits
from application.paging import Page
from application.ports.identity import IdentityWork, PasswordHasher, SessionView, UserView
from application.ports.observer import Observer
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import Stale, UnitOfWork, retried
from application.principal import Principal
from application.refresh_tokens import Presented, RefreshTokens
from application.scopes import SESSION
from domain.errors import NotFound, VersionConflict
from domain.identity import (
    Account,
    EmailUnverified,
    EndReason,
    InvalidCredentials,
    Session,
    SessionOver,
    TokenReused,
    WrongPassword,
    check_password,
    new_email,
    normal_email,
)
from domain.ids import AccountId, SessionId


class Identity:
    """The use cases of one's own account.

    `registered` is called with each new account inside its unit of work.
    """

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        registered: Callable[[Any, Account], None],
        hasher: PasswordHasher,
        signing_in: SigningIn,
        second_steps: SecondSteps,
        proofs: Proofs,
        secrets: Secrets,
        authentication: Authentication,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        observer: Observer,
    ) -> None:
        self._work = work
        self._observer = observer
        self._registered = registered
        self._hasher = hasher
        self._signing_in = signing_in
        self._second_steps = second_steps
        self._proofs = proofs
        self._refresh_tokens = RefreshTokens(secrets)
        self._authentication = authentication
        self._limits = limits
        self._clock = clock
        self._ids = ids

    async def register(self, registration: Registration, device: Device) -> tuple[SignedIn, str]:
        """Create an account and sign in. Returns the answer and a refresh token. EmailTaken if the account exists."""
        await self._limits.require(REGISTER_PER_ADDRESS, device.address)
        check_password(registration.password, new_email(registration.email))
        encoded = await self._hasher.hash(registration.password)
        return await self._register(registration, encoded, device)

    @retried
    async def _register(self, registration: Registration, encoded: str, device: Device) -> tuple[SignedIn, str]:
        now = self._clock.now()
        async with self._work() as work:
            account = Account.register(
                AccountId(self._ids.new()), registration.email, registration.display_name, encoded, now
            )
            work.accounts.add(account)
            self._registered(work, account)
            is_complete = await self._signing_in.is_complete(work, account)
            session, refresh = self._signing_in.begin(work, account, device)
        return self._signing_in.answer(account, session, is_complete), refresh

    async def log_in(self, credentials: Credentials, device: Device) -> tuple[SignedIn, str]:
        """Begin a session. Returns the answer and the refresh token.

        InvalidCredentials if the address or the password is wrong, or if the address has to be verified first. In that
        case a letter says so. All take the same time. MfaRequired if the account has a second factor.
        """
        email = normal_email(credentials.email)
        # The address counts apart, so that attempts of others from elsewhere do not lock the owner out.
        await self._limits.require(LOGIN_PER_ADDRESS, device.address)
        await self._limits.require(LOGIN_PER_ACCOUNT_AND_ADDRESS, f"{device.address}:{email}")
        try:
            signed_in = await self._log_in(email, credentials.password, device)
        except (InvalidCredentials, EmailUnverified):
            self._observer.happened("login", "refused")
            raise
        except MfaRequired:
            self._observer.happened("login", "half")
            raise
        self._observer.happened("login", "ok")
        await self._limits.forget(LOGIN_PER_ACCOUNT_AND_ADDRESS, f"{device.address}:{email}")
        return signed_in

    @retried
    async def _log_in(self, email: str, password: str, device: Device) -> tuple[SignedIn, str]:
        async with self._work() as work:
            found = await work.accounts.find(email)
        encoded = found.password_hash if found else None
        correct = await self._hasher.verify(password, encoded)
        is_waiting = found is not None and self._signing_in.needs_verified(found)
        if found is None or encoded is None or not correct or found.disabled_at or is_waiting:
            if is_waiting and correct:
                self._signing_in.remind_soon(email)
            elif found is not None:
                self._signing_in.tell_soon(found.id, device)
            raise InvalidCredentials("No account has this e-mail address and password.")
        if self._hasher.is_outdated(encoded):
            found = await self._rehash(found, await self._hasher.hash(password))
        return await self._signing_in.enter(found, device, self._second_steps.pass_by)

    async def _rehash(self, verified: Account, encoded: str) -> Account:
        async with self._work() as work:
            account = await work.accounts.get(verified.id)
            if account.password_hash != verified.password_hash:
                raise Stale
            account.rehash(encoded, self._clock.now())
            work.accounts.save(account)
        return account

    async def refresh(self, token: str | None, device: Device) -> tuple[SignedIn, str]:
        """Exchange a refresh token for a new access token and the next refresh token.

        A lost reply does not sign the user out, and neither do several tabs that share a cookie. If two clients hold
        copies of a cookie, the session ends with TokenReused, at the latest when both have refreshed for the second
        time.
        """
        try:
            signed_in, refresh, ended = await self._refresh(self._refresh_tokens.read(token), device)
        except SessionOver:
            self._observer.happened("refresh", "expired")
            raise
        if ended:
            facts = {"session": str(ended.id), "user.id": str(ended.account_id), "client.address": device.address}
            self._observer.happened("refresh", "reuse", **facts)
            self._authentication.end([ended.id])
            raise TokenReused("This token was used before, so its session is over.")
        assert signed_in
        return signed_in, refresh

    async def _refresh(self, presented: Presented, device: Device) -> tuple[SignedIn | None, str, Session | None]:
        began = self._clock.now()

        @retried
        async def attempt() -> tuple[SignedIn | None, str, Session | None]:
            async with self._work() as work:
                found = await work.sessions.get_with_time(presented.session_id)
                if found is None:
                    raise SessionOver("The session is over; sign in again.")
                session, now = found
                # The store's time at which the token arrived, before this attempt had to wait.
                arrived_at = now - (self._clock.now() - began)
                token = self._refresh_tokens.genuine(presented, session)
                if not session.signing_key:  # it began before tokens were signed: its newest token becomes the first
                    session.signing_key, session.rotations = self._refresh_tokens.new_key(), 0
                account = await work.accounts.get(session.account_id)
                if session.is_over(now) or account.disabled_at:
                    raise SessionOver("The session is over; sign in again.")
                is_newest = token.number == session.rotations
                is_complete = await self._signing_in.is_complete(work, account)
                following = session.refresh(token, arrived_at, now, device.address)
                work.sessions.save(session)
            if following is None:
                return None, "", session
            self._observer.happened("refresh", "ok" if is_newest else "grace")
            text = self._refresh_tokens.later(presented.first, session, following)
            return self._signing_in.answer(account, session, is_complete), text, None

        return await attempt()

    async def log_out(self, token: str | None) -> None:
        """End the session of a refresh token. Without a live session it does nothing."""
        self._authentication.end(await self._log_out(token))

    @retried
    async def _log_out(self, token: str | None) -> Sequence[SessionId]:
        async with self._work() as work:
            try:
                presented = self._refresh_tokens.read(token)
                session = await work.sessions.get(presented.session_id)
                if session is None:
                    return []
                self._refresh_tokens.genuine(presented, session)
            except SessionOver:
                return []
            session.end(EndReason.LOGGED_OUT, session.account_id, self._clock.now())
            work.sessions.save(session)
        return [session.id]

    async def log_out_everywhere(self, actor: Principal) -> None:
        """End all sessions of the caller's account."""
        actor.require(SESSION)
        await self._end_all(actor.account_id, EndReason.LOGGED_OUT_EVERYWHERE)

    async def _end_all(self, account: AccountId, because: EndReason) -> None:
        self._authentication.end(await end_all_sessions(self._work, account, because, account, self._clock))

    async def sessions(self, actor: Principal) -> Page[SessionView]:
        """The caller's live sessions, oldest first, on one page."""
        actor.require(SESSION)
        async with self._work() as work:
            sessions = await work.sessions.live(actor.account_id, self._clock.now())
        return Page([session_view(session, actor.credential_id) for session in sessions], None)

    async def end_session(self, actor: Principal, id: SessionId) -> None:
        """End a session of the caller; an admin can end any session."""
        actor.require(SESSION)
        await self._end_session(actor, id)
        self._authentication.end([id])

    @retried
    async def _end_session(self, actor: Principal, id: SessionId) -> None:
        async with self._work() as work:
            session = await work.sessions.get(id)
            if session is None or session.is_over(self._clock.now()):
                raise NotFound
            if session.account_id != actor.account_id and not actor.is_admin:
                raise NotFound
            session.end(EndReason.ENDED_BY_OWNER, actor.account_id, self._clock.now())
            work.sessions.save(session)

    async def me(self, actor: Principal) -> UserView:
        actor.require(ACCOUNT_READ)
        async with self._work() as work:
            return user_view(await work.accounts.get(actor.account_id))

    @retried
    async def change_profile(self, actor: Principal, patch: ProfilePatch, version: int | None = None) -> UserView:
        actor.require(SESSION)
        async with self._work() as work:
            account = await work.accounts.get(actor.account_id)
            if version is not None and version != account.version:
                raise VersionConflict(user_view(account), account.version)
            account.change(
                self._clock.now(),
                None if patch.display_name is UNSET else patch.display_name,
                None if patch.time_zone is UNSET else patch.time_zone,
                None if patch.locale is UNSET else patch.locale,
            )
            work.accounts.save(account)
        return user_view(account)

    async def change_password(self, actor: Principal, change: PasswordChange) -> None:
        """Replace the password, given the present one, and end all sessions. Every client has to sign in again."""
        actor.require(SESSION)
        account = await self._proofs.password(actor.account_id, change.current_password, "/current_password")
        check_password(change.new_password, account.email or "", "/new_password")
        encoded = await self._hasher.hash(change.new_password)
        self._authentication.end(await self._change_password(actor, account.password_hash, encoded))
        await self._end_all(account.id, EndReason.PASSWORD_CHANGED)  # sessions that a login began at the same moment

    @retried
    async def _change_password(self, actor: Principal, verified: str | None, encoded: str) -> Sequence[SessionId]:
        async with self._work() as work:
            account = await work.accounts.get(actor.account_id)
            if account.password_hash != verified:
                raise WrongPassword("/current_password")
            now = self._clock.now()
            account.change_password(encoded, now)
            work.accounts.save(account)
            return await end_sessions(work, account.id, EndReason.PASSWORD_CHANGED, account.id, now)


def session_view(session: Session, present: UUID | None = None) -> SessionView:
    """A session as its owner sees it; `present` is the id of the one that asks."""
    return SessionView(
        id=session.id,
        address=session.address,
        user_agent=session.user_agent,
        created_at=session.created_at,
        last_used_at=session.rotated_at,
        expires_at=session.expires_at,
        current=session.id == present,
    )
