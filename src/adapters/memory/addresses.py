"""Links that were mailed, and what was asked for under addresses, in memory."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from adapters.memory.database import MemoryDatabase, Table, Tables, copied
from adapters.memory.unit import MemoryUnit
from application.ports.events import Entry
from application.ports.identity import AddressRepository, AddressUpkeep
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.identity import AddressPurpose, AddressRequest, MailedLink
from domain.ids import AccountId, AddressRequestId

LINKS: Table[tuple[AccountId, AddressPurpose], MailedLink] = Table("mailed_links", is_quiet=True)
REQUESTS: Table[AddressRequestId, AddressRequest] = Table("address_requests", is_quiet=True)

V = TypeVar("V")


class MemoryAddresses(AddressRepository):
    """Links and requests inside a unit of work."""

    def __init__(self, unit: MemoryUnit) -> None:
        self._unit = unit

    async def link(self, digest: bytes) -> MailedLink | None:
        links = self._unit.tables[LINKS].values()
        return next((copied(link) for link in links if link.digest == digest), None)

    def put_link(self, link: MailedLink) -> None:
        kept = copied(link)
        self._unit.note_quietly(LINKS, lambda links: links.__setitem__((kept.account_id, kept.purpose), kept))

    def use_link(self, link: MailedLink) -> None:
        key = link.account_id, link.purpose

        def unused(tables: Tables) -> None:
            stored = tables[LINKS].get(key)
            if stored is None or stored.digest != link.digest or stored.used_at is not None:
                raise Stale

        self._unit.require(unused)
        self.put_link(link)

    async def request(self, id: AddressRequestId) -> AddressRequest:
        found = self._unit.tables[REQUESTS].get(id)
        if found is None:
            raise NotFound
        return found

    def add_request(self, request: AddressRequest) -> None:
        self._unit.note_quietly(REQUESTS, lambda requests: requests.__setitem__(request.id, request))
        self._unit.note_due(request.due_at)

    def remove_request(self, request: AddressRequest) -> None:
        def undone(tables: Tables) -> None:
            if request.id not in tables[REQUESTS]:
                raise Stale

        self._unit.require(undone)
        self._unit.note_quietly(REQUESTS, lambda requests: requests.__delitem__(request.id))


class MemoryAddressUpkeep(AddressUpkeep):
    """Looks at all rows each time, because a store in memory is small."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def forget_links(self, now: datetime, kept: timedelta, most: int) -> int:
        return await self._forget(LINKS, lambda link: link.expires_at < now - kept, most)

    async def forget_requests(self, now: datetime, kept: timedelta, most: int) -> int:
        return await self._forget(REQUESTS, lambda request: request.due_at < now - kept, most)

    async def _forget(self, table: Table[Any, V], is_old: Callable[[V], bool], most: int) -> int:
        old: list[Any] = []

        def drop(tables: Tables) -> Sequence[Entry]:
            old.extend([key for key, value in tables[table].items() if is_old(value)][:most])
            for key in old:
                del tables[table][key]
            return ()

        await self._database.apply(drop, lambda _: None)
        return len(old)
