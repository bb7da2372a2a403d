"""Presence in a single process."""

from collections import Counter
from collections.abc import Sequence
from time import monotonic

from application.ports.presence import Attendance, Presence, Present
from domain.ids import AccountId


class MemoryPresence(Presence):
    """The attendances of this process. They end with it, so no lease is renewed and nothing is reaped.

    It is complete from the start, or once those could come back who were there before: after `settled_seconds`.
    """

    def __init__(self, settled_seconds: float = 0.0) -> None:
        self._settled_at = monotonic() + settled_seconds
        self._accounts: dict[tuple[str, str], AccountId] = {}
        """The account of each channel and connection."""
        self._connections: dict[str, Counter[AccountId]] = {}
        """By channel, how many connections each account has there; at least 1."""
        self._version = 0

    async def enter(self, channel: str, account: AccountId, connection: str) -> Attendance:
        connections = self._connections.setdefault(channel, Counter())
        if (channel, connection) not in self._accounts:
            self._accounts[channel, connection] = account
            connections[account] += 1
            self._version += 1
        return Attendance(channel, account, connections[account], self._version)

    async def leave(self, channel: str, connection: str) -> Attendance | None:
        account = self._accounts.pop((channel, connection), None)
        if account is None:
            return None
        connections = self._connections[channel]
        connections[account] -= 1
        left = connections[account]
        if not left:
            del connections[account]
        if not connections:
            del self._connections[channel]
        self._version += 1
        return Attendance(channel, account, left, self._version)

    async def present(self, channel: str) -> Present:
        accounts = list(self._connections.get(channel, ()))
        return Present(self._version, accounts, monotonic() >= self._settled_at)

    async def refresh(self) -> Sequence[Attendance]:
        return ()

    async def reap(self) -> Sequence[Attendance]:
        return ()
