"""The port to the remembered answers of requests that carry an idempotency key."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from domain.errors import Conflict, Invalid
from domain.ids import AccountId

ANSWERS_KEPT = timedelta(hours=24)


class Answer(Struct, frozen=True):
    """A response as it was sent: its status, its own headers and its body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class KeyReused(Invalid):
    """The key was used before with a different request."""

    code = "idempotency_key_reused"


class StillRunning(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"


class Attempt(Protocol):
    """One request that carries a key. It was answered before, or is to be answered now."""

    replay: Answer | None

    def record(self, answer: Answer) -> None:
        """Store this answer together with the effects. Leaving the block without an answer undoes every effect."""
        ...


class Idempotency(Protocol):
    """Applies the effects of a request and stores its answer in one transaction."""

    def attempt(self, account: AccountId, key: str, fingerprint: bytes) -> AbstractAsyncContextManager[Attempt]:
        """A block in which units of work are applied on leaving it, together with the recorded answer.

        `replay` is the answer that this account recorded under this key in the last 24 hours. The same key with a
        different fingerprint is KeyReused. While another request with the key runs, this one waits a moment for its
        answer; if there is none yet, StillRunning. Queries inside the block see only committed data. Work that outlives
        the block is applied separately. OutcomeUnknown on leaving means that effects and answer were both applied or
        neither was. Interrupted means that neither was applied, and that the whole block may run again.
        """
        ...

    async def forget_old(self, most: int) -> int:
        """Drop at most `most` answers that are older than 24 hours, and return the number dropped.

        Several processes may call this at once: each drops different answers, and none waits.
        """
        ...
