"""Links that were mailed, and what was asked for under addresses, in PostgreSQL."""

from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement, bound, dropping
from adapters.postgres.tables import address_requests, mailed_links
from adapters.postgres.unit_of_work import PostgresUnit
from application.ports.identity import AddressRepository, AddressUpkeep
from domain.errors import NotFound
from domain.identity import AddressPurpose, AddressRequest, MailedLink
from domain.ids import AddressRequestId

_LINK = tuple(f.name for f in fields(MailedLink))
_LINK_KEY = ("account_id", "purpose")
_FIND_LINK = Statement(
    select(*(mailed_links.c[name] for name in _LINK)).where(mailed_links.c.digest == bindparam("digest"))
)
_link = postgresql.insert(mailed_links).values(bound(*_LINK))
_UPSERT_LINK = Statement(
    _link.on_conflict_do_update(
        index_elements=list(mailed_links.primary_key),
        set_={name: _link.excluded[name] for name in _LINK if name not in _LINK_KEY},
    )
)
_UPDATE_LINK = Statement(
    update(mailed_links)
    .where(
        mailed_links.c.account_id == bindparam("account"),
        mailed_links.c.purpose == bindparam("for_purpose"),
        mailed_links.c.digest == bindparam("loaded"),
        mailed_links.c.used_at.is_(None),
    )
    .values(used_at=bindparam("used_at"))
)
_REQUEST = tuple(f.name for f in fields(AddressRequest))
_GET_REQUEST = Statement(
    select(*(address_requests.c[name] for name in _REQUEST)).where(address_requests.c.id == bindparam("id"))
)
_INSERT_REQUEST = Statement(insert(address_requests).values(bound(*_REQUEST)))
_DELETE_REQUEST = Statement(delete(address_requests).where(address_requests.c.id == bindparam("key")))

_FORGET_LINKS = dropping(mailed_links, mailed_links.c.expires_at < bindparam("before"), skips_locked=True)
_FORGET_REQUESTS = dropping(address_requests, address_requests.c.due_at < bindparam("before"), skips_locked=True)


class PostgresAddresses(AddressRepository):
    """Links and requests inside a unit of work."""

    def __init__(self, unit: PostgresUnit) -> None:
        self._unit = unit

    async def link(self, digest: bytes) -> MailedLink | None:
        row = await self._unit.fetchrow(_FIND_LINK, digest=digest)
        if row is None:
            return None
        values = dict(zip(_LINK, row, strict=True))
        return MailedLink(**values | {"purpose": AddressPurpose(values["purpose"])})

    def put_link(self, link: MailedLink) -> None:
        self._unit.note_quietly(_UPSERT_LINK, **{name: getattr(link, name) for name in _LINK})

    def use_link(self, link: MailedLink) -> None:
        self._unit.note_quietly(
            _UPDATE_LINK, account=link.account_id, for_purpose=link.purpose, loaded=link.digest, used_at=link.used_at
        )

    async def request(self, id: AddressRequestId) -> AddressRequest:
        row = await self._unit.fetchrow(_GET_REQUEST, id=id)
        if row is None:
            raise NotFound
        values = dict(zip(_REQUEST, row, strict=True))
        return AddressRequest(**values | {"purpose": AddressPurpose(values["purpose"])})

    def add_request(self, request: AddressRequest) -> None:
        self._unit.note_quietly(_INSERT_REQUEST, **{name: getattr(request, name) for name in _REQUEST})
        self._unit.note_due(request.due_at)

    def remove_request(self, request: AddressRequest) -> None:
        self._unit.note_quietly(_DELETE_REQUEST, key=request.id)


class PostgresAddressUpkeep(AddressUpkeep):
    """Deletes in statements of bounded size, which skip the rows that other transactions have locked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_links(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET_LINKS, before=now - kept, most=most))

    async def forget_requests(self, now: datetime, kept: timedelta, most: int) -> int:
        return len(await self._database.fetch(_FORGET_REQUESTS, before=now - kept, most=most))
