"""What a failure of PostgreSQL means to a use case, and to whoever wanted to commit something."""

import asyncio
from collections.abc import Callable

import asyncpg

from application.ports.unit_of_work import Interrupted, Stale
from domain.errors import DomainError, Invalid, QuotaExceeded, Unavailable

STALE_SQLSTATE = "SB001"  # raised by verify(), see the migrations
QUOTA_SQLSTATE = "SB002"  # raised by within(), with the kind and its limit

REFUSALS: dict[str, Callable[[], Exception]] = {}
"""What it means that a constraint is violated, by its name. Each context adds its own beside its statements."""


def translated(error: Exception) -> Exception:
    """What this failure of PostgreSQL means to a use case; the same error if it means a mistake of ours."""
    match error:
        case DomainError() | Stale():
            return error
        case asyncpg.PostgresError(sqlstate=sqlstate) if sqlstate == STALE_SQLSTATE:
            return Stale()
        case asyncpg.PostgresError(sqlstate=sqlstate, message=str(kind), detail=str(limit)) if (
            sqlstate == QUOTA_SQLSTATE
        ):
            return QuotaExceeded(kind, int(limit))
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Stale()
        case asyncpg.IntegrityConstraintViolationError(constraint_name=str(name)) if name in REFUSALS:
            return REFUSALS[name]()
        # What the domain let through and PostgreSQL cannot keep: a rule is missing, but the caller's input is at fault.
        case asyncpg.DataError() | UnicodeEncodeError():
            return Invalid("This contains a value that cannot be stored.")
        case asyncpg.ConnectionDoesNotExistError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Interrupted()
        # A migration changed what a statement answers: outside of a transaction asyncpg asks again by itself.
        case asyncpg.InvalidCachedStatementError() | asyncpg.InFailedSQLTransactionError():
            return Interrupted()
        case asyncpg.PostgresConnectionError() | OSError() | TimeoutError():
            return Unavailable("The store does not answer.")
        case asyncpg.OperatorInterventionError() | asyncpg.InsufficientResourcesError():
            return Unavailable("The store cannot take this now.")
        case asyncpg.LockNotAvailableError():
            return Unavailable("Too many others are changing this right now.")
        case _:
            return error


def is_hung_up(error: BaseException) -> bool:
    """Whether a call failed because its connection had ended, or ended under it."""
    return isinstance(
        error,
        asyncpg.PostgresConnectionError
        | asyncpg.AdminShutdownError
        | asyncpg.CrashShutdownError
        | asyncpg.InternalClientError
        | asyncpg.InterfaceError
        | ConnectionError,
    )


def is_answered(error: BaseException) -> bool:
    """Whether PostgreSQL said itself that it did not do what it was asked, or never was asked.

    Otherwise it may have done it. The last word on a connection that it ends is such an answer too, unless a crash of
    another process made it end all of them, wherever they were.
    """
    if isinstance(error, asyncpg.PostgresConnectionError) and isinstance(error.__cause__, asyncpg.PostgresError):
        error = error.__cause__
    if isinstance(error, asyncpg.InternalClientError):
        # The last word was heard and the connection not closed yet, so nothing was sent on it any more.
        return str(error).startswith("cannot switch to state")
    return not isinstance(
        error,
        asyncpg.PostgresConnectionError | asyncpg.CrashShutdownError | OSError | TimeoutError | asyncio.CancelledError,
    )
