"""Cryptography behind the ports of identity: password hashes, second factors, access tokens and secrets."""

from adapters.security.one_time_codes import TotpCodes
from adapters.security.passkeys import WebAuthn
from adapters.security.passwords import Argon2Hasher
from adapters.security.secrets import HmacSecrets
from adapters.security.tokens import JwtAccessTokens

__all__ = [
    "Argon2Hasher",
    "HmacSecrets",
    "JwtAccessTokens",
    "TotpCodes",
    "WebAuthn",
]
