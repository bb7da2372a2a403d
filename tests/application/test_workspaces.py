"""Who gets into a workspace, as what, what they may do there, and how it ends."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from application.feeds import Channels
from application.paging import PAGE_MAX
from application.ports.workspaces import WorkspaceView
from application.principal import Principal
from application.tasks import NewTask, TaskQuery
from application.workspaces import (
    Acceptance,
    InvitationMade,
    NewInvitation,
    NewWorkspace,
    RoleChange,
    Transfer,
    WorkspacePatch,
)
from domain.access import Role
from domain.errors import Forbidden, Invalid, NotFound, QuotaExceeded, VersionConflict
from domain.ids import AccountId, InvitationId, TaskId, WorkspaceId
from domain.workspaces import (
    INVITATION_LIFETIME,
    InvitationSpent,
    PersonalWorkspace,
    SlugTaken,
    SoleOwner,
)
from tests.application.office import ROLES, Office

Act = Callable[[Office, Principal], Awaitable[object]]
NEWCOMER_ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER)

# What is done to the team, and who may do it.
PERMISSIONS: dict[str, tuple[Act, str]] = {
    "read": (lambda o, by: o.workspaces.read(by, o.team), "owner admin member viewer"),
    "read members": (lambda o, by: o.workspaces.members(by, o.team, None, 50), "owner admin member viewer"),
    "rename": (lambda o, by: o.workspaces.change(by, o.team, WorkspacePatch(name="New")), "owner admin"),
    "read invitations": (lambda o, by: o.workspaces.invitations(by, o.team), "owner admin"),
    "invite a member": (lambda o, by: o.workspaces.invite(by, o.team, NewInvitation()), "owner admin"),
    "invite an admin": (lambda o, by: o.workspaces.invite(by, o.team, NewInvitation(Role.ADMIN)), "owner"),
    "invite an owner": (lambda o, by: o.workspaces.invite(by, o.team, NewInvitation(Role.OWNER)), "owner"),
    "promote a viewer": (lambda o, by: lift(o, by, "viewer", Role.MEMBER), "owner admin"),
    "make an admin": (lambda o, by: lift(o, by, "member", Role.ADMIN), "owner"),
    "demote an admin": (lambda o, by: lift(o, by, "admin", Role.VIEWER), "owner"),
    "remove the viewer": (lambda o, by: o.workspaces.remove(by, o.team, o.viewer.account_id), "owner admin viewer"),
    "remove the member": (lambda o, by: o.workspaces.remove(by, o.team, o.member.account_id), "owner admin member"),
    "remove the admin": (lambda o, by: o.workspaces.remove(by, o.team, o.admin.account_id), "owner admin"),
    "transfer": (lambda o, by: o.workspaces.transfer(by, o.team, Transfer(o.member.account_id)), "owner"),
    "delete": (lambda o, by: o.workspaces.delete(by, o.team), "owner"),
}


def lift(office: Office, by: Principal, whom: str, role: Role) -> Awaitable[None]:
    return office.workspaces.change_role(by, office.team, office.people[whom].account_id, RoleChange(role))


@pytest.fixture
async def office() -> Office:
    return await Office.open()


async def roles(office: Office) -> dict[str, Role]:
    """What everybody is, by name, as the owner sees it."""
    members = (await office.workspaces.members(office.owner, office.team, None, PAGE_MAX)).data
    names = {person.account_id: name for name, person in office.people.items()}
    return {names[AccountId(member.account_id)]: member.role for member in members}


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("what", PERMISSIONS)
async def test_each_role_can_do_what_the_table_says(office: Office, what: str, who: str) -> None:
    before = await office.news()
    act, allowed = PERMISSIONS[what]
    if who in allowed.split():
        await act(office, office.people[who])
        return
    with pytest.raises(NotFound if who == "stranger" else Forbidden):
        await act(office, office.people[who])
    assert await office.news() == before


async def test_everybody_has_a_personal_workspace_that_stays_theirs(office: Office) -> None:
    mine = WorkspaceId(office.member.account_id)
    view = await office.workspaces.read(office.member, mine)
    assert (view.kind, view.my_role, view.member_count, view.name) == ("personal", "owner", 1, "member's workspace")
    with pytest.raises(NotFound):
        await office.workspaces.read(office.owner, mine)
    for refused in (
        office.workspaces.delete(office.member, mine),
        office.workspaces.remove(office.member, mine, office.member.account_id),
        office.workspaces.invite(office.member, mine, NewInvitation()),
    ):
        with pytest.raises(PersonalWorkspace):
            await refused
    renamed = await office.workspaces.change(office.member, mine, WorkspacePatch(name="My corner"), version=1)
    assert (renamed.name, renamed.version) == ("My corner", 2)


async def test_who_creates_a_workspace_owns_it(office: Office) -> None:
    made = await office.workspaces.create(office.stranger, NewWorkspace(" Research ", "research"))
    assert (made.name, made.slug, made.kind, made.my_role, made.version) == ("Research", "research", "team", "owner", 1)
    listed = (await office.workspaces.page(office.stranger, None, 50)).data
    assert [workspace.kind for workspace in listed] == ["personal", "team"]
    assert listed[1] == made
    unnamed = await office.workspaces.create(office.stranger, NewWorkspace("Research"))
    assert unnamed.slug.startswith("w-")


async def test_a_slug_names_one_workspace_until_that_is_deleted(office: Office) -> None:
    first = await office.workspaces.create(office.owner, NewWorkspace("Research", "research"))
    with pytest.raises(SlugTaken) as refused:
        await office.workspaces.create(office.stranger, NewWorkspace("Research", "research"))
    assert refused.value.pointer == "/slug"
    with pytest.raises(SlugTaken):
        await office.workspaces.change(office.owner, office.team, WorkspacePatch(slug="research"))
    await office.workspaces.delete(office.owner, WorkspaceId(first.id))
    assert (await office.workspaces.create(office.stranger, NewWorkspace("Research", "research"))).slug == "research"


async def test_one_account_has_at_most_fifty_workspaces(office: Office) -> None:
    for number in range(49):  # the personal one counts
        await office.workspaces.create(office.stranger, NewWorkspace("Another", f"another-{number}"))
    made = await office.workspaces.invite(office.owner, office.team, NewInvitation())
    with pytest.raises(QuotaExceeded):
        await office.workspaces.create(office.stranger, NewWorkspace("One more", "one-more"))
    with pytest.raises(QuotaExceeded):
        await office.workspaces.accept(office.stranger, Acceptance(made.token))
    (unused,) = (await office.workspaces.invitations(office.owner, office.team)).data
    assert unused.uses == 0


async def test_whoever_is_a_member_already_opens_the_link_again_however_many_workspaces_they_have(
    office: Office,
) -> None:
    made = await office.workspaces.invite(office.owner, office.team, NewInvitation())
    await office.workspaces.accept(office.stranger, Acceptance(made.token))
    for number in range(48):
        await office.workspaces.create(office.stranger, NewWorkspace("Another", f"another-{number}"))
    again = await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert (again.id, again.my_role) == (office.team, Role.MEMBER)


async def test_every_member_sees_what_is_used_and_how_much_there_may_be(office: Office) -> None:
    await office.task(assignee_ids=[office.admin.account_id])
    seen = await office.workspaces.usage(office.viewer, office.team)
    assert {kind: (use.used, use.limit) for kind, use in seen.items()} == {
        "tasks": (1, 200_000),
        "open_tasks": (0, 10_000),
        "comments": (0, 1_000_000),
        "members": (4, 500),
        "invitations": (0, 200),
        "workspace_rooms": (0, 50),
    }
    assert (await office.workspaces.usage(office.admin, office.team))["open_tasks"].used == 1
    with pytest.raises(NotFound):
        await office.workspaces.usage(office.stranger, office.team)


async def test_a_change_for_another_version_is_refused_with_the_present_workspace(office: Office) -> None:
    seen = (await office.workspaces.read(office.admin, office.team)).version
    changed = await office.workspaces.change(office.admin, office.team, WorkspacePatch(name="New"), version=seen)
    for refused in (
        office.workspaces.change(office.admin, office.team, WorkspacePatch(name="Lost"), version=seen),
        office.workspaces.delete(office.owner, office.team, version=seen),
    ):
        with pytest.raises(VersionConflict) as conflict:
            await refused
        current = conflict.value.extra["current"]
        assert isinstance(current, WorkspaceView)
        assert (current.name, current.version, conflict.value.extra["current_version"]) == ("New", seen + 1, seen + 1)
    assert changed.version == seen + 1


async def test_a_patch_that_changes_nothing_leaves_no_trace(office: Office) -> None:
    seen, before = await office.workspaces.read(office.admin, office.team), await office.news()
    view = await office.workspaces.change(office.admin, office.team, WorkspacePatch(name="Operations"))
    assert (view, await office.news()) == (seen, before)


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        (WorkspacePatch(name="  "), "/name"),
        (WorkspacePatch(name="nul\x00"), "/name"),
        (WorkspacePatch(name="x" * 101), "/name"),
        (WorkspacePatch(slug="-x-"), "/slug"),
        (WorkspacePatch(slug="Upper"), "/slug"),
        (WorkspacePatch(slug="new\n"), "/slug"),
    ],
)
async def test_what_a_workspace_cannot_be_called_is_refused(
    office: Office, patch: WorkspacePatch, pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await office.workspaces.change(office.admin, office.team, patch)
    assert refused.value.pointer == pointer


async def invited(office: Office, **values: object) -> InvitationMade:
    return await office.workspaces.invite(office.owner, office.team, NewInvitation(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize("role", NEWCOMER_ROLES)
async def test_a_link_lets_somebody_in_with_the_role_it_carries(office: Office, role: Role) -> None:
    made = await invited(office, role=role)
    view = await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert (view.id, view.my_role, view.member_count) == (office.team, role, 5)
    assert (await roles(office))["stranger"] is role
    (told,) = await office.news("me", after=1, by=office.stranger)
    assert (told.type, told.data) == ("workspace.joined", {"workspace_id": str(office.team), "role": role.value})
    added = (await office.news())[-1]
    assert (added.type, added.actor) == ("member.added", office.stranger.account_id)
    assert added.data["invited_by"] == str(office.owner.account_id)


async def test_the_secret_of_a_link_is_shown_once_and_no_two_are_alike(office: Office) -> None:
    first, second = await invited(office), await invited(office)
    assert first.token != second.token
    assert len(first.token) >= 32
    for seen in (await office.workspaces.invitations(office.admin, office.team), await office.news()):
        assert first.token not in repr(seen)


async def test_a_link_is_good_until_it_expires(office: Office) -> None:
    made = await invited(office, max_uses=2)
    assert made.invitation.expires_at == office.clock.now() + INVITATION_LIFETIME
    office.clock.advance(INVITATION_LIFETIME - timedelta(milliseconds=1))
    await office.workspaces.accept(office.stranger, Acceptance(made.token))
    office.clock.advance(timedelta(milliseconds=1))
    with pytest.raises(InvitationSpent):
        await office.workspaces.accept(await office.hire("late"), Acceptance(made.token))
    assert (await office.workspaces.invitations(office.owner, office.team)).data == []


async def test_a_link_is_good_for_so_many_and_members_use_none_of_it_up(office: Office) -> None:
    made = await invited(office, max_uses=2)
    for name in ("first", "second"):
        await office.workspaces.accept(await office.hire(name), Acceptance(made.token))
        before = await office.news()
        assert (await office.workspaces.accept(office.people[name], Acceptance(made.token))).my_role is Role.MEMBER
        assert (await office.workspaces.accept(office.owner, Acceptance(made.token))).my_role is Role.OWNER
        assert await office.news() == before
    with pytest.raises(InvitationSpent):
        await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert (await office.workspaces.invitations(office.owner, office.team)).data == []


async def test_a_link_that_was_taken_back_lets_nobody_in(office: Office) -> None:
    made = await invited(office)
    id = InvitationId(made.invitation.id)
    for nobody in (office.member, office.viewer):
        with pytest.raises(Forbidden):
            await office.workspaces.withdraw(nobody, office.team, id)
    with pytest.raises(NotFound):
        await office.workspaces.withdraw(office.stranger, office.team, id)
    with pytest.raises(NotFound):
        await office.workspaces.withdraw(office.stranger, WorkspaceId(office.stranger.account_id), id)
    await office.workspaces.withdraw(office.admin, office.team, id)
    with pytest.raises(InvitationSpent):
        await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert (await office.workspaces.invitations(office.owner, office.team)).data == []


async def test_a_link_that_nobody_made_reads_like_one_into_a_deleted_workspace(office: Office) -> None:
    made = await invited(office)
    await office.workspaces.delete(office.owner, office.team)
    for token in (made.token, "x" * 43):
        with pytest.raises(NotFound):
            await office.workspaces.accept(office.stranger, Acceptance(token))


@pytest.mark.parametrize(
    "values",
    [{"max_uses": 0}, {"max_uses": 501}, {"after": timedelta(0)}, {"after": timedelta(days=28, milliseconds=1)}],
)
async def test_a_link_has_bounds(office: Office, values: dict[str, object]) -> None:
    after = values.pop("after", None)
    if isinstance(after, timedelta):
        values["expires_at"] = office.clock.now() + after
    with pytest.raises(Invalid):
        await invited(office, **values)


@pytest.mark.parametrize("fall", [Role.MEMBER, Role.VIEWER, None])
async def test_a_link_ends_with_the_power_of_its_maker_like_one_that_ran_out(office: Office, fall: Role | None) -> None:
    made = await office.workspaces.invite(office.admin, office.team, NewInvitation(Role.MEMBER, 2))
    expired = await invited(office)
    if fall is None:
        await office.workspaces.remove(office.owner, office.team, office.admin.account_id)
    else:
        await lift(office, office.owner, "admin", fall)
    with pytest.raises(InvitationSpent) as powerless:
        await office.workspaces.accept(office.stranger, Acceptance(made.token))
    assert [i.id for i in (await office.workspaces.invitations(office.owner, office.team)).data] == [
        expired.invitation.id
    ]
    office.clock.advance(INVITATION_LIFETIME)
    with pytest.raises(InvitationSpent) as late:
        await office.workspaces.accept(office.stranger, Acceptance(expired.token))
    assert (powerless.value.detail, powerless.value.code) == (late.value.detail, late.value.code)


async def test_a_former_owner_lets_in_whom_an_admin_may_and_no_more_owners(office: Office) -> None:
    made = {role: await invited(office, role=role) for role in (Role.OWNER, Role.ADMIN, Role.VIEWER)}
    await office.workspaces.transfer(office.owner, office.team, Transfer(office.member.account_id))
    for role in (Role.OWNER, Role.ADMIN):
        with pytest.raises(InvitationSpent):
            await office.workspaces.accept(office.stranger, Acceptance(made[role].token))
    assert (await office.workspaces.accept(office.stranger, Acceptance(made[Role.VIEWER].token))).my_role is Role.VIEWER


async def test_teams_without_a_slug_get_different_ones_although_ids_are_foreseeable(office: Office) -> None:
    slugs = {(await office.workspaces.create(office.owner, NewWorkspace("Team"))).slug for _ in range(3)}
    assert len(slugs) == 3


async def test_a_workspace_always_keeps_an_owner(office: Office) -> None:
    owner = office.owner.account_id
    for refused in (
        office.workspaces.remove(office.owner, office.team, owner),
        lift(office, office.owner, "owner", Role.MEMBER),
    ):
        with pytest.raises(SoleOwner):
            await refused
    await lift(office, office.owner, "admin", Role.OWNER)
    with pytest.raises(Forbidden):
        await lift(office, office.member, "owner", Role.MEMBER)
    await office.workspaces.remove(office.owner, office.team, owner)
    with pytest.raises(SoleOwner):
        await office.workspaces.remove(office.admin, office.team, office.admin.account_id)


async def test_ownership_is_handed_over_in_one_step(office: Office) -> None:
    view = await office.workspaces.transfer(office.owner, office.team, Transfer(office.viewer.account_id))
    assert view.my_role is Role.ADMIN
    assert await roles(office) == {
        "owner": Role.ADMIN, "admin": Role.ADMIN, "member": Role.MEMBER, "viewer": Role.OWNER
    }  # fmt: skip
    with pytest.raises(Forbidden):
        await office.workspaces.delete(office.owner, office.team)
    before = await office.news()
    await office.workspaces.transfer(office.viewer, office.team, Transfer(office.viewer.account_id))
    assert await office.news() == before
    with pytest.raises(NotFound):
        await office.workspaces.transfer(office.viewer, office.team, Transfer(office.stranger.account_id))


async def test_who_leaves_is_a_stranger_and_told_so(office: Office) -> None:
    task = await office.task()
    await office.workspaces.remove(office.member, office.team, office.member.account_id)
    await office.workspaces.remove(office.admin, office.team, office.viewer.account_id)
    for who, reason in ((office.member, "left"), (office.viewer, "removed")):
        (told,) = await office.news("me", after=2, by=who)
        assert (told.type, told.data["reason"]) == ("workspace.left", reason)
        with pytest.raises(NotFound):
            await office.tasks.read(who, TaskId(task.id))
        with pytest.raises(NotFound):
            await office.workspaces.read(who, office.team)
    with pytest.raises(NotFound):
        await office.workspaces.remove(office.owner, office.team, office.viewer.account_id)


async def test_of_a_deleted_workspace_nothing_is_left_to_anybody(office: Office) -> None:
    task = await office.task()
    await office.workspaces.delete(office.owner, office.team)
    channels: Channels = office.channels
    acts: list[Callable[[Principal], Awaitable[object]]] = [
        *(lambda by, act=act: act(office, by) for act, _ in PERMISSIONS.values()),
        lambda by: office.tasks.read(by, TaskId(task.id)),
        lambda by: office.tasks.restore(by, TaskId(task.id)),
        lambda by: office.tasks.open(by, NewTask("x", workspace_id=office.team)),
        lambda by: office.tasks.page(by, office.team, TaskQuery(), "created_at", None, 10),
        lambda by: channels.feed(by, f"workspace:{office.team}"),
        lambda by: channels.feed(by, f"task:{task.id}"),
    ]
    for act in acts:
        for who in ROLES:
            with pytest.raises(NotFound):
                await act(office.people[who])
    for who in ROLES[:4]:
        assert (await office.news("me", by=office.people[who]))[-1].data["reason"] == "deleted"
        assert len((await office.workspaces.page(office.people[who], None, 50)).data) == 1


async def test_a_change_of_role_is_told_to_the_workspace_and_to_its_member(office: Office) -> None:
    await lift(office, office.owner, "viewer", Role.MEMBER)
    change = (await office.news())[-1]
    assert (change.type, change.changes) == ("member.role_changed", {"role": ("viewer", "member")})
    assert (await office.news("me", by=office.viewer))[-1].data["role"] == "member"
    before = await office.news()
    await lift(office, office.owner, "viewer", Role.MEMBER)
    assert await office.news() == before
    with pytest.raises(NotFound):
        await lift(office, office.owner, "stranger", Role.MEMBER)
