"""Secrets that are kept as digests only, and the chain in which one refresh token leads to the next."""

import base64
import hashlib
import hmac
import secrets

from application.ports.secrets import Secrets

_BYTES = 32
_SIGNATURE_CHARACTERS = 22


class HmacSecrets(Secrets):
    """Secrets of 256 random bits, digested with SHA-256, chained with HMAC-SHA256.

    A fast digest is enough: there is nothing to guess in 256 random bits. The key of the chain is derived from
    `installation_secret`; when that is replaced, the newest token of every session stays good, but the predecessors
    of the tokens that were handed out before are no longer recognised as such. A signature has 128 bits of an
    HMAC-SHA256 with another derived key; those of a replaced secret are no longer known.
    """

    def __init__(self, installation_secret: str) -> None:
        self._key = hmac.digest(installation_secret.encode(), b"signalbox refresh token chain v1", "sha256")
        self._signing_key = hmac.digest(installation_secret.encode(), b"signalbox signed secrets v1", "sha256")

    def new(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def digest(self, secret: str) -> bytes:
        return hashlib.sha256(_bytes(secret)).digest()

    def signed(self, secret: str) -> str:
        return secret + self._signature(secret)

    def is_signed(self, secret: str) -> bool:
        return hmac.compare_digest(
            _bytes(self._signature(secret[:-_SIGNATURE_CHARACTERS])), _bytes(secret[-_SIGNATURE_CHARACTERS:])
        )

    def successor(self, secret: str) -> str:
        return _text(hmac.digest(self._key, _bytes(secret), "sha256"))

    def _signature(self, secret: str) -> str:
        return _text(hmac.digest(self._signing_key, _bytes(secret), "sha256"))[:_SIGNATURE_CHARACTERS]


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _bytes(secret: str) -> bytes:
    # Total, because what is compared here comes from outside and may hold anything a Python string can.
    return secret.encode("utf-8", "surrogatepass")
