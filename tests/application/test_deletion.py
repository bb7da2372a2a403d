"""How people end their accounts, and what they can do until it is too late."""

import pytest

from application.accounts import ACCOUNT_LEAVE, ACCOUNT_READ
from application.authentication import CredentialRevoked
from application.due import Later
from application.identity import DeletionRequest, ProfilePatch
from application.scopes import ScopeMissing
from application.workspaces import NewWorkspace
from domain.access import Role
from domain.identity import ERASED_NAME, EndReason, InvalidCredentials, SessionOver, WrongPassword
from domain.ids import AccountId
from domain.workspaces import SoleOwner
from tests.application.front_door import AWAY, PASSWORD, FrontDoor, Visit, assert_signed_out, events_of
from tests.support.builders import a_team

REQUEST = DeletionRequest(PASSWORD)
DAYS = 3


async def time_passes(door: FrontDoor, **duration: float) -> None:
    """Everything that is due by then happens."""
    door.wait(**duration)
    house = door.container
    later = Later(house.due(), house.broker(), house.clock(), house.observer())
    while await later.turn():
        pass


async def request(door: FrontDoor, visit: Visit) -> None:
    await door.container.deletion().request(visit.actor, REQUEST)


async def test_a_wish_to_be_deleted_needs_the_password(door: FrontDoor) -> None:
    ada = await door.register()
    with pytest.raises(WrongPassword) as refused:
        await door.container.deletion().request(ada.actor, DeletionRequest("not my password"))
    assert refused.value.pointer == "/password"
    assert (await door.identity.me(ada.actor)).deletion_due_at is None


async def test_every_session_ends_with_the_wish(door: FrontDoor) -> None:
    here, there = await door.register(), await door.log_in(device=AWAY)
    view = await door.container.deletion().request(here.actor, REQUEST)
    assert view.deletion_due_at is not None
    assert (view.deletion_due_at - door.clock.now()).days == DAYS
    for visit in (here, there):
        assert_signed_out(door, visit)
        assert (await door.session(visit)).ended_because is EndReason.DELETION_REQUESTED
        with pytest.raises(SessionOver):
            await door.refresh(visit.refresh_token)
    assert await events_of(door, here.account) == [
        *("account.registered", "session.created", "session.created"),
        *("account.deletion_requested", "session.ended", "session.ended"),
    ]


async def test_until_then_a_sign_in_is_good_for_keeping_and_exporting_the_account_alone(door: FrontDoor) -> None:
    await request(door, await door.register())
    visit = await door.log_in()
    assert visit.actor.scopes == frozenset({ACCOUNT_READ.name, ACCOUNT_LEAVE.name})
    assert (await door.identity.me(visit.actor)).deletion_due_at is not None
    refused = [
        door.identity.change_profile(visit.actor, ProfilePatch(display_name="Augusta")),
        door.identity.sessions(visit.actor),
        door.container.deletion().request(visit.actor, REQUEST),
        door.container.workspaces().page(visit.actor, None, 10),
        door.container.workspaces().create(visit.actor, NewWorkspace("Another")),
    ]
    for use_case in refused:
        with pytest.raises(ScopeMissing):
            await use_case
    again = await door.refresh(visit.refresh_token)
    assert again.actor.scopes == visit.actor.scopes


async def test_who_keeps_the_account_can_do_everything_again(door: FrontDoor) -> None:
    await request(door, await door.register())
    visit = await door.log_in()
    assert (await door.container.deletion().restore(visit.actor)).deletion_due_at is None
    assert (await door.refresh(visit.refresh_token)).actor.is_session
    version = (await door.account()).version
    await door.container.deletion().restore(visit.actor)
    assert (await door.account()).version == version
    await time_passes(door, days=DAYS)
    assert (await door.log_in()).actor.is_session


async def test_an_account_is_deleted_when_that_is_due_and_not_before(door: FrontDoor) -> None:
    ada = await door.register()
    await request(door, ada)
    await time_passes(door, days=DAYS, seconds=-1)
    leaving = await door.log_in()
    await time_passes(door, seconds=1)
    with pytest.raises(InvalidCredentials):
        await door.log_in()
    async with door.work() as work:
        left = await work.accounts.get(ada.account)
    assert (left.display_name, left.email, left.password_hash) == (ERASED_NAME, None, None)
    assert left.deleted_at == door.clock.now()
    with pytest.raises(CredentialRevoked):
        door.authentication.known(leaving.access_token)
    assert (await door.container.deletion().restore(leaving.actor)).email is None  # too late: it stays deleted
    await door.container.deletion().elapse(ada.account, door.clock.now())
    assert (await events_of(door, ada.account)).count("account.deleted") == 1
    assert (await door.register()).account != ada.account


async def test_whose_workspace_others_are_in_has_to_hand_it_on_first(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org", display_name="Bob")
    team = await a_team(door, ada.account, {AccountId(bob.account): Role.ADMIN})
    await a_team(door, ada.account)  # nobody else is in it
    await a_team(door, bob.account, {AccountId(ada.account): Role.OWNER})
    with pytest.raises(SoleOwner) as refused:
        await request(door, ada)
    assert refused.value.extra["workspaces"] == [{"id": str(team.id), "name": team.name}]
    assert len((await door.identity.sessions(ada.actor)).data) == 1
    await request(door, bob)
