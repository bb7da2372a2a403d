"""What somebody proves: a password, or a second factor."""

import base64
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from application.identity.factor_messages import AnyProof, Assertion
from application.identity.measures import FACTOR_PER_ACCOUNT, PASSWORD_PER_ACCOUNT
from application.identity.stamps import Stamps
from application.limits import Limits
from application.ports.identity import Authenticators, IdentityWork, OneTimeCodes, PasswordHasher
from application.ports.limits import Policy
from application.ports.secrets import Secrets
from application.ports.system import Clock
from application.ports.unit_of_work import UnitOfWork
from domain.errors import DomainError, Invalid
from domain.identity import (
    RECOVERY_CODES,
    Account,
    FactorOff,
    PasskeyRefused,
    SecondFactors,
    WrongCode,
    WrongPassword,
)
from domain.ids import AccountId

PROVING = b"passkey to prove"
_CODE_BYTES = 10

log = logging.getLogger(__name__)


class Proofs:
    """Verifies passwords and second factors, and makes what the latter need."""

    def __init__(
        self,
        work: UnitOfWork[IdentityWork],
        hasher: PasswordHasher,
        codes: OneTimeCodes,
        authenticators: Authenticators,
        secrets: Secrets,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._work = work
        self._hasher = hasher
        self._codes = codes
        self._authenticators = authenticators
        self._secrets = secrets
        self._stamps = Stamps(secrets, clock)
        self._limits = limits
        self._clock = clock

    async def password(self, account: AccountId, password: str, pointer: str = "/password") -> Account:
        """The account, whose present password this has to be, else WrongPassword. Exhausted after ten in 15 minutes."""
        await self._limits.require(PASSWORD_PER_ACCOUNT, str(account))
        async with self._work() as work:
            found = await work.accounts.get(account)
        if not await self._hasher.verify(password, found.password_hash):
            raise WrongPassword(pointer)
        return found

    @asynccontextmanager
    async def trying(self, account: AccountId, policy: Policy = FACTOR_PER_ACCOUNT) -> AsyncIterator[None]:
        """An attempt to prove a second factor, which counts if that proves nothing. Exhausted after ten in an hour."""
        await self._limits.require(policy, str(account))
        try:
            yield
        except (WrongCode, PasskeyRefused):
            raise
        except DomainError:
            await self._limits.give_back(policy, str(account))
            raise
        await self._limits.give_back(policy, str(account))

    async def use(self, factors: SecondFactors, proof: AnyProof) -> None:
        """Use the second factor that is given. WrongCode or PasskeyRefused if it proves nothing, or was used before.

        FactorOff if the account has none.
        """
        if not factors.is_on:
            raise FactorOff("There is no second factor.")
        now = self._clock.now()
        if proof.code is not None:
            factors.prove_totp(self.step(factors, proof.code), now)
        elif proof.recovery_code is not None:
            factors.prove_recovery_code(self._digest(factors.account_id, proof.recovery_code), now)
        elif proof.passkey is not None:
            await self.use_passkey(factors, proof.passkey, is_verifying=False)

    async def use_to_add(self, factors: SecondFactors, proof: AnyProof) -> None:
        """Use the second factor that is given, as `use` does. Invalid if none is given although the account has one."""
        if proof.is_given:
            await self.use(factors, proof)
        elif factors.is_on:
            raise Invalid("There is a second factor already, so adding one takes the password and a second factor.")

    async def use_passkey(self, factors: SecondFactors, answer: Assertion, *, is_verifying: bool) -> None:
        """Use this passkey. PasskeyRefused if the answer proves nothing, is late, or was used before."""
        passkey = factors.passkey_of(decoded(answer.id))
        said = answer.response
        if said.user_handle is not None and decoded(said.user_handle) != factors.account_id.bytes:
            raise PasskeyRefused("This passkey is none of the account's.")
        challenge = self._authenticators.challenge_of(said.client_data)
        if self._stamps.read(PROVING, challenge) is None:
            raise PasskeyRefused("This challenge is over, or was answered before.")
        count = await self._authenticators.asserted(
            said.client_data,
            said.authenticator_data,
            said.signature,
            challenge,
            passkey.public_key,
            is_verifying=is_verifying,
        )
        factors.prove_passkey(passkey.id, count, challenge, self._clock.now())

    def question(self, known: Collection[bytes], *, is_verifying: bool) -> dict[str, object]:
        """The question to an authenticator that `use_passkey` takes the answer to."""
        challenge = self._stamps.issue(PROVING, "")
        return dict(self._authenticators.request(challenge, known, is_verifying=is_verifying))

    def hidden(self, account: AccountId, secret: str) -> bytes:
        """The secret of an authenticator app, encrypted as it is kept."""
        return self._secrets.hide(_place(account), secret.encode())

    def reencrypted(self, factors: SecondFactors) -> bytes | None:
        """The secret of the app, encrypted under today's JWT_SECRET; None if no key is known that reads it."""
        secret = self._secrets.show(_place(factors.account_id), factors.totp_secret or b"")
        return None if secret is None else self._secrets.hide(_place(factors.account_id), secret)

    def step(self, factors: SecondFactors, code: str) -> int | None:
        """The step of time to which this code of the app belongs; None if the code is not valid now."""
        if factors.totp_secret is None:
            return None
        secret = self._secrets.show(_place(factors.account_id), factors.totp_secret)
        if secret is None:
            log.warning(
                "the secret of an authenticator app was encrypted under a JWT_SECRET that is not known any more"
            )
            return None
        return self._codes.step(secret.decode(), code, self._clock.now())

    def recovery_codes(self, account: AccountId) -> tuple[list[str], list[bytes]]:
        """New recovery codes, and their digests."""
        made = [self._secrets.digest(self._secrets.new())[:_CODE_BYTES] for _ in range(RECOVERY_CODES)]
        texts = [base64.b32encode(each).decode().lower() for each in made]
        shown = ["-".join(text[at : at + 4] for at in range(0, len(text), 4)) for text in texts]
        return shown, [self._digest(account, text) for text in shown]

    def _digest(self, account: AccountId, code: str) -> bytes:
        typed = "".join(code.replace("-", "").split()).lower()
        # With the account in it, nobody who has the digests tries a code against all of them at once.
        return self._secrets.digest(f"{account}:{typed}")


def decoded(text: str) -> bytes:
    """The bytes of a text in base64url; PasskeyRefused if it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        raise PasskeyRefused("This is not the answer of an authenticator.") from None


def _place(account: AccountId) -> bytes:
    return b"totp:" + account.bytes
