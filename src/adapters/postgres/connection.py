"""One connection to PostgreSQL: how it is set up, and how it is closed."""

import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

import asyncpg

CLOSE_SECONDS = 2.0

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy

# Shorter for a statement than `COMMAND_SECONDS` of the pool, so that it ends on the server before its caller gives up.
SERVER_SETTINGS = {
    "application_name": "signalbox",
    "jit": "off",
    # A statement gets one processor, so that the others are free for other statements.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
}
# A server that vanishes without closing is noticed after about 20 s of silence, or after 15 s in which it acknowledged
# nothing. Without these options, which asyncpg does not set, the kernel would keep the connection for a quarter of an
# hour.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}


async def prepare(connection: asyncpg.Connection) -> None:
    """Set up a new connection."""
    _keep_alive(connection._transport.get_extra_info("socket"))  # noqa: SLF001  # asyncpg has no other way to it
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="tuple", encoder=_microseconds, decoder=_instant
    )


def is_usable(connection: Connection) -> bool:
    """Whether the connection is open and acquired from the pool."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back, for example because the server closed it
        return False


def abandon(connection: Connection) -> None:
    """Close a connection at once. No statement may be running on it."""
    if is_usable(connection):
        connection.terminate()


async def discard(connection: Connection) -> None:
    """Close a connection on which a statement was interrupted, within 2 s."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        await connection.close(timeout=CLOSE_SECONDS)


def _keep_alive(peer: socket.socket) -> None:
    if peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS does not have all of them
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts microseconds from here
_INFINITY = 2**63 - 1
_LAST = datetime.max.replace(tzinfo=UTC)  # stands for infinity, as it does for asyncpg


# A page of 50 tasks has up to 250 instants. To make an instant costs more than the rest of its row, and most recur.
@lru_cache(maxsize=16_384)
def _instant(value: tuple[int]) -> datetime:
    return _LAST if value[0] == _INFINITY else _EPOCH + timedelta(microseconds=value[0])


def _microseconds(instant: datetime) -> tuple[int]:
    if instant == _LAST:
        return (_INFINITY,)
    since = instant - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds,)
