"""What is asked of whoever remembers the answers to requests that carry an idempotency key."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from domain.errors import Conflict, Invalid
from domain.ids import AccountId


class Answer(Struct, frozen=True):
    """A response as it went out: status, headers that belong to it, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class KeyReused(Invalid):
    """The key was used before, with another request."""

    code = "idempotency_key_reused"


class StillRunning(Conflict):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"


class Attempt(Protocol):
    """One request that carries a key: either answered before, or to be answered now."""

    replay: Answer | None

    def record(self, answer: Answer) -> None:
        """Keep this answer with the effect; without it, leaving the block undoes every effect."""
        ...


class Idempotency(Protocol):
    """Makes the effects of a request and the memory of its answer one transaction."""

    def attempt(self, account: AccountId, key: str, fingerprint: bytes) -> AbstractAsyncContextManager[Attempt]:
        """Units of work that run inside the block are applied together with the recorded answer on leaving it.

        `replay` is the answer that this account recorded under this key in the last 24 hours. The same key with
        another fingerprint is KeyReused. While another request with the key runs, this one waits a moment for its
        answer; if there is none yet, StillRunning. Queries inside the block see what is committed, and work that
        outlives it is applied for itself. OutcomeUnknown on leaving it means that both were applied or neither,
        Interrupted that neither was and that the whole may be run again.
        """
        ...

    async def forget_old(self, most: int) -> int:
        """Drop answers that are older than 24 hours, at most so many at a time; how many it were.

        Several may do this at once: each drops others, and none waits.
        """
        ...
