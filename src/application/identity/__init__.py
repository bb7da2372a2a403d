"""The use cases of one's own account: register, sign in and out, and manage profile, sessions and password."""

from application.identity.guests import Guests
from application.identity.measures import HAPPENINGS, POLICIES
from application.identity.messages import Credentials, Device, PasswordChange, ProfilePatch, Registration, SignedIn
from application.identity.signing_in import SigningIn
from application.identity.use_cases import Identity

__all__ = [
    "HAPPENINGS",
    "POLICIES",
    "Credentials",
    "Device",
    "Guests",
    "Identity",
    "PasswordChange",
    "ProfilePatch",
    "Registration",
    "SignedIn",
    "SigningIn",
]
