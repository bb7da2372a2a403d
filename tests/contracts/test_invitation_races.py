"""What invitations promise when many use them, take them back or are removed at the same moment."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.memory.observer import MemoryObserver
from adapters.security.secrets import HmacSecrets
from application.invitations import MailedInvitations
from application.limits import Limits
from application.mail import Postbox
from application.ports.workspaces import WorkspaceView
from application.reactions import has_address, name_of
from application.workspaces import Acceptance, InvitationMade, NewInvitation, Workspaces
from domain.access import Role
from domain.errors import QuotaExceeded
from domain.identity import Account
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.workspaces import InvitationSpent
from tests.contracts.house import House
from tests.support.builders import a_team, an_account, principal

ROUNDS = 5


class Door:
    """A team of Ada's, and the ways in and out of it."""

    def __init__(self, house: House, ada: Account, team: WorkspaceId) -> None:
        self.house, self.ada, self.team = house, ada, team
        secrets = HmacSecrets("a key")
        limits = Limits(house.limiter, False, 0, 0, 0, MemoryObserver())
        mailed = MailedInvitations(Postbox(secrets, house.ids), limits, name_of, has_address, True)
        self.workspaces = Workspaces(
            house.work, house.workspace_queries, secrets, house.quotas, mailed, house.clock, house.ids
        )

    async def invite(self, uses: int = 1) -> InvitationMade:
        return await self.workspaces.invite(principal(self.ada), self.team, NewInvitation(max_uses=uses))

    async def accept(self, person: Account, made: InvitationMade) -> WorkspaceView:
        return await self.workspaces.accept(principal(person), Acceptance(made.token))

    async def withdraw(self, made: InvitationMade) -> None:
        await self.workspaces.withdraw(principal(self.ada), self.team, InvitationId(made.invitation.id))

    async def remove(self, person: Account, by: Account | None = None) -> None:
        await self.workspaces.remove(principal(by or self.ada), self.team, AccountId(person.id))

    async def is_in(self, person: Account) -> bool:
        async with self.house.work() as work:
            return person.id in (await work.workspaces.get(self.team)).members

    async def people(self, count: int) -> Sequence[Account]:
        return [await an_account(self.house, f"Person {number}") for number in range(count)]


@pytest.fixture
async def door(house: House) -> Door:
    ada = await an_account(house)
    return Door(house, ada, (await a_team(house, ada.id)).id)


async def test_of_twenty_who_accept_a_link_for_one_at_once_one_comes_in(door: Door) -> None:
    people = await door.people(20)
    for _ in range(ROUNDS):
        made = await door.invite()
        outcomes = await asyncio.gather(*(door.accept(person, made) for person in people), return_exceptions=True)
        assert sum(isinstance(outcome, WorkspaceView) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, InvitationSpent) for outcome in outcomes) == 19
        inside = [person for person in people if await door.is_in(person)]
        assert len(inside) == 1
        await door.remove(inside[0])
        people = [*(person for person in people if person not in inside), *await door.people(1)]


async def test_who_accepts_a_link_for_one_in_two_windows_at_once_comes_in_by_both(door: Door) -> None:
    for bob in await door.people(ROUNDS):
        made = await door.invite()
        views = await asyncio.gather(*(door.accept(bob, made) for _ in range(4)))
        assert {view.my_role for view in views} == {Role.MEMBER}


async def test_a_link_that_was_taken_back_while_many_accepted_it_stays_so(door: Door) -> None:
    for _ in range(ROUNDS):
        made, people = await door.invite(uses=20), await door.people(4)
        outcomes = await asyncio.gather(
            *(door.accept(person, made) for person in people), door.withdraw(made), return_exceptions=True
        )
        assert outcomes[-1] is None
        assert all(isinstance(outcome, WorkspaceView | InvitationSpent) for outcome in outcomes[:-1])
        async with door.house.work() as work:
            kept = await work.workspaces.invitation(InvitationId(made.invitation.id), door.team)
        assert kept.withdrawn_at
        assert kept.uses == sum([await door.is_in(person) for person in people])
        (late,) = await door.people(1)
        with pytest.raises(InvitationSpent):
            await door.accept(late, made)


async def test_where_there_is_no_room_nobody_comes_in_and_no_use_is_lost(door: Door) -> None:
    door.house.quotas.limits["members"] = 3
    made, people = await door.invite(uses=20), await door.people(8)
    outcomes = await asyncio.gather(*(door.accept(person, made) for person in people), return_exceptions=True)
    assert sum(isinstance(outcome, WorkspaceView) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 6
    (shown,) = await door.house.workspace_queries.invitations(door.team, door.ada.id, door.house.clock.now())
    assert shown.uses == 2


async def test_who_accepts_again_is_let_in_whatever_became_of_the_link_and_of_the_room(door: Door) -> None:
    (bob,) = await door.people(1)
    made = await door.invite()
    before = await door.accept(bob, made)
    door.house.quotas.limits["members"] = 1
    door.house.quotas.limits["workspaces"] = 1
    await door.withdraw(made)
    door.house.clock.advance(made.invitation.expires_at - door.house.clock.now())
    after = await door.accept(bob, made)
    assert (after.id, after.my_role, after.member_count) == (before.id, Role.MEMBER, 2)
    await door.withdraw(made)
    assert (await door.accept(bob, made)).version == after.version, "taking it back twice changes nothing"


async def test_who_was_removed_comes_back_by_no_link_from_before_that_and_others_do(door: Door) -> None:
    bob, cyn, dan = await door.people(3)
    made, unused = await door.invite(uses=20), await door.invite(uses=20)
    await door.accept(bob, made)
    await door.remove(bob)
    for link in (made, unused):
        with pytest.raises(InvitationSpent, match="You were removed"):
            await door.accept(bob, link)
        assert not await door.is_in(bob)
    await door.accept(cyn, made)
    await door.accept(dan, unused)
    assert (await door.accept(bob, await door.invite())).my_role is Role.MEMBER


async def test_who_left_comes_back_by_the_same_link(door: Door) -> None:
    (bob,) = await door.people(1)
    made = await door.invite(uses=2)
    await door.accept(bob, made)
    await door.remove(bob, by=bob)
    await door.accept(bob, made)
    assert await door.is_in(bob)


async def test_who_is_removed_while_they_accept_is_out_in_the_end(door: Door) -> None:
    made = await door.invite(uses=100)
    for bob in await door.people(ROUNDS):
        await door.accept(bob, made)

        async def insist(bob: Account = bob) -> None:
            for _ in range(5):
                try:
                    await door.accept(bob, made)
                except InvitationSpent:
                    return

        await asyncio.gather(insist(), insist(), door.remove(bob), insist())
        assert not await door.is_in(bob)


async def test_who_accepts_links_into_many_workspaces_at_once_gets_as_many_as_there_is_room_for(door: Door) -> None:
    house = door.house
    teams = [(await a_team(house, door.ada.id)).id for _ in range(8)]
    made = [await door.workspaces.invite(principal(door.ada), team, NewInvitation()) for team in teams]
    (bob,) = await door.people(1)
    house.quotas.limits["workspaces"] = 3
    outcomes = await asyncio.gather(*(door.accept(bob, link) for link in made), return_exceptions=True)
    assert sum(isinstance(outcome, WorkspaceView) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 6
    assert len((await house.workspace_queries.page(bob.id, None, 50)).data) == 3, "and the personal one"
