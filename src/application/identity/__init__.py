"""The use cases of one's own account: register, sign in and out, and manage profile, sessions, password and factors."""

from application.identity.deletion import Deletion, erasing
from application.identity.factor_messages import (
    Assertion,
    AssertionResponse,
    Attestation,
    AttestationResponse,
    CodeProof,
    FactorRemoval,
    FactorsView,
    NewPasskey,
    PasskeyAdded,
    PasskeyPatch,
    PasskeyQuestion,
    PasskeySignIn,
    PasskeyView,
    PasswordOrCode,
    PasswordProof,
    RecoveryCodes,
    SecondStep,
    TotpSecret,
)
from application.identity.factors import Factors
from application.identity.guests import Guests
from application.identity.measures import HAPPENINGS, POLICIES
from application.identity.messages import (
    Credentials,
    DeletionRequest,
    Device,
    PasswordChange,
    ProfilePatch,
    Registration,
    SignedIn,
)
from application.identity.notices import NOTICES
from application.identity.passkeys import Passkeys
from application.identity.proofs import Proofs
from application.identity.second_step import MfaRequired, MfaTokenInvalid, SecondSteps
from application.identity.signing_in import SigningIn
from application.identity.use_cases import Identity

__all__ = [
    "HAPPENINGS",
    "NOTICES",
    "POLICIES",
    "Assertion",
    "AssertionResponse",
    "Attestation",
    "AttestationResponse",
    "CodeProof",
    "Credentials",
    "Deletion",
    "DeletionRequest",
    "Device",
    "FactorRemoval",
    "Factors",
    "FactorsView",
    "Guests",
    "Identity",
    "MfaRequired",
    "MfaTokenInvalid",
    "NewPasskey",
    "PasskeyAdded",
    "PasskeyPatch",
    "PasskeyQuestion",
    "PasskeySignIn",
    "PasskeyView",
    "Passkeys",
    "PasswordChange",
    "PasswordOrCode",
    "PasswordProof",
    "ProfilePatch",
    "Proofs",
    "RecoveryCodes",
    "Registration",
    "SecondStep",
    "SecondSteps",
    "SignedIn",
    "SigningIn",
    "TotpSecret",
    "erasing",
]
