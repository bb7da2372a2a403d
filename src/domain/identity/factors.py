"""The second factors of an account: codes of an authenticator app, passkeys, and recovery codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.channels import account_stream
from domain.errors import Conflict, Exhausted, Invalid, NotFound, QuotaExceeded
from domain.identity.challenges import CHALLENGE_LIFETIME, is_over
from domain.ids import AccountId, PasskeyId
from domain.kernel import Aggregate, EventType, declared
from domain.text import normal_name

PASSKEYS_MAX = 20
PASSKEY_NAME_MAX = 60
RECOVERY_CODES = 10
SPENT_MAX = 100


class Factor(StrEnum):
    """What somebody can prove besides a password."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"


class WrongCode(Invalid):
    """The code is not valid, not valid any more, or was used before."""

    code = "wrong_code"


class PasskeyRefused(Invalid):
    """The answer of an authenticator does not prove what it has to."""

    code = "passkey_refused"


class FactorOn(Conflict):
    """This factor is there already."""

    code = "already_exists"


class FactorOff(Conflict):
    """There is no such factor, or not yet."""

    code = "factor_missing"


class FactorRequired(Conflict):
    """The account has to have a second factor, and this is its last one."""

    code = "factor_required"


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key pair of an authenticator. `sign_count` is the newest number that it told, or 0 if it counts nothing."""

    id: PasskeyId
    credential_id: bytes
    public_key: bytes
    sign_count: int
    name: str
    created_at: datetime
    used_at: datetime | None = None


_FACTOR = {"factor": f"Which: {Factor.TOTP} or {Factor.PASSKEY}.", "passkey_id": "Of a passkey: its id."}


@dataclass(slots=True)
class SecondFactors(Aggregate):
    """Everything that an account can prove besides its password.

    `totp_secret` is encrypted. Its codes are asked for from `totp_at` on, which the first of them sets. A code belongs
    to a step of time, and `totp_step` is the newest one of which a code was used. `recovery_codes` are the digests of
    those that were not used. `spent` are the challenges of authenticators that were answered within their lifetime.

    The passkeys are never changed in place. While there is no factor, there are no recovery codes either.
    """

    resource_type: ClassVar[str] = "second_factors"
    announces: ClassVar[Mapping[str, EventType]] = declared(
        EventType(
            "account.totp_begun", "account", "An authenticator app got a secret; its codes are not asked for yet."
        ),
        EventType("account.totp_reencrypted", "account", "The same secret of an app is kept under a newer key."),
        EventType(
            "account.factor_added", "account", "Signing in asks for a second factor, or takes one more.", _FACTOR
        ),
        EventType("account.factor_used", "account", "A second factor was proven.", _FACTOR),
        EventType("account.factor_removed", "account", "A second factor is taken no more.", _FACTOR),
        EventType("account.passkey_renamed", "account", "A passkey has another name.", {"passkey_id": "Its id."}),
        EventType("account.recovery_codes_made", "account", "There are new recovery codes, and no old ones any more."),
        EventType(
            "account.recovery_code_used",
            "account",
            "A recovery code stood in for a second factor.",
            {"left": "How many are left."},
        ),
    )

    account_id: AccountId
    totp_secret: bytes | None = None
    totp_at: datetime | None = None
    totp_step: int = 0
    recovery_codes: Sequence[bytes] = field(default_factory=list)
    spent: Sequence[str] = field(default_factory=list)
    passkeys: Mapping[PasskeyId, Passkey] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether signing in with the password needs one of them."""
        return self.totp_at is not None or bool(self.passkeys)

    @property
    def kinds(self) -> Sequence[Factor]:
        """What can be proven now."""
        found = [Factor.TOTP] * (self.totp_at is not None) + [Factor.PASSKEY] * bool(self.passkeys)
        return found + [Factor.RECOVERY_CODE] * bool(self.recovery_codes)

    def begin_totp(self, secret: bytes, at: datetime) -> None:
        """Keep the encrypted secret of an app, in place of one that was never confirmed. FactorOn if one was."""
        if self.totp_at is not None:
            raise FactorOn("Codes of an authenticator app are asked for already; remove it first.")
        self.totp_secret, self.totp_step = secret, 0
        self._tell("account.totp_begun", self.account_id, at)

    def reencrypt_totp(self, secret: bytes, at: datetime) -> None:
        """Keep the same secret, encrypted under today's key."""
        self.totp_secret = secret
        self._tell("account.totp_reencrypted", None, at)

    def confirm_totp(self, step: int | None, recovery_codes: Sequence[bytes], at: datetime) -> None:
        """Ask for codes from now on. `step` is that of the code which proves that the app has the secret."""
        if self.totp_at is not None:
            raise FactorOn("Codes of an authenticator app are asked for already.")
        self._spend_step(step)
        self.totp_at = at
        self._tell("account.factor_added", self.account_id, at, {"factor": Factor.TOTP})
        self.renew_recovery_codes(recovery_codes, at)

    def prove_totp(self, step: int | None, at: datetime) -> None:
        """Use the code of this step of time, which no other use gets. WrongCode if it was used, or there is none."""
        if self.totp_at is None:
            raise WrongCode("This code is not valid.", pointer="/code")
        self._spend_step(step)
        self._tell("account.factor_used", self.account_id, at, {"factor": Factor.TOTP})

    def require_totp(self) -> None:
        """FactorOff unless codes are asked for."""
        if self.totp_at is None:
            raise FactorOff("There is no authenticator app whose codes are asked for.")

    def remove_totp(self, by: AccountId | None, at: datetime) -> None:
        """Ask for no more codes. FactorOff if none are asked for."""
        self.require_totp()
        self.totp_secret = self.totp_at = None
        self._tell("account.factor_removed", by, at, {"factor": Factor.TOTP})
        self._clear_codes()

    def renew_recovery_codes(self, digests: Sequence[bytes], at: datetime) -> None:
        """Replace the recovery codes. FactorOff without a factor, in whose place they could be used."""
        if not self.is_on:
            raise FactorOff("Recovery codes stand in for a second factor, and there is none.")
        self.recovery_codes = list(digests)
        self._tell("account.recovery_codes_made", self.account_id, at)

    def prove_recovery_code(self, digest: bytes, at: datetime) -> None:
        """Use a recovery code, which is gone then. WrongCode if there is none with this digest."""
        left = [each for each in self.recovery_codes if each != digest]
        if len(left) == len(self.recovery_codes):
            raise WrongCode("This recovery code is not valid, or was used.", pointer="/recovery_code")
        self.recovery_codes = left
        self._tell("account.recovery_code_used", self.account_id, at, {"left": len(left)})

    def add_passkey(self, passkey: Passkey, challenge: str, recovery_codes: Sequence[bytes], at: datetime) -> bool:
        """Take a passkey that answered this challenge. Returns whether the recovery codes were, as there were none.

        QuotaExceeded beyond 20, FactorOn if this one is there.
        """
        if any(each.credential_id == passkey.credential_id for each in self.passkeys.values()):
            raise FactorOn("This passkey is there already.")
        if len(self.passkeys) >= PASSKEYS_MAX:
            raise QuotaExceeded("passkeys", PASSKEYS_MAX)
        self._spend(challenge, at)
        if not self.is_on:  # a secret that took no factor is worth nothing once there is one
            self.totp_secret = None
        named = replace(passkey, name=_passkey_name(passkey.name))
        self.passkeys = {**self.passkeys, passkey.id: named}
        self._tell("account.factor_added", self.account_id, at, _of(passkey.id))
        if self.recovery_codes:
            return False
        self.renew_recovery_codes(recovery_codes, at)
        return True

    def passkey_of(self, credential_id: bytes) -> Passkey:
        """The passkey with this id of its authenticator; PasskeyRefused if there is none."""
        for passkey in self.passkeys.values():
            if passkey.credential_id == credential_id:
                return passkey
        raise PasskeyRefused("This passkey is none of the account's.")

    def prove_passkey(self, id: PasskeyId, sign_count: int, challenge: str, at: datetime) -> None:
        """Use a passkey that answered this challenge. PasskeyRefused if its count went back: somebody has a copy."""
        passkey = self.passkey(id)
        # First, as an answer that comes twice has the same count, too.
        self._spend(challenge, at)
        if (sign_count or passkey.sign_count) and sign_count <= passkey.sign_count:
            raise PasskeyRefused("This passkey counts backwards, so there is a copy of it.")
        self.passkeys = {**self.passkeys, id: replace(passkey, sign_count=sign_count, used_at=at)}
        self._tell("account.factor_used", self.account_id, at, _of(id))

    def rename_passkey(self, id: PasskeyId, name: str, at: datetime) -> None:
        passkey, new = self.passkey(id), _passkey_name(name)
        if new != passkey.name:
            self.passkeys = {**self.passkeys, id: replace(passkey, name=new)}
            self._tell("account.passkey_renamed", self.account_id, at, {"passkey_id": id})

    def remove_passkey(self, id: PasskeyId, by: AccountId | None, at: datetime) -> None:
        self.passkey(id)
        self.passkeys = {other: passkey for other, passkey in self.passkeys.items() if other != id}
        self._tell("account.factor_removed", by, at, _of(id))
        self._clear_codes()

    def passkey(self, id: PasskeyId) -> Passkey:
        """The passkey; NotFound if there is none."""
        if id not in self.passkeys:
            raise NotFound
        return self.passkeys[id]

    def reset(self, at: datetime) -> None:
        """Remove every factor, as an operator. Without one it does nothing."""
        for id in list(self.passkeys):
            self.remove_passkey(id, None, at)
        if self.totp_at is not None:
            self.remove_totp(None, at)

    def _spend_step(self, step: int | None) -> None:
        if step is None or step <= self.totp_step:
            raise WrongCode("This code is not valid, or was used.", pointer="/code")
        self.totp_step = step

    def _spend(self, challenge: str, at: datetime) -> None:
        if is_over(challenge, at) or challenge in self.spent:
            raise PasskeyRefused("This challenge is over, or was answered before.")
        fresh = [each for each in self.spent if not is_over(each, at)]
        if len(fresh) >= SPENT_MAX:
            wait = CHALLENGE_LIFETIME.total_seconds()
            raise Exhausted("Passkeys of this account are used too often.", retry_after_seconds=wait)
        self.spent = [*fresh, challenge]

    def _clear_codes(self) -> None:
        if not self.is_on:
            self.recovery_codes = []

    def _tell(self, type: str, by: AccountId | None, at: datetime, data: Mapping[str, object] | None = None) -> None:
        self._announce(type, account_stream(self.account_id), self.account_id, at, by, None, data)


def _of(passkey: PasskeyId) -> Mapping[str, object]:
    return {"factor": Factor.PASSKEY, "passkey_id": passkey}


def _passkey_name(name: str) -> str:
    return normal_name(name, pointer="/name", longest=PASSKEY_NAME_MAX, shortest=1)
