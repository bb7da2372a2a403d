"""Who may do what in a workspace, and that somebody always owns it."""

import re
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import Role
from domain.errors import DomainError, Forbidden, Invalid, NotFound
from domain.ids import AccountId, InvitationId, WorkspaceId
from domain.kernel import Event
from domain.workspaces import (
    INVITATION_LIFETIME,
    INVITATION_USES_MAX,
    NAME_MAX,
    Invitation,
    InvitationForAnother,
    InvitationSpent,
    PersonalWorkspace,
    SoleOwner,
    Workspace,
    WorkspaceKind,
    task_prefix,
)

ADA, BOB, EVE, SAM = PEOPLE = [AccountId(UUID(int=n)) for n in (1, 2, 3, 4)]
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def a_workspace(kind: WorkspaceKind = WorkspaceKind.TEAM, **roles: Role) -> Workspace:
    """Ada's workspace with Bob, Eve and Sam in the roles that are given (`bob=Role.ADMIN`), saved."""
    workspace = Workspace.create(WorkspaceId(UUID(int=7)), "Operations", "operations", kind, ADA, NOW)
    for name, role in roles.items():
        workspace.admit({"bob": BOB, "eve": EVE, "sam": SAM}[name], role, ADA, NOW)
    workspace.take_news()
    return workspace


def an_invitation(workspace: Workspace, by: AccountId = ADA, role: Role = Role.MEMBER, max_uses: int = 1) -> Invitation:
    return workspace.invite(
        InvitationId(UUID(int=8)), role, b"digest", max_uses, NOW + INVITATION_LIFETIME, by=by, at=NOW
    )


def told(workspace: Workspace) -> list[tuple[str, str]]:
    """Type and stream of the news."""
    return [(event.type, event.stream.partition(":")[0]) for event in workspace.take_news()]


# ------------------------------------------------------------------------------------- always owned, whatever happens

Verb = Callable[[Workspace, AccountId, AccountId, Role], object]
VERBS: dict[str, Verb] = {
    "admit": lambda w, by, other, role: w.admit(other, role, by, LATER),
    "invite and accept": lambda w, by, other, role: w.accept(an_invitation(w, by, role), other, LATER),
    "change role": lambda w, by, other, role: w.change_role(other, role, by, LATER),
    "remove": lambda w, by, other, role: w.remove(other, by, LATER),
    "transfer": lambda w, by, other, role: w.transfer(other, by, LATER),
    "rename": lambda w, by, other, role: w.change(by, LATER, name=f"Named by {role.value}"),
    "delete": lambda w, by, other, role: w.delete(by, LATER),
}
steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(VERBS)), st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.sampled_from(list(Role))
    ),
    max_size=30,
)


@given(st.sampled_from(WorkspaceKind), steps)
def test_whatever_people_do_a_workspace_has_an_owner_until_it_is_deleted(
    kind: WorkspaceKind, steps: list[tuple[str, AccountId, AccountId, Role]]
) -> None:
    workspace = a_workspace(kind)
    for verb, by, other, role in steps:
        before = deepcopy(workspace)
        try:
            VERBS[verb](workspace, by, other, role)
        except DomainError:
            if verb != "invite and accept":
                assert workspace == before, f"{verb} was refused and changed something"
                assert not workspace.has_news
        if workspace.deleted_at:  # no store hands it out again
            assert workspace.members == {}
            break
        assert [member for member in workspace.members.values() if member.role is Role.OWNER]
        assert all(member.account_id == account for account, member in workspace.members.items())
        if kind is WorkspaceKind.PERSONAL:
            assert list(workspace.members) == [ADA]
        workspace.take_news()


@given(steps)
def test_nobody_but_an_owner_makes_or_unmakes_anyone_of_their_own_rank_or_above(
    steps: list[tuple[str, AccountId, AccountId, Role]],
) -> None:
    workspace = a_workspace()
    for verb, by, other, role in steps:
        if verb in {"admit", "delete"}:  # neither depends on ranks
            continue
        acting = workspace.members.get(by)
        before = {account: member.role for account, member in workspace.members.items()}
        try:
            VERBS[verb](workspace, by, other, role)
        except DomainError:
            continue
        after = {account: member.role for account, member in workspace.members.items()}
        for account in before.keys() | after.keys():
            was, is_now = before.get(account), after.get(account)
            if was is not is_now and account != by:
                assert acting is not None
                for touched in (was, is_now):
                    assert acting.role is Role.OWNER or touched is None or acting.role.outranks(touched)


@given(steps)
def test_replaying_the_membership_events_gives_the_members(steps: list[tuple[str, AccountId, AccountId, Role]]) -> None:
    workspace = a_workspace()
    roles: dict[AccountId, object] = {ADA: Role.OWNER}
    for verb, by, other, role in steps:
        with suppress(DomainError):
            VERBS[verb](workspace, by, other, role)
        for event in workspace.take_news():
            _replay(event, roles)
        assert roles == {account: member.role for account, member in workspace.members.items()}


def _replay(event: Event, roles: dict[AccountId, object]) -> None:
    account: AccountId = event.data.get("account_id")  # type: ignore[assignment]
    match event.type:
        case "member.added":
            roles[account] = event.data["role"]
        case "member.role_changed":
            old, new = event.changes["role"]
            assert roles[account] == old
            roles[account] = new
        case "member.removed":
            assert roles.pop(account) == event.data["role"]
        case "workspace.transferred":
            roles[event.data["from"]] = Role.ADMIN  # type: ignore[index]
            roles[event.data["to"]] = Role.OWNER  # type: ignore[index]
        case "workspace.deleted":
            roles.clear()


# ---------------------------------------------------------------------------------------------------- making, changing


def test_a_new_workspace_belongs_to_who_made_it() -> None:
    workspace = Workspace.create(WorkspaceId(UUID(int=7)), " Ops ", "ops-1", WorkspaceKind.TEAM, ADA, NOW)
    assert workspace.name == "Ops"
    assert workspace.role_of(ADA) is Role.OWNER
    (event,) = workspace.take_news()
    assert (event.type, event.data) == (
        "workspace.created",
        {"name": "Ops", "slug": "ops-1", "task_prefix": "OPS", "kind": WorkspaceKind.TEAM},
    )


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("Operations", "OPE"),
        ("HR", "HR"),
        ("Field Operations", "FO"),
        ("The quick brown fox jumps over it", "TQBFJ"),
        ("Ada's workspace", "AW"),
        ("Ada\u2019s workspace", "AW"),
        ("Élan & Søren", "ES"),
        ("Søren", "SOR"),
        ("straße", "STR"),
        ("web_team", "WT"),
        ("Phase 2 plan", "P2P"),
        ("3D printing", "DPR"),
        ("42 Zebras", "ZEB"),
        ("X", "TASK"),
        ("2026", "TASK"),
        ("日本語", "TASK"),
        ("🚀", "TASK"),
    ],
)
def test_the_keys_of_tasks_begin_with_what_the_name_is_about(name: str, prefix: str) -> None:
    assert task_prefix(name) == prefix


@given(st.text(st.characters(exclude_categories=["C"]), max_size=NAME_MAX))
def test_any_name_gives_a_prefix_that_can_begin_a_key(name: str) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9]{1,4}", task_prefix(name))


def test_the_prefix_stays_when_the_name_changes() -> None:
    workspace = a_workspace()
    workspace.change(ADA, LATER, name="Sales")
    assert workspace.task_prefix == "OPE"


@pytest.mark.parametrize("slug", ["abc", "a1-b2", "0-0", "a" * 40])
def test_a_slug_of_small_letters_digits_and_hyphens_is_taken(slug: str) -> None:
    workspace = a_workspace()
    workspace.change(ADA, LATER, slug=slug)
    assert workspace.slug == slug


@pytest.mark.parametrize("slug", ["", "ab", "a" * 41, "-abc", "abc-", "Abc", "a_c", "a c", "abc\n", "äbc"])
def test_any_other_slug_is_refused(slug: str) -> None:
    with pytest.raises(Invalid) as refusal:
        a_workspace().change(ADA, LATER, slug=slug)
    assert refusal.value.pointer == "/slug"


def test_a_stranger_is_told_that_there_is_no_such_workspace() -> None:
    workspace = a_workspace()
    for verb in ("change role", "remove", "transfer", "rename", "delete", "invite and accept"):
        with pytest.raises(NotFound):
            VERBS[verb](workspace, EVE, ADA, Role.VIEWER)


def test_admins_change_settings_and_members_do_not() -> None:
    workspace = a_workspace(bob=Role.ADMIN, eve=Role.MEMBER)
    workspace.change(BOB, LATER, name="Sales", viewers_comment=True)
    (event,) = workspace.take_news()
    assert event.changes == {"name": ("Operations", "Sales"), "viewers_comment": (False, True)}
    with pytest.raises(Forbidden):
        workspace.change(EVE, LATER, name="Mine")


def test_changing_to_what_is_so_already_announces_nothing() -> None:
    workspace = a_workspace()
    workspace.change(ADA, LATER, name="Operations ", slug="operations", viewers_comment=False)
    assert not workspace.has_news
    assert workspace.updated_at == NOW


def test_deleting_ends_every_membership_and_tells_every_member() -> None:
    workspace = a_workspace(bob=Role.ADMIN)
    with pytest.raises(Forbidden):
        workspace.delete(BOB, LATER)
    workspace.delete(ADA, LATER)
    assert workspace.members == {}
    events = workspace.take_news()
    assert [(e.type, e.stream) for e in events] == [
        ("workspace.deleted", f"workspace:{workspace.id}"),
        ("workspace.left", f"account:{ADA}"),
        ("workspace.left", f"account:{BOB}"),
    ]


# -------------------------------------------------------------------------------------------------------------- members


def test_who_comes_in_is_told_on_their_own_stream_too() -> None:
    workspace = a_workspace()
    workspace.admit(BOB, Role.MEMBER, ADA, LATER)
    assert told(workspace) == [("member.added", "workspace"), ("workspace.joined", "account")]
    assert workspace.members[BOB].joined_at == LATER


def test_who_comes_again_keeps_the_role_they_have() -> None:
    workspace = a_workspace(bob=Role.ADMIN)
    workspace.admit(BOB, Role.VIEWER, ADA, LATER)
    assert workspace.role_of(BOB) is Role.ADMIN
    assert not workspace.has_news


def test_the_last_owner_can_neither_go_nor_step_down_and_the_last_but_one_can() -> None:
    workspace = a_workspace(bob=Role.ADMIN)
    refusals: list[Callable[[], object]] = [
        lambda: workspace.remove(ADA, ADA, LATER),
        lambda: workspace.change_role(ADA, Role.MEMBER, ADA, LATER),
    ]
    for refused in refusals:
        with pytest.raises(SoleOwner):
            refused()
    workspace.change_role(BOB, Role.OWNER, ADA, LATER)
    workspace.remove(ADA, ADA, LATER)
    assert list(workspace.members) == [BOB]


def test_who_leaves_and_who_is_removed_are_told_why() -> None:
    workspace = a_workspace(bob=Role.MEMBER, eve=Role.MEMBER)
    workspace.remove(BOB, BOB, LATER)
    workspace.remove(EVE, ADA, LATER)
    reasons = [event.data["reason"] for event in workspace.take_news() if event.type == "workspace.left"]
    assert reasons == ["left", "removed"]


def test_admins_manage_those_below_them_only() -> None:
    workspace = a_workspace(bob=Role.ADMIN, eve=Role.ADMIN, sam=Role.MEMBER)
    workspace.change_role(SAM, Role.VIEWER, BOB, LATER)
    refusals: list[Callable[[], object]] = [
        lambda: workspace.change_role(SAM, Role.ADMIN, BOB, LATER),
        lambda: workspace.change_role(EVE, Role.MEMBER, BOB, LATER),
        lambda: workspace.remove(EVE, BOB, LATER),
        lambda: workspace.remove(ADA, BOB, LATER),
        lambda: workspace.change_role(BOB, Role.OWNER, BOB, LATER),
    ]
    for refused in refusals:
        with pytest.raises(Forbidden):
            refused()
    workspace.remove(SAM, BOB, LATER)
    assert SAM not in workspace.members


def test_ownership_can_be_handed_on() -> None:
    workspace = a_workspace(bob=Role.MEMBER)
    workspace.transfer(ADA, ADA, LATER)
    assert not workspace.has_news
    with pytest.raises(NotFound):
        workspace.transfer(EVE, ADA, LATER)
    workspace.transfer(BOB, ADA, LATER)
    assert (workspace.role_of(ADA), workspace.role_of(BOB)) == (Role.ADMIN, Role.OWNER)
    with pytest.raises(Forbidden):
        workspace.transfer(ADA, ADA, LATER)


def test_a_personal_workspace_stays_what_it_is() -> None:
    workspace = a_workspace(WorkspaceKind.PERSONAL)
    refusals: list[Callable[[], object]] = [
        lambda: workspace.admit(BOB, Role.VIEWER, ADA, LATER),
        lambda: an_invitation(workspace),
        lambda: workspace.remove(ADA, ADA, LATER),
        lambda: workspace.delete(ADA, LATER),
    ]
    for refused in refusals:
        with pytest.raises(PersonalWorkspace):
            refused()
    workspace.change(ADA, LATER, name="My things")
    assert workspace.name == "My things"


# ---------------------------------------------------------------------------------------------------------- invitations


def test_an_invitation_lets_in_as_many_as_it_says_and_costs_members_nothing() -> None:
    workspace = a_workspace()
    invitation = an_invitation(workspace, role=Role.VIEWER, max_uses=2)
    workspace.accept(invitation, ADA, LATER)
    assert invitation.uses == 0
    workspace.accept(invitation, BOB, LATER)
    workspace.accept(invitation, EVE, LATER)
    assert (workspace.role_of(BOB), invitation.uses) == (Role.VIEWER, 2)
    with pytest.raises(InvitationSpent):
        workspace.accept(invitation, SAM, LATER)


def test_an_invitation_to_an_address_is_for_one_account_with_it() -> None:
    workspace, id, end = a_workspace(), InvitationId(UUID(int=8)), NOW + INVITATION_LIFETIME
    invitation = workspace.invite(id, Role.MEMBER, b"digest", 1, end, ADA, NOW, " Bob@Example.ORG ")
    assert invitation.email == "bob@example.org"
    assert "example" not in repr(workspace.take_news())
    for address in (None, "eve@example.org"):
        with pytest.raises(InvitationForAnother):
            workspace.accept(invitation, EVE, LATER, None, address)
    workspace.accept(invitation, BOB, LATER, None, "bob@example.org")
    with pytest.raises(InvitationSpent):
        workspace.accept(invitation, SAM, LATER, None, "bob@example.org")
    for uses, address in ((2, "sam@example.org"), (1, "nobody")):
        with pytest.raises(Invalid):
            workspace.invite(id, Role.MEMBER, b"digest", uses, end, ADA, NOW, address)


def test_an_invitation_runs_out_at_its_moment_and_when_it_is_taken_back() -> None:
    workspace = a_workspace(bob=Role.MEMBER)
    invitation = an_invitation(workspace, max_uses=5)
    workspace.accept(invitation, EVE, invitation.expires_at - timedelta(milliseconds=1))
    with pytest.raises(InvitationSpent):
        workspace.accept(invitation, SAM, invitation.expires_at)
    with pytest.raises(Forbidden):
        workspace.withdraw(invitation, BOB, LATER)
    workspace.withdraw(invitation, ADA, LATER)
    with pytest.raises(InvitationSpent):
        workspace.accept(invitation, SAM, LATER)


@pytest.mark.parametrize(
    ("given", "fall", "is_good"),
    [
        (Role.MEMBER, Role.OWNER, True),
        (Role.OWNER, Role.OWNER, True),
        (Role.OWNER, Role.ADMIN, False),
        (Role.ADMIN, Role.ADMIN, False),
        (Role.MEMBER, Role.ADMIN, True),
        (Role.VIEWER, Role.MEMBER, False),
        (Role.VIEWER, None, False),
    ],
)
def test_an_invitation_is_as_good_as_what_its_maker_may_give_now(given: Role, fall: Role | None, is_good: bool) -> None:
    workspace = a_workspace(bob=Role.OWNER)
    invitation = an_invitation(workspace, BOB, given)
    if fall is None:
        workspace.remove(BOB, ADA, LATER)
    else:
        workspace.change_role(BOB, fall, ADA, LATER)
    if is_good:
        workspace.accept(invitation, EVE, LATER)
        assert workspace.role_of(EVE) is given
    else:
        with pytest.raises(InvitationSpent):
            workspace.accept(invitation, EVE, LATER)
        assert (invitation.uses, EVE in workspace.members) == (0, False)


def test_nobody_invites_to_their_own_rank_or_above_but_an_owner() -> None:
    workspace = a_workspace(bob=Role.ADMIN, eve=Role.MEMBER)
    assert an_invitation(workspace, BOB, Role.MEMBER).role is Role.MEMBER
    assert an_invitation(workspace, ADA, Role.OWNER).role is Role.OWNER
    for by, role in ((BOB, Role.ADMIN), (BOB, Role.OWNER), (EVE, Role.VIEWER)):
        with pytest.raises(Forbidden):
            an_invitation(workspace, by, role)


@pytest.mark.parametrize("uses", [0, -1, INVITATION_USES_MAX + 1])
def test_an_invitation_is_for_somebody_and_not_for_everybody(uses: int) -> None:
    with pytest.raises(Invalid) as refusal:
        an_invitation(a_workspace(), max_uses=uses)
    assert refusal.value.pointer == "/max_uses"


@pytest.mark.parametrize("expires_at", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=28, milliseconds=1)])
def test_an_invitation_ends_within_28_days(expires_at: datetime) -> None:
    with pytest.raises(Invalid) as refusal:
        a_workspace().invite(InvitationId(UUID(int=8)), Role.MEMBER, b"digest", 1, expires_at, by=ADA, at=NOW)
    assert refusal.value.pointer == "/expires_at"
