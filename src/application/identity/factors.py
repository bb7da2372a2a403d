"""The use cases of second factors: codes of an authenticator app, and the recovery codes that stand in for them."""

from application.identity.factor_messages import (
    CodeProof,
    FactorAddition,
    FactorChange,
    FactorsView,
    PasskeyView,
    RecoveryCodes,
    TotpSecret,
)
from application.identity.measures import CONFIRMING_PER_ACCOUNT
from application.identity.proofs import Proofs
from application.identity.signing_in import SigningIn
from application.ports.identity import IdentityWork, OneTimeCodes
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.scopes import MFA_SETUP
from domain.identity import Passkey
from domain.ids import AccountId


class Factors:
    """The second factors of one's own account. Each use case is allowed where nothing else is before one is set up."""

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        signing_in: SigningIn,
        proofs: Proofs,
        codes: OneTimeCodes,
        clock: Clock,
    ) -> None:
        self._work = work
        self._signing_in = signing_in
        self._proofs = proofs
        self._codes = codes
        self._clock = clock

    async def overview(self, actor: Principal) -> FactorsView:
        """What is on, and what is left."""
        actor.require(MFA_SETUP)
        async with self._work() as work:
            account = await work.accounts.get(actor.account_id)
            factors = await work.factors.get(actor.account_id)
        return FactorsView(
            totp_at=factors.totp_at,
            passkeys=[passkey_view(each) for each in factors.passkeys.values()],
            recovery_codes_left=len(factors.recovery_codes),
            is_required=self._signing_in.needs_factor(account),
        )

    async def begin_totp(self, actor: Principal, proof: FactorAddition) -> TotpSecret:
        """A new secret for an authenticator app, whose codes are asked for once one of them was confirmed.

        If there is a second factor already, it takes one.
        """
        actor.require(MFA_SETUP)
        account = await self._proofs.password(actor.account_id, proof.password)
        secret = self._codes.new_secret()
        async with self._proofs.trying(account.id):
            await self._begin_totp(account.id, self._proofs.hidden(account.id, secret), proof)
        return TotpSecret(secret, self._codes.address(secret, account.email or account.display_name))

    @retried
    async def _begin_totp(self, account: AccountId, secret: bytes, proof: FactorAddition) -> None:
        async with self._work() as work:
            factors = await work.factors.get(account)
            await self._proofs.use_to_add(factors, proof)
            factors.begin_totp(secret, self._clock.now())
            work.factors.save(factors)

    async def confirm_totp(self, actor: Principal, proof: CodeProof) -> RecoveryCodes:
        """Ask for codes of the app from now on, as this one proves that it has the secret. Returns recovery codes."""
        actor.require(MFA_SETUP)
        async with self._proofs.trying(actor.account_id, CONFIRMING_PER_ACCOUNT):
            return await self._confirm_totp(actor.account_id, proof.code)

    @retried
    async def _confirm_totp(self, account: AccountId, code: str) -> RecoveryCodes:
        shown, digests = self._proofs.recovery_codes(account)
        async with self._work() as work:
            factors = await work.factors.get(account)
            factors.confirm_totp(self._proofs.step(factors, code), digests, self._clock.now())
            work.factors.save(factors)
        return RecoveryCodes(shown)

    async def remove_totp(self, actor: Principal, proof: FactorChange) -> None:
        """Ask for no more codes of the app. Without another factor the recovery codes are gone as well.

        FactorRequired if the account has to have a factor, and this is the last one.
        """
        actor.require(MFA_SETUP)
        await self._proofs.password(actor.account_id, proof.password)
        async with self._proofs.trying(actor.account_id):
            await self._remove_totp(actor.account_id, proof)

    @retried
    async def _remove_totp(self, account: AccountId, proof: FactorChange) -> None:
        async with self._work() as work:
            factors = await work.factors.get(account)
            factors.require_totp()
            await self._proofs.use(factors, proof)
            factors.remove_totp(account, self._clock.now())
            await self._signing_in.require_enough(work, factors)
            work.factors.save(factors)

    async def renew_recovery_codes(self, actor: Principal, proof: FactorChange) -> RecoveryCodes:
        """New recovery codes in place of those that are left."""
        actor.require(MFA_SETUP)
        await self._proofs.password(actor.account_id, proof.password)
        async with self._proofs.trying(actor.account_id):
            return await self._renew_recovery_codes(actor.account_id, proof)

    @retried
    async def _renew_recovery_codes(self, account: AccountId, proof: FactorChange) -> RecoveryCodes:
        shown, digests = self._proofs.recovery_codes(account)
        async with self._work() as work:
            factors = await work.factors.get(account)
            await self._proofs.use(factors, proof)
            factors.renew_recovery_codes(digests, self._clock.now())
            work.factors.save(factors)
        return RecoveryCodes(shown)


def passkey_view(passkey: Passkey) -> PasskeyView:
    """The passkey as its owner sees it."""
    return PasskeyView(passkey.id, passkey.name, passkey.created_at, passkey.used_at)
