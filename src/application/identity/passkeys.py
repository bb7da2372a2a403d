"""The use cases of passkeys, which are a second factor and a sign-in of their own."""

from uuid import UUID

from application.identity.factor_messages import (
    Assertion,
    FactorAddition,
    FactorChange,
    NewPasskey,
    PasskeyAdded,
    PasskeyPatch,
    PasskeyQuestion,
    PasskeySignIn,
    PasskeyView,
)
from application.identity.factors import passkey_view
from application.identity.measures import LOGIN_PER_ADDRESS
from application.identity.messages import Device, SignedIn
from application.identity.proofs import Proofs, decoded
from application.identity.signing_in import SigningIn
from application.identity.stamps import Stamps
from application.limits import Limits
from application.ports.identity import Authenticators, IdentityWork
from application.ports.observer import Observer
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.scopes import MFA_SETUP
from domain.errors import NotFound
from domain.identity import Account, InvalidCredentials, Passkey, PasskeyRefused, SecondFactors
from domain.ids import AccountId, PasskeyId

_MAKING = b"passkey to make"


class Passkeys:
    """The passkeys of one's own account, and signing in with one."""

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        signing_in: SigningIn,
        proofs: Proofs,
        authenticators: Authenticators,
        secrets: Secrets,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        observer: Observer,
    ) -> None:
        self._work = work
        self._signing_in = signing_in
        self._proofs = proofs
        self._authenticators = authenticators
        self._stamps = Stamps(secrets, clock)
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self._observer = observer

    async def begin(self, actor: Principal, proof: FactorAddition) -> PasskeyQuestion:
        """What to ask an authenticator for a new passkey. If there is a second factor already, it takes one."""
        actor.require(MFA_SETUP)
        account = await self._proofs.password(actor.account_id, proof.password)
        async with self._proofs.trying(account.id):
            factors = await self._begin(account.id, proof)
        known = [passkey.credential_id for passkey in factors.passkeys.values()]
        challenge = self._stamps.issue(_MAKING, _for(factors))
        name = account.email or account.display_name
        question = self._authenticators.creation(challenge, account.id, name, account.display_name, known)
        return PasskeyQuestion(dict(question))

    @retried
    async def _begin(self, account: AccountId, proof: FactorAddition) -> SecondFactors:
        async with self._work() as work:
            factors = await work.factors.get(account)
            await self._proofs.use_to_add(factors, proof)
            work.factors.save(factors)
        return factors

    async def add(self, actor: Principal, new: NewPasskey) -> PasskeyAdded:
        """Take the passkey that an authenticator has made. PasskeyRefused if it was not asked to, or another time."""
        actor.require(MFA_SETUP)
        said = new.passkey.response
        challenge = self._authenticators.challenge_of(said.client_data)
        made = await self._authenticators.attested(said.client_data, said.attestation, challenge)
        id, now = PasskeyId(self._ids.new()), self._clock.now()
        passkey = Passkey(id, made.credential_id, made.public_key, made.sign_count, new.name, now)
        return await self._add(actor.account_id, passkey, challenge)

    @retried
    async def _add(self, account: AccountId, passkey: Passkey, challenge: str) -> PasskeyAdded:
        shown, digests = self._proofs.recovery_codes(account)
        async with self._work() as work:
            factors = await work.factors.get(account)
            if self._stamps.read(_MAKING, challenge) != _for(factors):
                raise PasskeyRefused("This challenge is over, or was for somebody else.")
            are_new = factors.add_passkey(passkey, challenge, digests, self._clock.now())
            work.factors.save(factors)
        return PasskeyAdded(passkey_view(factors.passkey(passkey.id)), shown if are_new else None)

    async def rename(self, actor: Principal, id: PasskeyId, patch: PasskeyPatch) -> PasskeyView:
        actor.require(MFA_SETUP)
        return await self._rename(actor.account_id, id, patch.name)

    @retried
    async def _rename(self, account: AccountId, id: PasskeyId, name: str) -> PasskeyView:
        async with self._work() as work:
            factors = await work.factors.get(account)
            factors.rename_passkey(id, name, self._clock.now())
            work.factors.save(factors)
        return passkey_view(factors.passkey(id))

    async def remove(self, actor: Principal, id: PasskeyId, proof: FactorChange) -> None:
        """Take this passkey no more. Without another factor the recovery codes are gone as well.

        FactorRequired if the account has to have a factor, and this is the last one.
        """
        actor.require(MFA_SETUP)
        await self._proofs.password(actor.account_id, proof.password)
        async with self._proofs.trying(actor.account_id):
            await self._remove(actor.account_id, id, proof)

    @retried
    async def _remove(self, account: AccountId, id: PasskeyId, proof: FactorChange) -> None:
        async with self._work() as work:
            factors = await work.factors.get(account)
            factors.passkey(id)
            await self._proofs.use(factors, proof)
            factors.remove_passkey(id, account, self._clock.now())
            await self._signing_in.require_enough(work, factors)
            work.factors.save(factors)

    async def question(self) -> PasskeyQuestion:
        """What to ask an authenticator for any passkey of this site, with its user verified."""
        return PasskeyQuestion(self._proofs.question((), is_verifying=True))

    async def log_in(self, proof: PasskeySignIn, device: Device) -> tuple[SignedIn, str]:
        """Begin a session of whose passkey it is. Returns the answer and the refresh token.

        InvalidCredentials if it opens no account. It is two factors by itself: the device, and what verified its user.
        """
        await self._limits.require(LOGIN_PER_ADDRESS, device.address)
        try:
            signed_in = await self._log_in(_owner(proof.passkey), proof.passkey, device)
        except (PasskeyRefused, NotFound):
            self._observer.happened("login", "refused")
            raise InvalidCredentials("This passkey opens no account.") from None
        self._observer.happened("login", "ok")
        return signed_in

    @retried
    async def _log_in(self, id: AccountId, answer: Assertion, device: Device) -> tuple[SignedIn, str]:
        async with self._work() as work:
            account = await work.accounts.get(id)
        if account.disabled_at or account.deleted_at:
            raise NotFound

        async def prove(work: IdentityWork, account: Account) -> None:
            factors = await work.factors.get(account.id)
            await self._proofs.use_passkey(factors, answer, is_verifying=True)
            work.factors.save(factors)

        try:
            return await self._signing_in.enter(account, device, prove)
        except PasskeyRefused:
            self._signing_in.tell_soon(id, device)
            raise


def _for(factors: SecondFactors) -> str:
    """The content of a challenge to make a passkey. One that took no factor is worth nothing once there is a factor."""
    return f"{factors.account_id.hex}{'+' if factors.is_on else '-'}"


def _owner(answer: Assertion) -> AccountId:
    """The account that the answer says to be of."""
    handle = answer.response.user_handle
    try:
        return AccountId(UUID(bytes=decoded(handle or "")))
    except ValueError:
        raise PasskeyRefused("This passkey does not say whose it is.") from None
