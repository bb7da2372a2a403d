"""Translates a failure of PostgreSQL for use cases, and tells whether a commit may have happened."""

import asyncio
from collections.abc import Callable

import asyncpg

from application.ports.unit_of_work import Interrupted, Stale
from domain.errors import DomainError, Invalid, QuotaExceeded, Unavailable

STALE_SQLSTATE = "SB001"  # raised by verify(), see the migrations
QUOTA_SQLSTATE = "SB002"  # raised by within(), with the kind and its limit

REFUSALS: dict[str, Callable[[], Exception]] = {}
"""The error of a violated constraint, by the constraint's name. Each context adds its own beside its statements."""


def translated(error: Exception) -> Exception:
    """The error that a use case gets for a failure of PostgreSQL; the same error if it is a mistake in this code."""
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
        # The domain let a value pass that PostgreSQL cannot store: a rule is missing, but the input is at fault.
        case asyncpg.DataError() | UnicodeEncodeError():
            return Invalid("This contains a value that cannot be stored.")
        case asyncpg.ConnectionDoesNotExistError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Interrupted()
        # A migration changed the result type of a statement. Outside of a transaction asyncpg tries again by itself.
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
    """Whether a call failed because its connection was closed before or during the call."""
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
    """Whether it is certain that a call had no effect: PostgreSQL answered with an error, or never got the call.

    Otherwise the call may have had its effect. The error with which PostgreSQL closes a connection is an answer too,
    except after a crash of another server process: then PostgreSQL closes all connections, even amid a commit.
    """
    if isinstance(error, asyncpg.PostgresConnectionError) and isinstance(error.__cause__, asyncpg.PostgresError):
        error = error.__cause__
    if isinstance(error, asyncpg.InternalClientError):
        # The error had arrived while the connection was not closed yet, so the call was not sent.
        return str(error).startswith("cannot switch to state")
    return not isinstance(
        error,
        asyncpg.PostgresConnectionError | asyncpg.CrashShutdownError | OSError | TimeoutError | asyncio.CancelledError,
    )
