"""Secrets that are handed out once and kept as digests only."""

from typing import Protocol


class Secrets(Protocol):
    """Random secrets of which only a digest is kept, and the chain of refresh tokens."""

    def new(self) -> str:
        """A URL-safe secret with 256 random bits."""
        ...

    def digest(self, secret: str) -> bytes:
        """What is stored instead of the secret; it cannot be turned back."""
        ...

    def successor(self, secret: str) -> str:
        """The next secret of the chain: the same for the same input, unforeseeable without this installation's key."""
        ...
