"""Secrets that are kept as digests only, and the chain in which one refresh token leads to the next."""

import base64
import hashlib
import hmac
import secrets

from application.ports.secrets import Secrets

_BYTES = 32


class HmacSecrets(Secrets):
    """Secrets of 256 random bits, digested with SHA-256, chained with HMAC-SHA256.

    A fast digest is enough: there is nothing to guess in 256 random bits. The key of the chain is derived from
    `installation_secret`; when that is replaced, the newest token of every session stays good, but the predecessors
    of the tokens that were handed out before are no longer recognised as such.
    """

    def __init__(self, installation_secret: str) -> None:
        self._key = hmac.digest(installation_secret.encode(), b"signalbox refresh token chain v1", "sha256")

    def new(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def digest(self, secret: str) -> bytes:
        return hashlib.sha256(_bytes(secret)).digest()

    def successor(self, secret: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._key, _bytes(secret), "sha256")).rstrip(b"=").decode()


def _bytes(secret: str) -> bytes:
    # Total, because what is compared here comes from outside and may hold anything a Python string can.
    return secret.encode("utf-8", "surrogatepass")
