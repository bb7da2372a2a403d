"""Invitations that are mailed to an address, and who may use them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from application.invitations import MAILED_PER_MAILBOX, MAILED_PER_PAIR
from application.principal import Principal
from application.workspaces import Acceptance, InvitationMade, NewInvitation, NewWorkspace, Workspaces
from domain.access import Role
from domain.errors import Exhausted, Forbidden, Invalid
from domain.identity import EmailUnverified
from domain.ids import WorkspaceId
from domain.workspaces import InvitationForAnother
from tests.application.mail_room import ADA, BOB, MailRoom


class Team:
    """Ada's team, and what she mails from it."""

    def __init__(self, room: MailRoom, ada: Principal, id: WorkspaceId) -> None:
        self.room, self.ada, self.id = room, ada, id
        self.workspaces: Workspaces = room.container.workspaces()

    @classmethod
    async def begin(cls, room: MailRoom, name: str = "Operations", by: str = ADA) -> "Team":
        ada = (await room.register(by, display_name="Ada Lovelace")).actor
        team = await room.container.workspaces().create(ada, NewWorkspace(name))
        await room.settle()
        return cls(room, ada, WorkspaceId(team.id))

    async def invite(self, email: str = BOB, **values: object) -> InvitationMade:
        return await self.workspaces.invite(self.ada, self.id, NewInvitation(email=email, **values))  # type: ignore[arg-type]

    async def accept(self, by: Principal, token: str) -> Role:
        return (await self.workspaces.accept(by, Acceptance(token))).my_role


@pytest_asyncio.fixture
async def team() -> AsyncIterator[Team]:
    room = MailRoom("on")
    yield await Team.begin(room)
    room.close()


async def test_the_secret_of_a_mailed_invitation_is_in_the_mail_alone(team: Team) -> None:
    made = await team.invite(" Bob@Example.ORG")
    assert (made.token, made.invitation.email, made.invitation.max_uses) == ("", BOB, 1)
    assert await team.room.settle() == [("invitation", BOB)]
    (listed,) = (await team.workspaces.invitations(team.ada, team.id)).data
    assert listed == made.invitation
    letter = team.room.mailer.sent[-1].message
    assert letter["Subject"] == "Ada Lovelace invites you to Operations"
    assert await team.room.token() not in repr(await team.room.journal.read(f"workspace:{team.id}", 0, 99))


async def test_only_the_account_with_the_address_comes_in_and_once_that_is_verified(team: Team) -> None:
    await team.invite()
    token = await team.room.token()
    eve, bob = (await team.room.register("eve@example.org")).actor, (await team.room.register(BOB)).actor
    with pytest.raises(InvitationForAnother):
        await team.accept(eve, token)
    with pytest.raises(EmailUnverified):
        await team.accept(bob, token)
    await team.room.verify(await team.room.token(BOB))
    assert await team.accept(bob, token) is Role.MEMBER


async def test_the_account_with_the_address_is_told_and_nobody_else(team: Team) -> None:
    room = team.room
    bob, eve = await room.register(BOB), await room.register("eve@example.org")
    proof = await room.token(BOB)
    await team.invite()
    assert await room.told(bob) == []
    await room.verify(proof)
    await team.invite(role=Role.VIEWER)
    assert (await room.told(bob)).count("member.invited") == 1
    await team.workspaces.invite(team.ada, team.id, NewInvitation())
    assert [each for visit in (bob, eve) for each in await room.told(visit)] == ["member.invited"]
    (told,) = (await room.container.notifications().page(bob.actor, False, None, 9)).data
    assert (told.title, told.details["role"]) == ("Operations", Role.VIEWER)


async def test_where_nobody_verifies_addresses_the_right_one_is_enough() -> None:
    room = MailRoom()
    team = await Team.begin(room)
    await team.invite()
    assert await team.accept((await room.register(BOB)).actor, await room.token()) is Role.MEMBER
    room.close()


@pytest.mark.parametrize(
    ("name", "mailed"),
    [("Win at evil.example", "Win at …"), ("https://evil.example/", "…"), ("ops@evil.example", "…")],
)
async def test_a_word_that_looks_like_a_link_is_mailed_to_nobody(name: str, mailed: str) -> None:
    room = MailRoom()
    team = await Team.begin(room, name)
    await team.invite()
    await room.settle()
    message = room.mailer.sent[-1].message
    assert message["Subject"] == f"Ada Lovelace invites you to {mailed}"
    parts = [str(each.get_content()) for each in message.iter_parts()]
    assert len(parts) == 2
    assert not any("evil" in each for each in parts)
    room.close()


async def test_who_may_not_invite_mails_nothing(team: Team) -> None:
    await team.invite(role=Role.VIEWER)
    token = await team.room.token()
    bob = (await team.room.register(BOB)).actor
    await team.room.verify(await team.room.token(BOB))
    await team.accept(bob, token)
    with pytest.raises(Forbidden):
        await team.workspaces.invite(bob, team.id, NewInvitation(email="eve@example.org"))
    for values in ({"email": "nobody"}, {"max_uses": 2}):
        with pytest.raises(Invalid):
            await team.invite(**values)
    assert await team.room.settle() == []


async def test_one_account_mails_few_invitations_to_an_address_and_blocks_nobody_else(team: Team) -> None:
    """A stranger's invitation does not tell either that there were others."""
    for _ in range(MAILED_PER_PAIR.limit):
        await team.invite()
    with pytest.raises(Exhausted) as refusal:
        await team.invite()
    assert refusal.value.detail == MAILED_PER_PAIR.refusal
    assert len(await team.room.settle()) == MAILED_PER_PAIR.limit
    others = [await Team.begin(team.room, by=f"inviter{n}@example.org") for n in range(4)]
    for other in others:
        for _ in range(MAILED_PER_PAIR.limit):
            await other.invite()
    mailed = [letter for letter in await team.room.settle() if letter == ("invitation", BOB)]
    assert len(mailed) == MAILED_PER_MAILBOX.limit - MAILED_PER_PAIR.limit, (
        "a mailbox has a bound, of which nobody is told"
    )
