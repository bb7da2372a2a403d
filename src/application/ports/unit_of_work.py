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

    Reads through `work` see what is committed at that moment. Adding and saving only note the change; leaving the
    block applies all of it atomically, together with the events that the aggregates announced, each at the next
    offset of its stream. Raising inside the block applies nothing.

    What was read to be written is verified on leaving: if a saved aggregate, or a membership that was asked for, has
    changed since, nothing is applied and `Stale` is raised. Nothing is locked while the block runs. A unit that
    notes no change writes nothing. Constraint violations (a taken e-mail address) are raised on leaving, as the
    domain error of that constraint; so is ChangeTooLarge, if the events have more than 4 MiB together. If the store
    does not say whether it applied the unit, that is OutcomeUnknown.
    """

    def __call__(self) -> AbstractAsyncContextManager[W_co]: ...


class Stale(Exception):
    """What a unit of work was built on has changed before it could be applied; run again, it may well succeed."""


class Interrupted(Unavailable):
    """The store was lost on the way before anything was applied: run again, it may well succeed."""

    def __init__(self) -> None:
        super().__init__("The store does not answer.")


class OutcomeUnknown(Unavailable):
    """The store was told to commit and did not say whether it did, so it may never be run again by itself.

    Whoever repeats it under the same idempotency key gets the true answer.
    """

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "It is not known whether this was done. Repeat it with the same Idempotency-Key to learn that; "
            "if it had none, look first."
        )


def retried(method: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run a use case again, from its start, when its unit of work was `Stale`.

    Every round one of the competitors wins, so with full-jitter pauses a dozen attempts outlast any plausible crowd;
    after that the caller is told to come back.
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
    """Run again, once and from its start, what was `Interrupted`."""

    @wraps(method)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(*args, **kwargs)
        except Interrupted:
            return await method(*args, **kwargs)

    return run
