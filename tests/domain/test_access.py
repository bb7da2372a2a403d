"""Roles allow what the table says, each more than the one below it."""

from itertools import pairwise

import pytest

from domain.access import Permission, Role, Standing
from domain.errors import Forbidden

WEAKEST_FIRST = (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER)
ALLOWED = {
    Role.VIEWER: {Permission.READ},
    Role.MEMBER: {Permission.READ, Permission.COMMENT, Permission.EDIT_TASKS, Permission.OPEN_ROOMS},
    Role.ADMIN: set(Permission) - {Permission.OWN},
    Role.OWNER: set(Permission),
}


@pytest.mark.parametrize("role", Role)
def test_a_role_allows_exactly_what_it_is_meant_to(role: Role) -> None:
    assert {permission for permission in Permission if Standing(role).allows(permission)} == ALLOWED[role]


def test_every_role_outranks_those_below_it_and_neither_itself_nor_those_above() -> None:
    for below, above in pairwise(WEAKEST_FIRST):
        assert above.outranks(below)
        assert not below.outranks(above)
        assert not above.outranks(above)
    assert Role.OWNER.outranks(Role.VIEWER)


def test_a_workspace_may_let_its_viewers_comment_and_nothing_more() -> None:
    viewer = Standing(Role.VIEWER, viewers_comment=True)
    assert {p for p in Permission if viewer.allows(p)} == {Permission.READ, Permission.COMMENT}


def test_a_refusal_names_the_permission_that_is_missing() -> None:
    with pytest.raises(Forbidden, match="viewer") as refusal:
        Standing(Role.VIEWER).require(Permission.EDIT_TASKS)
    assert refusal.value.extra == {"required_permission": "tasks:write"}
    Standing(Role.MEMBER).require(Permission.EDIT_TASKS)
