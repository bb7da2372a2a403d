"""Secrets that are handed out once and kept as digests only, signatures, and what is kept encrypted."""

from typing import Protocol


class Secrets(Protocol):
    """Random secrets of which only a digest is kept, signatures of what comes back, and encryption of what is kept."""

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

    def hide(self, place: bytes, content: bytes) -> bytes:
        """The content, encrypted for this place with this installation's key; each time it is something else."""
        ...

    def show(self, place: bytes, hidden: bytes) -> bytes | None:
        """What was hidden for this place, with this installation's key or a replaced one; None if it is no such thing.

        Whatever was changed, cut or brought from another place is no such thing.
        """
        ...
