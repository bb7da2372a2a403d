"""The unit of work: everything that one use case reads and changes, applied as a whole or not at all."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from domain.errors import Unavailable

W_co = TypeVar("W_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")

_ATTEMPTS = 12
_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.2


class UnitOfWork(Protocol[W_co]):
    """`async with self._work() as work:` is one unit.

    Reads through `work` see the data that is committed at that moment. Adding and saving only note a change. Leaving
    the block applies all changes atomically, together with the events that the aggregates announced, each at the next
    offset of its stream. If the block raises, nothing is applied.

    Leaving verifies what the changes were built on. If a saved aggregate, or a membership that was asked for, has
    changed since it was read, nothing is applied and `Stale` is raised. Nothing is locked while the block runs. A unit
    that notes no change writes nothing.

    Leaving raises the violation of a constraint (a taken e-mail address) as the domain error of that constraint, and
    ChangeTooLarge if the events have more than 4 MiB together. It raises OutcomeUnknown if the store does not say
    whether it applied the unit.
    """

    def __call__(self) -> AbstractAsyncContextManager[W_co]: ...


class Stale(Exception):
    """The data that a unit of work was built on changed before it was applied. A second run may succeed."""


class Interrupted(Unavailable):
    """The connection to the store was lost before anything was applied. A second run may succeed."""

    def __init__(self) -> None:
        super().__init__("The store does not answer.")


class OutcomeUnknown(Unavailable):
    """The store was told to commit and did not say whether it did, so the unit is never run again automatically.

    A caller who repeats the request with the same idempotency key gets the true answer.
    """

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "It is not known whether this was done. Repeat it with the same Idempotency-Key to learn that; "
            "if it had none, look first."
        )


def retried(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run a use case again, from its start, when its unit of work was `Stale`.

    One of the competitors wins every round, so a dozen attempts with full-jitter pauses are enough for any plausible
    crowd. After that the caller is told to try again later.
    """

    @wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_ATTEMPTS):
            try:
                return await method(*args, **kwargs)
            except Stale:
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, not a secret
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        raise Unavailable("Too many others are changing this right now.")

    return run


def uninterrupted(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run a use case once more, from its start, when it was `Interrupted`."""

    @wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except Interrupted:
            return await method(*args, **kwargs)

    return run
