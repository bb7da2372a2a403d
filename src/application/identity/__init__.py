"""The use cases of one's own account: sign up, in and out; profile, sessions, address, password and second factors."""

from application.identity.addresses import Addresses
from application.identity.deletion import Deletion, erasing
from application.identity.exported import happened, profile
from application.identity.factor_messages import (
    Assertion,
    AssertionResponse,
    Attestation,
    AttestationResponse,
    CodeProof,
    FactorAddition,
    FactorChange,
    FactorsView,
    NewPasskey,
    PasskeyAdded,
    PasskeyPatch,
    PasskeyQuestion,
    PasskeySignIn,
    PasskeyView,
    RecoveryCodes,
    SecondStep,
    TotpSecret,
)
from application.identity.factors import Factors
from application.identity.forgotten import ForgottenPasswords
from application.identity.guests import Guests
from application.identity.links import Links
from application.identity.measures import HAPPENINGS, POLICIES
from application.identity.messages import (
    AddressNamed,
    Credentials,
    DeletionRequest,
    Device,
    EmailChange,
    EmailProof,
    EmailVerification,
    PasswordChange,
    PasswordReset,
    ProfilePatch,
    Registration,
    SignedIn,
)
from application.identity.notices import NOTICES
from application.identity.passkeys import Passkeys
from application.identity.proofs import Proofs
from application.identity.requests import AddressRequests
from application.identity.second_step import MfaRequired, MfaTokenInvalid, SecondSteps
from application.identity.signing_in import SigningIn
from application.identity.use_cases import Identity

__all__ = [
    "HAPPENINGS",
    "NOTICES",
    "POLICIES",
    "AddressNamed",
    "AddressRequests",
    "Addresses",
    "Assertion",
    "AssertionResponse",
    "Attestation",
    "AttestationResponse",
    "CodeProof",
    "Credentials",
    "Deletion",
    "DeletionRequest",
    "Device",
    "EmailChange",
    "EmailProof",
    "EmailVerification",
    "FactorAddition",
    "FactorChange",
    "Factors",
    "FactorsView",
    "ForgottenPasswords",
    "Guests",
    "Identity",
    "Links",
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
    "PasswordReset",
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
    "happened",
    "profile",
]
