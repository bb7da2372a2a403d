"""What is told by mail, when, and in how many letters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from dependency_injector import providers

from adapters.mail import KeptMailer
from application.due import Later
from application.notifications import AllRead, Chosen, Preferences, QuietBetween
from application.ports.mail import Letter
from application.rooms import RoomInvitation
from application.tasks import TaskPatch
from domain.errors import NotFound
from domain.ids import RoomId
from domain.notifications import Digest
from entrypoints.container import offline
from tests.application.told_team import Team, a_room
from tests.support.builders import principal

MAILS_ALL = {"task.commented": Chosen(in_app=True, email=True)}


class Post:
    """The letters of a team that were sent."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.seen: Counter[int] = Counter()
        self.later = Later(team.house.due(), team.house.broker(), team.clock, team.house.observer())

    async def sent(self, number: int) -> Sequence[Letter]:
        """The letters to this member since the last call, as soon as all is done that is due."""
        await self.team.finish()
        for _ in range(3):
            await self.later.turn()
        mailer = cast(KeptMailer, self.team.house.mailer())
        to = self.team.members[number].email
        mine = [each.letter for each in mailer.sent if each.letter.to == to]
        before, self.seen[number] = self.seen[number], len(mine)
        return mine[before:]


@pytest.fixture
async def team() -> Team:
    return await Team().come()


@pytest.fixture
def post(team: Team) -> Post:
    return Post(team)


def said(letter: Letter) -> list[tuple[object, object]]:
    lines = cast(Sequence[Mapping[str, Any]], letter.data["lines"])
    return [(line["sentence"], line["count"]) for line in lines]


async def test_what_is_important_is_mailed_at_once_and_the_rest_is_not(team: Team, post: Post) -> None:
    task = await team.open(0, 1)
    await team.say(task, 0)
    (letter,) = await post.sent(1)
    assert (letter.name, said(letter)) == ("notification", [("You were given a task.", 1)])
    assert letter.unsubscribe is not None
    assert [await post.sent(number) for number in (0, 2)] == [[], []]
    await team.say(task, 0, 1)
    for _ in range(2):  # of a group the first is mailed
        await team.say(task, 2, 1)
    assert [said(letter) for letter in await post.sent(1)] == [[("A comment on a task mentions you.", 1)]]


async def test_a_letter_waits_for_the_end_of_quiet_hours_by_the_clock_of_its_reader(team: Team, post: Post) -> None:
    async with team.work() as work:
        bob = await work.accounts.get(team.members[1].id)
        bob.change(team.clock.now(), time_zone="Asia/Tokyo")
        work.accounts.save(bob)
    team.clock.advance(datetime(2026, 1, 5, 14, tzinfo=UTC) - team.clock.now())  # 23:00 in Tokyo
    wanted = Preferences(MAILS_ALL, QuietBetween("22:00", "07:00"))
    await team.inbox.choose(principal(team.members[1]), wanted)
    task = await team.open(0, 1)
    for _ in range(2):
        await team.say(task, 0)
    assert await post.sent(1) == []
    team.clock.advance(datetime(2026, 1, 5, 21, 59, tzinfo=UTC) - team.clock.now())
    assert await post.sent(1) == []
    team.clock.advance(timedelta(minutes=1))
    (letter,) = await post.sent(1)
    assert (letter.name, said(letter)) == (
        "digest",
        [("You were given a task.", 1), ("Somebody commented on a task that you watch.", 2)],
    )
    assert cast(Any, letter.data["lines"])[0]["at"] == "05 Jan 2026, 23:00 (Asia/Tokyo)"
    assert await post.sent(1) == []


async def test_a_digest_leaves_out_what_was_read_meanwhile_and_is_not_sent_empty(team: Team, post: Post) -> None:
    bob = principal(team.members[1])
    await team.inbox.choose(bob, Preferences(digest=Digest.HOURLY))
    await team.open(0, 1)
    await team.finish()
    await team.inbox.read_all(bob, AllRead(team.clock.now()))
    team.clock.advance(timedelta(seconds=1))
    second = await team.open(0, 1)
    await team.tasks.edit(principal(team.members[0]), second, TaskPatch(title="Another"))
    await team.finish()
    team.clock.advance(timedelta(hours=1))
    assert [len(said(letter)) for letter in await post.sent(1)] == [1]
    await team.open(0, 1)
    await team.finish()
    await team.inbox.read_all(bob, AllRead(team.clock.now()))
    team.clock.advance(timedelta(hours=1))
    assert await post.sent(1) == []
    assert await post.later.turn() == 0


async def test_a_digest_says_a_bounded_number_of_things_and_counts_the_others(team: Team, post: Post) -> None:
    await team.inbox.choose(principal(team.members[1]), Preferences(digest=Digest.DAILY))
    for _ in range(53):
        await team.open(0, 1)
    await team.finish()
    team.clock.advance(timedelta(days=1))
    (letter,) = await post.sent(1)
    assert (len(said(letter)), letter.data["more"]) == (50, 3)


async def test_who_wants_mail_only_has_no_notification(team: Team, post: Post) -> None:
    await team.inbox.choose(principal(team.members[1]), Preferences({"task.assigned": Chosen(False, True)}))
    await team.open(0, 1)
    assert len(await post.sent(1)) == 1
    assert await team.told(1) == []


async def test_a_letter_says_when_a_task_is_due_where_its_reader_is(team: Team, post: Post) -> None:
    ada = principal(team.members[0])
    await team.inbox.choose(ada, Preferences({"task.due_soon": Chosen(True, True)}))
    task, due_at = await team.open(0), team.clock.now() + timedelta(days=2)
    await team.tasks.edit(ada, task, TaskPatch(due_at=due_at))
    team.clock.advance(timedelta(days=1))
    await post.later.turn()
    (letter,) = await post.sent(0)
    assert cast(Any, letter.data["lines"])[0]["due"] == "07 Jan 2026, 09:00 (UTC)"


async def test_one_click_ends_the_letters_but_not_the_notifications(team: Team, post: Post) -> None:
    await team.open(0, 1)
    (letter,) = await post.sent(1)
    assert letter.unsubscribe is not None
    token = letter.unsubscribe.partition("?token=")[2]
    for _ in range(2):
        await team.inbox.unsubscribe(token)
    await team.open(0, 1)
    assert await post.sent(1) == []
    assert len(await team.told(1)) == 2
    with pytest.raises(NotFound):
        await team.inbox.unsubscribe(token[:-1] + "!")


async def test_an_address_that_nobody_has_verified_is_mailed_nothing_where_it_has_to_be() -> None:
    settings = msgspec.structs.replace(offline(), email_verification="on")
    team = await Team(settings=providers.Object(settings)).come()
    post = Post(team)
    await team.open(0, 1, 2)
    async with team.work() as work:
        bob = await work.accounts.get(team.members[1].id)
        bob.verify_email(None, team.clock.now())
        work.accounts.save(bob)
    assert [len(await post.sent(number)) for number in (1, 2)] == [1, 0]
    assert [len(await team.told(number)) for number in (1, 2)] == [1, 1]


async def test_what_is_too_much_for_an_address_that_nobody_has_verified_comes_in_one_letter_an_hour_later() -> None:
    team = await Team(is_limited=True).come()
    post = Post(team)
    for _ in range(7):
        await team.open(0, 1)
    assert [letter.name for letter in await post.sent(1)] == ["notification"] * 5
    team.clock.advance(timedelta(hours=1))
    assert [len(said(letter)) for letter in await post.sent(1)] == [2]


async def test_no_title_becomes_a_link_in_a_letter(team: Team, post: Post) -> None:
    task = await team.open(0)
    ada = principal(team.members[0])
    await team.tasks.edit(ada, task, TaskPatch(title="You won v1.2: http://evil.example/win, see evil.example"))
    await team.tasks.assign(ada, task, team.members[1].id)
    (letter,) = await post.sent(1)
    assert cast(Any, letter.data["lines"])[0]["title"] == "OPE-1 You won v1.2: … see …"


async def test_who_is_asked_into_a_room_gets_its_code_by_mail(team: Team, post: Post) -> None:
    room = await a_room(team)
    await team.house.rooms().invite(principal(team.members[0]), RoomId(room.id), RoomInvitation(team.members[1].id))
    (letter,) = await post.sent(1)
    (fact,) = cast(Any, letter.data["lines"])[0]["facts"]
    assert room.join_code in fact


async def test_a_digest_says_nothing_of_a_workspace_that_its_reader_has_left(team: Team, post: Post) -> None:
    await team.inbox.choose(principal(team.members[1]), Preferences(digest=Digest.HOURLY))
    await team.open(0, 1)
    await team.finish()
    async with team.work() as work:
        workspace = await work.workspaces.get(team.id)
        workspace.remove(team.members[1].id, team.members[0].id, team.clock.now())
        work.workspaces.save(workspace)
    team.clock.advance(timedelta(hours=1))
    assert await post.sent(1) == []
