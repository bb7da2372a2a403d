"""What workspaces bring to the assembly: their members, and the invitations to them."""

from operator import ne

from dependency_injector.providers import Object, Provider, Singleton

from adapters.memory.workspaces import WORKSPACES, MemoryWorkspaceQueries, MemoryWorkspaces
from adapters.postgres import tables
from adapters.postgres.workspaces import PostgresWorkspaceQueries, PostgresWorkspaces
from application.invitations import POLICIES, MailedInvitations, member_invited
from application.ports import WorkspaceQueries
from application.quotas import Quota
from application.reactions import account_at, has_address, name_of
from application.retention import Aging
from application.workspaces import (
    EVENTS_READ,
    LEAVING,
    REMOVAL_DAYS,
    WORKSPACE_ADMIN,
    WORKSPACE_READ,
    WorkspaceFeeds,
    Workspaces,
    erasing,
    exported,
)
from domain.workspaces import Workspace
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.workspaces import workspace_routes


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(workspaces=PostgresWorkspaces)
    house.figures.add_kwargs(workspaces=tables.workspaces)
    return _with_workspaces(house, Singleton(PostgresWorkspaceQueries, house.database))


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(workspaces=MemoryWorkspaces)
    house.figures.add_kwargs(workspaces=WORKSPACES)
    return _with_workspaces(house, Singleton(MemoryWorkspaceQueries, house.database))


def _with_workspaces(house: Container, queries: Provider[WorkspaceQueries]) -> Container:
    given, upkeep, clock = house.settings.provided, house.upkeep.provided, house.clock
    needs_verified = Singleton(ne, given.email_verification, "off")
    mailed = Singleton(
        MailedInvitations,
        house.postbox,
        house.limits,
        Object(name_of),
        Object(has_address),
        needs_verified,
    )
    workspaces = watched(
        house.observer, Workspaces, house.work, queries, house.secrets, house.quota_limits, mailed, clock, house.ids
    )
    house.set_providers(workspaces=workspaces, workspace_queries=queries)
    house.aggregates.add_args(Workspace)
    house.policies.add_args(*POLICIES)
    house.scopes.add_args(EVENTS_READ, WORKSPACE_ADMIN, WORKSPACE_READ)
    house.feeds.add_args(Singleton(WorkspaceFeeds, house.access_queries))
    house.quotas.add_args(
        Singleton(Quota, "members", "workspace", given.quota_members),
        Singleton(Quota, "invitations", "workspace", given.quota_invitations),
        Singleton(Quota, "workspaces", "account", given.quota_workspaces),
    )
    house.exported.add_args(Singleton(exported, queries))
    house.consumers.add_args(LEAVING, Singleton(erasing, house.upkeep))
    house.notices.add_args(Singleton(member_invited, Object(account_at), needs_verified))
    house.routes.add_args(Singleton(workspace_routes, workspaces))
    house.retention.add_args(
        Singleton(Aging, "invitations", given.invitation_retention_days, upkeep.forget_invitations, clock),
        Singleton(Aging, "removals", REMOVAL_DAYS, upkeep.forget_removals, clock),
    )
    return house
