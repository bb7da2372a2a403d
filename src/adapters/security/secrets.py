"""Secrets that are kept as digests only, and signatures."""

import base64
import hashlib
import hmac
import secrets

from application.ports.secrets import Secrets

_BYTES = 32
_SIGNATURE_CHARACTERS = 22


class HmacSecrets(Secrets):
    """Secrets of 256 random bits, digested with SHA-256, and signatures with HMAC-SHA256.

    A fast digest is enough: there is nothing to guess in 256 random bits. What is `signed` ends in 128 bits of a
    signature with a key that is derived from `installation_secret`; those of a replaced secret are no longer known.
    """

    def __init__(self, installation_secret: str) -> None:
        self._key = hmac.digest(installation_secret.encode(), b"signalbox signed secrets v1", "sha256")

    def new(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def digest(self, secret: str) -> bytes:
        return hashlib.sha256(_bytes(secret)).digest()

    def sign(self, key: bytes, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(key, _bytes(text), "sha256")).rstrip(b"=").decode()

    def signed(self, secret: str) -> str:
        return secret + self._signature(secret)

    def is_signed(self, secret: str) -> bool:
        return hmac.compare_digest(
            _bytes(self._signature(secret[:-_SIGNATURE_CHARACTERS])), _bytes(secret[-_SIGNATURE_CHARACTERS:])
        )

    def _signature(self, secret: str) -> str:
        return self.sign(self._key, secret)[:_SIGNATURE_CHARACTERS]


def _bytes(secret: str) -> bytes:
    # Total, because what is compared here comes from outside and may hold anything a Python string can.
    return secret.encode("utf-8", "surrogatepass")
