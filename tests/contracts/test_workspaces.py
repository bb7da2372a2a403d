"""What every WorkspaceRepository and its queries promise: workspaces, their members, the invitations into them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from application.paging import InvalidCursor
from application.ports.unit_of_work import Stale
from application.ports.workspaces import MemberView
from domain.access import Role
from domain.errors import Forbidden, NotFound
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.workspaces import Invitation, SlugTaken, Workspace, WorkspaceKind
from tests.contracts.house import House
from tests.support.builders import a_team, an_account


async def an_invitation(
    house: House,
    team: WorkspaceId,
    by: AccountId,
    expires_at: datetime | None = None,
    role: Role = Role.MEMBER,
    uses: int = 2,
    email: str | None = None,
) -> Invitation:
    id, now = InvitationId(house.ids.new()), house.clock.now()
    async with house.work() as work:
        workspace = await work.workspaces.get(team)
        expires_at = expires_at or now + timedelta(days=1)
        invitation = workspace.invite(id, role, id.bytes * 2, uses, expires_at, by, now, email)
        work.workspaces.add_invitation(invitation)
        work.workspaces.save(workspace)
    return invitation


async def delete(house: House, team: WorkspaceId, by: AccountId) -> None:
    async with house.work() as work:
        workspace = await work.workspaces.get(team)
        workspace.delete(by, house.clock.now())
        work.workspaces.save(workspace)


async def test_a_workspace_comes_back_whole_with_all_its_members(house: House) -> None:
    ada = await an_account(house)
    people = [await an_account(house, f"Person {number}") for number in range(12)]
    team = await a_team(house, ada.id, {person.id: list(Role)[i % 4] for i, person in enumerate(people)})
    async with house.work() as work:
        assert await work.workspaces.get(team.id) == team
        personal = await work.workspaces.get(WorkspaceId(ada.id))
    assert (personal.kind, personal.slug, list(personal.members)) == (
        WorkspaceKind.PERSONAL,
        f"p-{ada.id.hex}",
        [ada.id],
    )
    assert type(personal.kind) is WorkspaceKind
    assert type(personal.members[ada.id].role) is Role


async def test_every_change_of_a_workspace_is_kept(house: House) -> None:
    ada, bob, cyn, dan = [await an_account(house, name) for name in ("Ada", "Bob", "Cyn", "Dan")]
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER, cyn.id: Role.VIEWER})
    house.clock.advance(timedelta(minutes=1))
    now = house.clock.now()
    async with house.work() as work:
        changed = await work.workspaces.get(team.id)
        changed.change(ada.id, now, name="Renamed", slug="renamed", viewers_comment=True)
        changed.admit(dan.id, Role.ADMIN, ada.id, now)
        changed.change_role(bob.id, Role.VIEWER, ada.id, now)
        changed.remove(cyn.id, ada.id, now)
        changed.transfer(dan.id, ada.id, now)
        work.workspaces.save(changed)
    async with house.work() as work:
        found = await work.workspaces.get(team.id)
    assert found == changed
    assert found.version > team.version
    assert {account: member.role for account, member in found.members.items()} == {
        ada.id: Role.ADMIN,
        bob.id: Role.VIEWER,
        dan.id: Role.OWNER,
    }


async def test_a_loaded_workspace_is_the_callers_own_copy(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    async with house.work() as work:
        mine = await work.workspaces.get(team.id)
        mine.name = "Mine"
        mine.members[ada.id].role = Role.VIEWER
        mine.members.clear()
        assert await work.workspaces.get(team.id) == team


async def test_an_absent_workspace_is_not_found(house: House) -> None:
    ada = await an_account(house)
    id = WorkspaceId(house.ids.new())
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.workspaces.get(id)
    with pytest.raises(NotFound):
        await house.workspace_queries.view(id, ada.id)
    with pytest.raises(NotFound):
        await house.workspace_queries.members(id, ada.id, None, 10)
    with pytest.raises(NotFound):
        await house.workspace_queries.invitations(id, ada.id, house.clock.now())


async def test_a_deleted_workspace_is_gone_for_everybody_and_its_slug_is_free(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER})
    await delete(house, team.id, ada.id)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.workspaces.get(team.id)
    for account in (ada, bob):
        with pytest.raises(NotFound):
            await house.workspace_queries.view(team.id, account.id)
        page = await house.workspace_queries.page(account.id, None, 10)
        assert [view.id for view in page.data] == [account.id]
    heir = Workspace.create(
        WorkspaceId(house.ids.new()), "Heir", team.slug, WorkspaceKind.TEAM, bob.id, house.clock.now()
    )
    async with house.work() as work:
        work.workspaces.add(heir)
    assert (await house.workspace_queries.view(heir.id, bob.id)).slug == team.slug


async def test_a_slug_that_is_taken_cannot_be_changed_to(house: House) -> None:
    ada = await an_account(house)
    taken, team = await a_team(house, ada.id), await a_team(house, ada.id)
    with pytest.raises(SlugTaken):
        async with house.work() as work:
            workspace = await work.workspaces.get(team.id)
            workspace.change(ada.id, house.clock.now(), slug=taken.slug)
            work.workspaces.save(workspace)
    async with house.work() as work:
        assert await work.workspaces.get(team.id) == team


async def test_an_invitation_comes_back_whole_by_its_id_and_by_its_secret(house: House) -> None:
    ada = await an_account(house)
    team, other = await a_team(house, ada.id), await a_team(house, ada.id)
    invitation = await an_invitation(house, team.id, ada.id)
    mailed = await an_invitation(house, team.id, ada.id, uses=1, email="bob@example.org")
    async with house.work() as work:
        assert await work.workspaces.invitation_by_digest(mailed.digest) == mailed
        assert await work.workspaces.invitation(invitation.id, team.id) == invitation
        assert await work.workspaces.invitation_by_digest(invitation.digest) == invitation
        with pytest.raises(NotFound):
            await work.workspaces.invitation(invitation.id, other.id)
        with pytest.raises(NotFound):
            await work.workspaces.invitation(InvitationId(house.ids.new()), team.id)
        with pytest.raises(NotFound):
            await work.workspaces.invitation_by_digest(b"another" * 4)


async def test_a_used_or_withdrawn_invitation_is_kept(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    invitation = await an_invitation(house, team.id, ada.id)
    now = house.clock.now()
    async with house.work() as work:
        used = await work.workspaces.invitation_by_digest(invitation.digest)
        workspace = await work.workspaces.get(team.id)
        workspace.accept(used, bob.id, now)
        workspace.withdraw(used, ada.id, now)
        work.workspaces.save_invitation(used)
        work.workspaces.save(workspace)
    assert used.since == 2
    async with house.work() as work:
        found = await work.workspaces.invitation(invitation.id, team.id)
        assert (found, found.uses, found.withdrawn_at) == (used, 1, now)
        assert (await work.workspaces.get(team.id)).members[bob.id].role is Role.MEMBER


async def test_an_invitation_that_was_used_or_withdrawn_since_it_was_asked_for_is_stale(house: House) -> None:
    ada, bob, cyn = [await an_account(house, name) for name in ("Ada", "Bob", "Cyn")]
    team = await a_team(house, ada.id)
    invitation = await an_invitation(house, team.id, ada.id)
    withdrawn = await an_invitation(house, team.id, ada.id)

    async def accept(account: AccountId) -> None:
        async with house.work() as work:
            found = await work.workspaces.invitation_by_digest(invitation.digest)
            workspace = await work.workspaces.get(team.id)
            workspace.accept(found, account, house.clock.now())
            work.workspaces.save_invitation(found)
            work.workspaces.save(workspace)

    async def withdraw(which: Invitation) -> None:
        async with house.work() as work:
            found = await work.workspaces.invitation(which.id, team.id)
            workspace = await work.workspaces.get(team.id)
            workspace.withdraw(found, ada.id, house.clock.now())
            work.workspaces.save_invitation(found)
            work.workspaces.save(workspace)

    for meanwhile, which in ((accept(bob.id), invitation), (withdraw(withdrawn), withdrawn)):
        with pytest.raises(Stale):
            async with house.work() as work:
                # The workspace is as it is after that, so it does not guard the invitation from before it.
                old = await work.workspaces.invitation_by_digest(which.digest)
                await meanwhile
                workspace = await work.workspaces.get(team.id)
                workspace.accept(old, cyn.id, house.clock.now())
                work.workspaces.save_invitation(old)
                work.workspaces.save(workspace)
    async with house.work() as work:
        assert (await work.workspaces.invitation(invitation.id, team.id)).uses == 1
        assert (await work.workspaces.invitation(withdrawn.id, team.id)).withdrawn_at
        assert set((await work.workspaces.get(team.id)).members) == {ada.id, bob.id}


async def test_the_last_removal_of_somebody_is_kept(house: House) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id)
    for minute in range(2):
        house.clock.advance(timedelta(minutes=minute))
        async with house.work() as work:
            assert (await work.workspaces.removal(team.id, bob.id) is None) == (minute == 0)
            workspace = await work.workspaces.get(team.id)
            workspace.admit(bob.id, Role.MEMBER, ada.id, house.clock.now())
            removal = workspace.remove(bob.id, ada.id, house.clock.now())
            assert removal
            work.workspaces.add_removal(removal)
            work.workspaces.save(workspace)
        async with house.work() as work:
            assert await work.workspaces.removal(team.id, bob.id) == removal
            assert (removal.version, removal.at) == (workspace.version, house.clock.now())
            assert await work.workspaces.removal(team.id, ada.id) is None


async def test_the_view_shows_a_workspace_as_its_reader_stands_in_it(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    view = await house.workspace_queries.view(team.id, bob.id)
    assert (view.id, view.name, view.slug, view.kind) == (team.id, team.name, team.slug, WorkspaceKind.TEAM)
    assert (view.my_role, view.member_count, view.viewers_comment) == (Role.VIEWER, 2, False)
    assert (view.created_by, view.created_at, view.updated_at, view.version) == (
        ada.id,
        team.created_at,
        team.updated_at,
        team.version,
    )
    assert (await house.workspace_queries.view(team.id, ada.id)).my_role == Role.OWNER
    with pytest.raises(NotFound):
        await house.workspace_queries.view(team.id, eve.id)


async def test_ones_workspaces_are_paged_the_personal_one_first_then_by_age(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    expected: list[UUID] = []
    for number in range(6):
        owner = bob if number % 2 else ada
        expected.append((await a_team(house, owner.id, {ada.id: Role.VIEWER})).id)
        house.clock.advance(timedelta(milliseconds=number % 2))
    late = await an_account(house, "Late")
    async with house.work() as work:
        workspace = await work.workspaces.get(WorkspaceId(expected[0]))
        workspace.admit(late.id, Role.VIEWER, ada.id, house.clock.now())
        work.workspaces.save(workspace)
    assert await _walk_workspaces(house, late.id, 1) == [late.id, expected[0]]
    for limit in (1, 2, 7, 50):
        assert await _walk_workspaces(house, ada.id, limit) == [ada.id, *expected]
    cursor = (await house.workspace_queries.page(ada.id, None, 2)).next_cursor
    for account, given in ((bob.id, cursor), (ada.id, "nonsense")):
        with pytest.raises(InvalidCursor):
            await house.workspace_queries.page(account, given, 2)


async def test_a_list_within_a_workspace_has_that_one_if_the_account_is_in_it(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team, _ = [await a_team(house, ada.id) for _ in range(2)]

    async def listed(by: AccountId, within: UUID) -> list[UUID]:
        return [view.id for view in (await house.workspace_queries.page(by, None, 9, within)).data]

    assert await listed(ada.id, team.id) == [team.id]
    assert await listed(ada.id, ada.id) == [ada.id]
    assert await listed(bob.id, team.id) == await listed(ada.id, uuid4()) == []
    cursor = (await house.workspace_queries.page(ada.id, None, 1)).next_cursor
    with pytest.raises(InvalidCursor):
        await house.workspace_queries.page(ada.id, cursor, 1, team.id)


async def test_members_are_paged_in_the_order_in_which_they_joined(house: House) -> None:
    ada, eve = await an_account(house), await an_account(house, "Eve")
    people = [await an_account(house, f"Person {number}") for number in range(5)]
    team = await a_team(house, ada.id)
    for person in reversed(people):
        house.clock.advance(timedelta(seconds=1))
        async with house.work() as work:
            workspace = await work.workspaces.get(team.id)
            workspace.admit(person.id, Role.VIEWER, ada.id, house.clock.now())
            work.workspaces.save(workspace)
    seen: list[MemberView] = []
    cursor = None
    while True:
        page = await house.workspace_queries.members(team.id, people[0].id, cursor, 2)
        seen += page.data
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [(view.account_id, view.display_name, view.role) for view in seen] == [
        (ada.id, "Ada", Role.OWNER),
        *((person.id, person.display_name, Role.VIEWER) for person in reversed(people)),
    ]
    assert seen[-1].joined_at == house.clock.now()
    with pytest.raises(NotFound):
        await house.workspace_queries.members(team.id, eve.id, None, 2)
    other = await a_team(house, ada.id)
    first = await house.workspace_queries.members(team.id, ada.id, None, 2)
    with pytest.raises(InvalidCursor):
        await house.workspace_queries.members(other.id, ada.id, first.next_cursor, 2)


async def test_the_invitations_that_still_admit_somebody_are_shown_newest_first(house: House) -> None:
    ada, bob, cyn = [await an_account(house, name) for name in ("Ada", "Bob", "Cyn")]
    team, other = await a_team(house, ada.id), await a_team(house, ada.id)
    await an_invitation(house, other.id, ada.id)
    expires_at = house.clock.now() + timedelta(hours=1)
    expired = await an_invitation(house, team.id, ada.id, expires_at)
    first = await an_invitation(house, team.id, ada.id)
    house.clock.advance(timedelta(milliseconds=1))
    used_up, withdrawn, last = [await an_invitation(house, team.id, ada.id) for _ in range(3)]
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        taken_back = await work.workspaces.invitation(withdrawn.id, team.id)
        workspace.withdraw(taken_back, ada.id, house.clock.now())
        used = await work.workspaces.invitation(used_up.id, team.id)
        for account in (bob, cyn):
            workspace.accept(used, account.id, house.clock.now())
        work.workspaces.save_invitation(taken_back)
        work.workspaces.save_invitation(used)
        work.workspaces.save(workspace)

    async def shown(now: datetime) -> Sequence[UUID]:
        return [view.id for view in await house.workspace_queries.invitations(team.id, ada.id, now)]

    assert await shown(expires_at - timedelta(milliseconds=1)) == [last.id, first.id, expired.id]
    assert await shown(expires_at) == [last.id, first.id]
    (view, _) = await house.workspace_queries.invitations(team.id, ada.id, expires_at)
    assert (view.workspace_id, view.role, view.max_uses, view.uses) == (team.id, Role.MEMBER, 2, 0)
    assert (view.invited_by, view.created_at, view.expires_at) == (ada.id, last.created_at, last.expires_at)


async def test_an_invitation_is_shown_while_its_maker_may_give_what_it_gives(house: House) -> None:
    ada, bob = [await an_account(house, name) for name in ("Ada", "Bob")]
    team = await a_team(house, ada.id, {bob.id: Role.OWNER})
    for role in Role:
        await an_invitation(house, team.id, bob.id, role=role)

    async def shown() -> set[Role]:
        views = await house.workspace_queries.invitations(team.id, ada.id, house.clock.now())
        return {view.role for view in views}

    assert await shown() == set(Role)
    for role, given in (
        (Role.ADMIN, {Role.MEMBER, Role.VIEWER}), (Role.MEMBER, set()), (Role.VIEWER, set()), (Role.OWNER, set(Role))
    ):  # fmt: skip
        async with house.work() as work:
            workspace = await work.workspaces.get(team.id)
            workspace.change_role(bob.id, role, ada.id, house.clock.now())
            work.workspaces.save(workspace)
        assert await shown() == given
    async with house.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.remove(bob.id, ada.id, house.clock.now())
        work.workspaces.save(workspace)
    assert await shown() == set()


async def test_invitations_are_for_those_who_manage_members(house: House) -> None:
    ada, bob, cyn, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Cyn", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.MEMBER, cyn.id: Role.ADMIN})
    now = house.clock.now()
    assert await house.workspace_queries.invitations(team.id, cyn.id, now) == []
    with pytest.raises(Forbidden):
        await house.workspace_queries.invitations(team.id, bob.id, now)
    with pytest.raises(NotFound):
        await house.workspace_queries.invitations(team.id, eve.id, now)


async def _walk_workspaces(house: House, by: AccountId, limit: int) -> Sequence[UUID]:
    seen: list[UUID] = []
    cursor = None
    while True:
        page = await house.workspace_queries.page(by, cursor, limit)
        seen += [view.id for view in page.data]
        cursor = page.next_cursor
        if cursor is None:
            return seen
