"""The port to cryptography: secrets that are stored only as digests, signatures, and encryption."""

from typing import Protocol


class Secrets(Protocol):
    """Makes random secrets and their digests, signs texts that come back, and encrypts content that is stored."""

    def new(self) -> str:
        """A URL-safe secret with 256 random bits."""
        ...

    def digest(self, secret: str) -> bytes:
        """The digest that is stored instead of the secret. The secret cannot be computed from it."""
        ...

    def sign(self, key: bytes, text: str) -> str:
        """A URL-safe signature. It is the same for the same key and text, and cannot be guessed without the key."""
        ...

    def signed(self, purpose: bytes, secret: str) -> str:
        """The secret with a signature for this purpose. It is URL-safe and still a secret.

        Each kind of credential has a purpose of its own, so none is taken for one of another kind.
        """
        ...

    def is_signed(self, purpose: bytes, secret: str) -> bool:
        """Whether `signed` made it for this purpose, with this installation's key or a replaced one that it still has.

        This finds out a made-up secret without asking a store.
        """
        ...

    def hide(self, place: bytes, content: bytes) -> bytes:
        """The content, encrypted for this place with this installation's key. Each call gives a different result."""
        ...

    def show(self, place: bytes, hidden: bytes) -> bytes | None:
        """The content that `hide` encrypted for this place, with this installation's key or a replaced one.

        None for anything else: bytes that were changed, cut or taken from another place.
        """
        ...
