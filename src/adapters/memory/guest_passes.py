"""Passes of guests in memory."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.identity import ACCOUNTS
from adapters.memory.unit import MemoryUnit
from application.ports.events import Entry
from application.ports.identity import ENDS_KNOWN, GuestPassRepository, GuestPassStore
from domain.identity import NAMELESS, GuestPass
from domain.ids import AccountId, GuestPassId

GUEST_PASSES: Table[GuestPassId, GuestPass] = Table("guest_passes")
# The times at which ends were written.
TOLD: Table[GuestPassId, datetime] = Table("ends_of_guest_passes")


class MemoryGuestPasses(GuestPassRepository):
    """Passes of guests inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def live(self, accounts: Collection[AccountId], now: datetime) -> Sequence[GuestPass]:
        passes = self._unit.tables[GUEST_PASSES].values()
        return [copied(each) for each in passes if each.account_id in accounts and not each.is_over(now)]

    def add(self, guest_pass: GuestPass) -> None:
        self.save(guest_pass)

    def save(self, guest_pass: GuestPass) -> None:
        self._unit.saving(guest_pass.id, guest_pass, GUEST_PASSES)
        if guest_pass.ended_at and guest_pass.has_news:
            self._unit.note(lambda tables: tables[TOLD].update({guest_pass.id: self._unit.now()}))


class MemoryGuestPassStore(GuestPassStore):
    """Passes of guests outside of a unit of work."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def find(self, token_digest: bytes) -> GuestPass | None:
        passes = self._database.committed[GUEST_PASSES].values()
        return next((copied(each) for each in passes if each.token_digest == token_digest), None)

    async def ended_since(self, since: datetime | None) -> tuple[Collection[GuestPassId], datetime]:
        now = self._database.clock.now()
        since = since or now - ENDS_KNOWN
        return [id for id, at in self._database.committed[TOLD].items() if at >= since], now

    async def forget(self, now: datetime, kept: timedelta, most: int) -> int:
        dropped: list[GuestPassId] = []

        def drop(tables: Tables) -> Sequence[Entry]:
            passes = tables[GUEST_PASSES]
            dropped.extend([id for id, each in passes.items() if each.expires_at < now - kept][:most])
            for id in dropped:
                account = tables[ACCOUNTS][passes.pop(id).account_id]
                tables[ACCOUNTS][account.id] = replace(account, display_name=NAMELESS)
            return ()

        await self._database.apply(drop, lambda _: None)
        return len(dropped)
