"""Memberships in PostgreSQL, as the other contexts ask for them."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, and_, bindparam, cast, column, func, literal_column, select, true, union_all

from adapters.postgres.database import Database
from adapters.postgres.statement import Statement
from adapters.postgres.tables import accounts, lineage, members, streams, tasks, workspaces
from adapters.postgres.together import Together
from adapters.postgres.unit import Unit
from application.ports.access import Access, AccessQueries
from domain.access import Role, Standing
from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId

_STANDING = Statement(
    select(members.c.role, workspaces.c.viewers_comment)
    .join(workspaces, workspaces.c.id == members.c.workspace_id)
    .where(members.c.workspace_id == bindparam("workspace"), members.c.account_id == bindparam("account"))
)
_AMONG = (
    members.c.workspace_id == bindparam("workspace"),
    members.c.account_id == func.any(bindparam("accounts", type_=ARRAY(Uuid))),
)
_ASSIGNABLE = Statement(
    select(members.c.account_id, members.c.role)
    .join(accounts, accounts.c.id == members.c.account_id)
    .where(*_AMONG, members.c.role != Role.VIEWER.value, accounts.c.disabled_at.is_(None))
)
_MEMBERS = Statement(select(members.c.account_id).where(*_AMONG))
_MEMBER = members.c.account_id == bindparam("account")
_PLACES = func.any(bindparam("places", type_=ARRAY(Uuid)))
_WORKSPACES = Statement(
    union_all(
        select(members.c.workspace_id.label("place"), members.c.workspace_id).where(
            members.c.workspace_id == _PLACES, _MEMBER
        ),
        select(tasks.c.id, members.c.workspace_id)
        .join(members, members.c.workspace_id == tasks.c.workspace_id)
        .where(tasks.c.id == _PLACES, _MEMBER),
    )
)


_ASKED = (
    func.unnest(bindparam("places", type_=ARRAY(Uuid)), bindparam("accounts", type_=ARRAY(Uuid)))
    .table_valued(column("place", Uuid), column("account", Uuid))
    .render_derived(name="asked")
)
_WORKSPACE = func.coalesce(tasks.c.workspace_id, _ASKED.c.place)
_STREAM = literal_column("'workspace:'", Text) + cast(_WORKSPACE, Text)  # as `workspace_stream` names it
# In one statement, so in one snapshot: whoever is a member in it may see what was made of the stream up to this head.
_STATES = Statement(
    select(_ASKED.c.place, _ASKED.c.account, func.coalesce(streams.c.head, 0), lineage.c.epoch)
    .select_from(lineage)
    .join(_ASKED, true())
    .outerjoin(tasks, tasks.c.id == _ASKED.c.place)
    .join(members, and_(members.c.workspace_id == _WORKSPACE, members.c.account_id == _ASKED.c.account))
    .outerjoin(streams, streams.c.name == _STREAM)
)


class PostgresAccess(Access):
    """Memberships inside a unit of work."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def standing(self, workspace: WorkspaceId, account: AccountId) -> Standing:
        row = await self._unit.fetchrow(_STANDING, workspace=workspace, account=account)
        if row is None:
            raise NotFound
        self._unit.rely_on(workspace, account, row[0])
        return Standing(Role(row[0]), row[1])

    async def assignable(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        rows = await self._unit.fetch(_ASSIGNABLE, workspace=workspace, accounts=list(accounts))
        for account, role in rows:
            self._unit.rely_on(workspace, account, role)
        return frozenset(row[0] for row in rows)

    async def members(self, workspace: WorkspaceId, accounts: frozenset[AccountId]) -> frozenset[AccountId]:
        rows = await self._unit.fetch(_MEMBERS, workspace=workspace, accounts=list(accounts))
        return frozenset(row[0] for row in rows)


class PostgresAccessQueries(AccessQueries):
    """Memberships for reading only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._states: Together[tuple[UUID, UUID], str] = Together(self._read_states)

    async def workspaces_of(self, places: Collection[UUID], by: AccountId) -> Mapping[UUID, WorkspaceId]:
        return dict(await self._database.fetch(_WORKSPACES, places=list(places), account=by))

    async def state(self, place: UUID, by: AccountId) -> str:
        with self._database.call("state"):
            state = await self._states.get((place, by))
        if state is None:
            raise NotFound
        return state

    async def _read_states(self, asked: Sequence[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, UUID], str]:
        rows = await self._database.fetch(
            _STATES, places=[place for place, _ in asked], accounts=[account for _, account in asked]
        )
        return {(place, account): f"{epoch}.{head}" for place, account, head, epoch in rows}
