"""Secrets that are handed out once and kept as digests only."""

from typing import Protocol


class Secrets(Protocol):
    """Random secrets of which only a digest is kept, the chain of refresh tokens, and what shows who made a secret."""

    def new(self) -> str:
        """A URL-safe secret with 256 random bits."""
        ...

    def digest(self, secret: str) -> bytes:
        """What is stored instead of the secret; it cannot be turned back."""
        ...

    def signed(self, secret: str) -> str:
        """The secret, made to show that it is from this installation; it is still URL-safe and a secret."""
        ...

    def is_signed(self, secret: str) -> bool:
        """Whether `signed` made it with this installation's key; what somebody made up is found out without a store."""
        ...

    def successor(self, secret: str) -> str:
        """The next secret of the chain: the same for the same input, unforeseeable without this installation's key."""
        ...
