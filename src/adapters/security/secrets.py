"""Makes and digests secrets, signs, and encrypts."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from application.ports.secrets import Secrets

_BYTES = 32
_SIGNATURE_CHARACTERS = 22


class HmacSecrets(Secrets):
    """Secrets of 256 random bits, digested with SHA-256, and signatures with HMAC-SHA256.

    A fast digest is enough, because 256 random bits cannot be guessed. `signed` appends 128 bits of a signature; each
    purpose has its own key, derived from `installation_secret`. `hide` makes a secret box of libsodium (XSalsa20 and
    Poly1305); each place has its own key, derived in the same way. `is_signed` and `show` also take what was made under
    one of the `previous` secrets.
    """

    def __init__(self, installation_secret: str, previous: Sequence[str] = ()) -> None:
        secrets = [secret.encode() for secret in (installation_secret, *previous)]
        self._signing = [hmac.digest(secret, b"signalbox signed secrets v1", "sha256") for secret in secrets]
        self._hiding = [hmac.digest(secret, b"signalbox hidden content v1", "sha256") for secret in secrets]

    def new(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def digest(self, secret: str) -> bytes:
        return hashlib.sha256(_bytes(secret)).digest()

    def sign(self, key: bytes, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(key, _bytes(text), "sha256")).rstrip(b"=").decode()

    def signed(self, purpose: bytes, secret: str) -> str:
        return secret + self._signature(self._signing[0], purpose, secret)

    def is_signed(self, purpose: bytes, secret: str) -> bool:
        signed, signature = secret[:-_SIGNATURE_CHARACTERS], _bytes(secret[-_SIGNATURE_CHARACTERS:])
        return any(
            hmac.compare_digest(_bytes(self._signature(key, purpose, signed)), signature) for key in self._signing
        )

    def hide(self, place: bytes, content: bytes) -> bytes:
        box, _ = _box(self._hiding[0], place)
        return bytes(box.encrypt(content))

    def show(self, place: bytes, hidden: bytes) -> bytes | None:
        for key in self._hiding:
            box, damaged = _box(key, place)
            with suppress(damaged, ValueError):
                return bytes(box.decrypt(hidden))
        return None

    def _signature(self, key: bytes, purpose: bytes, secret: str) -> str:
        return self.sign(hmac.digest(key, purpose, "sha256"), secret)[:_SIGNATURE_CHARACTERS]


def _box(key: bytes, place: bytes) -> tuple[Any, type[Exception]]:
    """The box of a place, and the exception that it raises for data that was not encrypted for that place."""
    # Imported late: it takes 3 MiB, and most processes never need it.
    from nacl.exceptions import CryptoError  # noqa: PLC0415
    from nacl.secret import SecretBox  # noqa: PLC0415

    return SecretBox(hmac.digest(key, place, "sha256")), CryptoError


def _bytes(secret: str) -> bytes:
    # `surrogatepass`, because the secret comes from outside and may be any Python string.
    return secret.encode("utf-8", "surrogatepass")
