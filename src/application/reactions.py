"""The consequences that a change in one context has in others. Only this module knows them all."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.notifications import Person
from application.ports.consumers import Consumer, ConsumerWork
from application.ports.events import EventView
from application.ports.exports import ExportWork
from application.ports.identity import IdentityWork
from application.ports.mail import MailWork
from application.ports.notifications import NotificationWork
from application.ports.rooms import RoomWork
from application.ports.tasks import TaskWork
from application.ports.workspaces import WorkspaceWork
from application.tasks import release
from application.workspaces import begin_personal
from domain.identity import Account, EmailUnverified
from domain.ids import AccountId, WorkspaceId
from domain.workspaces import SoleOwner


class EveryWork(
    IdentityWork,
    WorkspaceWork,
    TaskWork,
    RoomWork,
    NotificationWork,
    ExportWork,
    MailWork,
    ConsumerWork,
    Protocol,
):
    """The unit of work of all use cases. Each of them sees only its own slice."""


def registered(work: WorkspaceWork, account: Account) -> None:
    """Follow the registration of an account, in the same unit of work."""
    begin_personal(work, account.id, account.display_name, account.created_at)


async def refuse_owners(work: WorkspaceWork, account: AccountId) -> None:
    """SoleOwner, with the list, if others are in workspaces that only this account owns."""
    alone = await work.workspaces.owned_alone(account)
    if alone:
        listed = [{"id": str(id), "name": name} for id, name in alone]
        raise SoleOwner(
            "Others are in workspaces that only you own: make somebody else an owner, or delete them first.",
            extra={"workspaces": listed},
        )


async def name_of(work: IdentityWork, account: AccountId) -> str:
    """What an account is called; NotFound if there is none."""
    return (await work.accounts.get(account)).display_name


async def people(
    needs_verified: bool, work: IdentityWork, accounts: Collection[AccountId]
) -> Mapping[AccountId, Person]:
    """Those of these accounts that can be told something: they are of people, and not disabled.

    If an address has to be verified and is not, somebody else may have it, so others cannot make them get mail there.
    """
    found = await work.accounts.get_many(accounts)
    return {
        id: Person(account.email, account.time_zone, not needs_verified or is_verified, is_verified)
        for id, account in found.items()
        if account.email and account.disabled_at is None
        for is_verified in [account.email_verified_at is not None]
    }


async def has_address(work: IdentityWork, account: AccountId, address: str, verified: bool) -> bool:
    """Whether this is the address of the account. EmailUnverified if it is, and has to be `verified` first."""
    found = await work.accounts.get(account)
    if found.email == address and verified and found.email_verified_at is None:
        raise EmailUnverified("Verify your address first: this is for somebody who reads its mail.")
    return found.email == address


async def account_at(work: IdentityWork, address: str, verified: bool) -> AccountId | None:
    """The account with this address, unless it has to be `verified` and is not; None if there is none."""
    found = await work.accounts.find(address)
    if found is None or (verified and found.email_verified_at is None):
        return None
    return found.id


async def departed(work: TaskWork, event: EventView, now: datetime) -> bool:
    """Follow the event that an account left a workspace, got a different role in it, or was disabled.

    Works in pieces and returns whether the event is done; see `Consumer`.
    """
    by = None if event.actor is None else AccountId(event.actor)
    if event.type == _DISABLED:
        account, workspace = AccountId(event.resource.id), None
    else:
        account, workspace = AccountId(UUID(str(event.data["account_id"]))), WorkspaceId(event.resource.id)
    return await release(work, account, workspace, event.type == _REMOVED, by, now)


_REMOVED, _DISABLED = "member.removed", "account.disabled"
# Stored cursors have this name, so it cannot change.
DEPARTED = Consumer("tasks_release", frozenset({_REMOVED, "member.role_changed", _DISABLED}), departed)
