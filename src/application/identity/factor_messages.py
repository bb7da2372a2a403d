"""The messages of second factors: the bodies of requests and answers about codes, recovery codes and passkeys."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct, field

from application.identity.messages import Password
from application.typed import typed
from domain.identity import PASSKEY_NAME_MAX

# Spaces are fine wherever somebody types them; apps show "492 039".
OneTimeCode = Annotated[
    str,
    Meta(
        min_length=6,
        max_length=16,
        pattern=r"^\s*([0-9]\s*){6}$",
        description="Six digits of an authenticator app.",
        examples=["492039"],
    ),
]
RecoveryCode = Annotated[
    str,
    Meta(
        min_length=16,
        max_length=40,
        pattern=r"^[\s-]*([A-Za-z2-7][\s-]*){16}$",
        description="One of ten, used once.",
        examples=["7gkx-2m4q-5hvd-nw3p"],
    ),
]
PasskeyName = Annotated[str, typed(PASSKEY_NAME_MAX, examples=["Laptop"])]
# Longer than any that an authenticator makes.
_Encoded = Annotated[str, Meta(max_length=8_192, description="Base64url, without padding.")]
_Attestation = Annotated[str, Meta(max_length=65_536, description="Base64url, without padding.")]


class AttestationResponse(Struct, frozen=True):
    """What an authenticator says of a new passkey."""

    client_data: _Encoded = field(name="clientDataJSON")
    attestation: _Attestation = field(name="attestationObject")


class Attestation(Struct, frozen=True):
    """A new passkey, as `toJSON()` of a browser's `PublicKeyCredential` shows it. No other fields are needed."""

    response: AttestationResponse


class AssertionResponse(Struct, frozen=True):
    """What an authenticator says of a passkey that it proves."""

    client_data: _Encoded = field(name="clientDataJSON")
    authenticator_data: _Encoded = field(name="authenticatorData")
    signature: _Encoded
    user_handle: _Encoded | None = field(name="userHandle", default=None)


class Assertion(Struct, frozen=True):
    """A proven passkey, as `toJSON()` of a browser's `PublicKeyCredential` shows it. No other fields are needed."""

    id: _Encoded
    response: AssertionResponse


class CodeProof(Struct, frozen=True, forbid_unknown_fields=True):
    """A code of the authenticator app."""

    code: OneTimeCode


class AnyProof(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second factor, or none: at most one of a code, a recovery code and a passkey."""

    code: OneTimeCode | None = None
    recovery_code: RecoveryCode | None = None
    passkey: Assertion | None = None

    def __post_init__(self) -> None:
        if self._given > 1:
            raise ValueError("at most one of them may be given")

    @property
    def is_given(self) -> bool:
        """Whether there is one."""
        return self._given > 0

    @property
    def _given(self) -> int:
        return sum(each is not None for each in (self.code, self.recovery_code, self.passkey))


class Proof(AnyProof, frozen=True, kw_only=True):
    """A second factor: exactly one of a code, a recovery code and a passkey."""

    def __post_init__(self) -> None:
        if self._given != 1:
            raise ValueError("exactly one of them is needed")


class SecondStep(Proof, frozen=True, kw_only=True):
    """The second step of signing in: the `mfa_token` of the first one, and a second factor."""

    mfa_token: Annotated[str, Meta(max_length=256)]


class FactorAddition(AnyProof, frozen=True, kw_only=True):
    """What it takes to add a second factor: the present password, and any second factor if there is one already."""

    password: Password


class FactorChange(Proof, frozen=True, kw_only=True):
    """What it takes to remove a second factor, or to renew recovery codes: the present password, and any factor."""

    password: Password


class PasskeySignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey, which says by itself whose it is."""

    passkey: Assertion


class NewPasskey(Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey that was made for this account, and a name by which its owner knows it."""

    passkey: Attestation
    name: PasskeyName


class PasskeyPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Another name of a passkey."""

    name: PasskeyName


class PasskeyQuestion(Struct, frozen=True):
    """What a browser has to ask an authenticator: the `publicKey` of `navigator.credentials`, as JSON."""

    public_key: dict[str, Any]


class TotpSecret(Struct, frozen=True):
    """The secret of an authenticator app, and the same as an address that it reads from a QR code."""

    secret: str
    uri: str


class RecoveryCodes(Struct, frozen=True):
    """Codes that stand in for a second factor, each of them once. Nothing else ever shows them."""

    recovery_codes: list[str]


class PasskeyView(Struct, frozen=True):
    """A passkey of the caller."""

    id: UUID
    name: str
    created_at: datetime
    used_at: datetime | None


class PasskeyAdded(Struct, frozen=True):
    """A new passkey. If there were no recovery codes, here they are; nothing else ever shows them."""

    passkey: PasskeyView
    recovery_codes: list[str] | None


class FactorsView(Struct, frozen=True):
    """The second factors of the caller. `totp_at`: since when codes of an app are asked for.

    With `is_required` the account may do nothing without one of them.
    """

    totp_at: datetime | None
    passkeys: list[PasskeyView]
    recovery_codes_left: int
    is_required: bool
