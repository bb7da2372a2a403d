"""Secrets that are handed out once and kept as digests only, and signatures."""

from typing import Protocol


class Secrets(Protocol):
    """Random secrets of which only a digest is kept, and signatures of what is handed out and comes back."""

    def new(self) -> str:
        """A URL-safe secret with 256 random bits."""
        ...

    def digest(self, secret: str) -> bytes:
        """What is stored instead of the secret; it cannot be turned back."""
        ...

    def sign(self, key: bytes, text: str) -> str:
        """A URL-safe signature: the same for the same key and text, unforeseeable without the key."""
        ...

    def signed(self, secret: str) -> str:
        """The secret, made to show that it is from this installation; it is still URL-safe and a secret."""
        ...

    def is_signed(self, secret: str) -> bool:
        """Whether `signed` made it with this installation's key; what somebody made up is found out without a store."""
        ...
