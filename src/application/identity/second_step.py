"""The second step of signing in, for accounts with a second factor."""

from typing import NamedTuple
from uuid import UUID

from application.identity.factor_messages import Proof, SecondStep
from application.identity.measures import LOGIN_PER_ACCOUNT_AND_ADDRESS, LOGIN_PER_ADDRESS
from application.identity.messages import Device, SignedIn
from application.identity.proofs import Proofs
from application.identity.signing_in import SigningIn
from application.identity.stamps import Stamps
from application.limits import Limits
from application.ports.identity import IdentityWork
from application.ports.observer import Observer
from application.ports.secrets import Secrets
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from domain.errors import NotFound, Unauthenticated
from domain.identity import (
    CHALLENGE_LIFETIME,
    Account,
    Factor,
    InvalidCredentials,
    PasskeyRefused,
    SecondFactors,
    WrongCode,
)
from domain.ids import AccountId

_PURPOSE = b"second step"


class MfaRequired(Unauthenticated):
    """The password is right, and a second factor is asked for. `mfa_token` is for the request that gives it."""

    code = "mfa_required"


class MfaTokenInvalid(Unauthenticated):
    """The first step of signing in is too long ago, or counts no more since the account changed."""

    code = "mfa_token_invalid"


class _First(NamedTuple):
    account: AccountId
    password: str  # a fingerprint of the hash that was right


class SecondSteps:
    """Asks for a second factor once the password was right, and lets in who has it.

    The token in between is signed and nothing is kept of it. It is good for one account, for as long as that has the
    same password, and is worth nothing without the second factor.
    """

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        signing_in: SigningIn,
        proofs: Proofs,
        secrets: Secrets,
        limits: Limits,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._work = work
        self._signing_in = signing_in
        self._proofs = proofs
        self._secrets = secrets
        self._stamps = Stamps(secrets, clock)
        self._limits = limits
        self._observer = observer

    async def pass_by(self, work: IdentityWork, account: Account) -> None:
        """Let an account pass that has no second factor. Otherwise MfaRequired, with all that the second step needs."""
        factors = await work.factors.get(account.id)
        if factors.is_on:
            raise self._asking(account, factors)

    def _asking(self, account: Account, factors: SecondFactors) -> MfaRequired:
        kinds, known = factors.kinds, [passkey.credential_id for passkey in factors.passkeys.values()]
        question = self._proofs.question(known, is_verifying=False) if Factor.PASSKEY in kinds else None
        return MfaRequired(
            "The password is right; now prove a second factor at /auth/mfa/verify.",
            extra={
                "mfa_token": self._stamps.issue(_PURPOSE, f"{account.id.hex}-{self._fingerprint(account)}"),
                "expires_in": int(CHALLENGE_LIFETIME.total_seconds()),
                "methods": kinds,
                "public_key": question,
            },
        )

    async def verify(self, step: SecondStep, device: Device) -> tuple[SignedIn, str]:
        """Begin a session by a second factor. Returns the answer and the refresh token.

        InvalidCredentials if it proves nothing or was used before, MfaTokenInvalid if the first step counts no more.
        """
        await self._limits.require(LOGIN_PER_ADDRESS, device.address)
        first = self._read(step.mfa_token)
        try:
            async with self._proofs.trying(first.account):
                signed_in, refresh = await self._verify(first, step, device)
        except (WrongCode, PasskeyRefused) as refused:
            self._observer.happened("login", "refused")
            self._signing_in.tell_soon(first.account, device)
            raise InvalidCredentials(refused.detail) from None
        self._observer.happened("login", "ok")
        await self._limits.forget(LOGIN_PER_ACCOUNT_AND_ADDRESS, f"{device.address}:{signed_in.user.email}")
        return signed_in, refresh

    @retried
    async def _verify(self, first: _First, proof: Proof, device: Device) -> tuple[SignedIn, str]:
        async with self._work() as work:
            try:
                account = await work.accounts.get(first.account)
            except NotFound:
                raise _over() from None
        if account.disabled_at or self._fingerprint(account) != first.password:
            raise _over()

        async def prove(work: IdentityWork, account: Account) -> None:
            factors = await work.factors.get(account.id)
            if not factors.is_on:
                raise _over()
            await self._proofs.use(factors, proof)
            work.factors.save(factors)

        return await self._signing_in.enter(account, device, prove)

    def _read(self, token: str) -> _First:
        content = self._stamps.read(_PURPOSE, token)
        if content is None:
            raise _over()
        account, _, password = content.partition("-")
        return _First(AccountId(UUID(account)), password)

    def _fingerprint(self, account: Account) -> str:
        return self._secrets.digest(account.password_hash or "")[:8].hex()


def _over() -> MfaTokenInvalid:
    return MfaTokenInvalid("Sign in again: the first step is over.")
