"""Texts that this installation recognises for five minutes without keeping anything."""

from application.ports.secrets import Secrets
from application.ports.system import Clock
from domain.identity import CHALLENGE_LIFETIME, ending, is_over

_NONCE_CHARACTERS = 22


class Stamps:
    """Issues signed texts, no two of them alike, and reads them until their time is over.

    A stamp is good for one purpose, and can be read any number of times. A caller that takes it only once has to
    remember it until `is_over`.
    """

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def issue(self, purpose: bytes, content: str) -> str:
        """A stamp with this content, in which there is no full stop, and which everybody can read."""
        nonce = self._secrets.new()[:_NONCE_CHARACTERS]
        text = ending(self._clock.now() + CHALLENGE_LIFETIME, f"{content}.{nonce}")
        return self._secrets.signed(purpose, text)

    def read(self, purpose: bytes, stamp: str) -> str | None:
        """The content of a stamp that was issued for this purpose and is not over; None for anything else."""
        if not self._secrets.is_signed(purpose, stamp) or is_over(stamp, self._clock.now()):
            return None
        return stamp.split(".")[1]
