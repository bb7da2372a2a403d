"""What the ports of notifications promise on both stores.

They are NotificationRepository, InboxRepository, RoundRepository, DigestRepository, NotificationQueries and
NotificationUpkeep.
"""

import asyncio
from dataclasses import replace
from datetime import time, timedelta
from uuid import UUID

import pytest

from application.paging import InvalidCursor
from application.ports.notifications import LINES_MAX, LetterLine, Round
from application.ports.unit_of_work import Stale
from domain.access import Role
from domain.errors import NotFound
from domain.ids import AccountId, NotificationId, TaskId
from domain.notifications import Digest, Inbox, Medium, Notification, QuietHours, Subject
from tests.contracts.house import House
from tests.support.builders import a_task, a_team, an_account

MINUTE = timedelta(minutes=1)
TASK = Subject("task", UUID(int=3), "OPS-1 Write the rollout plan", UUID(int=4))


async def a_notification(
    house: House, account: AccountId, type: str = "task.commented", subject: Subject = TASK
) -> Notification:
    id, now = NotificationId(house.ids.new()), house.clock.now()
    made = Notification.make(id, account, type, subject, account, {"at": now, "deep": [{"a": None}]}, now)
    async with house.work() as work:
        work.notifications.add(made)
    return made


async def read_all(house: House, account: AccountId) -> None:
    async with house.work() as work:
        inbox = await work.inboxes.get(account)
        inbox.read(house.clock.now(), house.clock.now())
        work.inboxes.save(inbox)


async def test_a_notification_is_kept_as_it_was_made_for_its_owner_alone(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    made = await a_notification(house, ada.id)
    async with house.work() as work:
        found = await work.notifications.get(made.id, ada.id)
        assert found == replace(made, details={"at": "2026-01-05T09:00:00Z", "deep": [{"a": None}]})
        for id, account in ((made.id, bob.id), (NotificationId(UUID(int=1)), ada.id)):
            with pytest.raises(NotFound):
                await work.notifications.get(id, account)


async def test_of_two_who_change_one_at_once_one_is_stale(house: House) -> None:
    ada = await an_account(house)
    made = await a_notification(house, ada.id)
    with pytest.raises(Stale):
        async with house.work() as late:
            mine = await late.notifications.get(made.id, ada.id)
            async with house.work() as work:
                found = await work.notifications.get(made.id, ada.id)
                found.mark(True, house.clock.now())
                work.notifications.save(found)
            mine.delete(house.clock.now())
            late.notifications.remove(mine)
    async with house.work() as work:
        found = await work.notifications.get(made.id, ada.id)
        assert found.read_at == house.clock.now()
        found.delete(house.clock.now())
        work.notifications.remove(found)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.notifications.get(made.id, ada.id)


async def test_what_is_unread_about_a_thing_is_found_for_each_account(house: House) -> None:
    ada, bob, eve = [await an_account(house) for _ in range(3)]
    old = await a_notification(house, ada.id)
    since = house.clock.now()
    house.clock.advance(MINUTE)
    first, newest = [await a_notification(house, ada.id) for _ in range(2)]
    await a_notification(house, ada.id, "task.assigned")
    await a_notification(house, ada.id, subject=Subject("task", UUID(int=9), "Another"))
    of_bob = await a_notification(house, bob.id)
    await a_notification(house, eve.id)
    await read_all(house, eve.id)
    async with house.work() as work:
        people = [ada.id, bob.id, eve.id]
        found = await work.notifications.unread_about(people, "task.commented", TASK.id, since)
        assert {account: each.id for account, each in found.items()} == {ada.id: newest.id, bob.id: of_bob.id}
        mine = found[ada.id]
        mine.mark(True, house.clock.now())
        work.notifications.save(mine)
    async with house.work() as work:
        found = await work.notifications.unread_about([ada.id], "task.commented", TASK.id, since)
        assert [each.id for each in found.values()] == [first.id]
        assert await work.notifications.unread_about([], "task.commented", TASK.id, since) == {}
        found[ada.id].mark(True, house.clock.now())
        work.notifications.save(found[ada.id])
    async with house.work() as work:  # what is left unread was there before
        assert await work.notifications.unread_about([ada.id], "task.commented", TASK.id, since) == {}
        assert (await work.notifications.get(old.id, ada.id)).read_at is None


async def test_what_was_read_together_is_read_and_can_be_kept_as_unread(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house)
    first, of_bob = await a_notification(house, ada.id), await a_notification(house, bob.id)
    house.clock.advance(MINUTE)
    await read_all(house, ada.id)
    at = house.clock.now()
    house.clock.advance(MINUTE)
    second = await a_notification(house, ada.id)
    page = await house.notification_queries.page(ada.id, False, None, None, 9)
    assert [(each.id, each.read_at) for each in page.data] == [(second.id, None), (first.id, at)]
    assert await house.notification_queries.unread(ada.id, None) == 1
    assert await house.notification_queries.unread(bob.id, None) == 1
    async with house.work() as work:
        kept = await work.notifications.get(first.id, ada.id)
        assert kept.read_at == at
        kept.mark(False, house.clock.now())
        work.notifications.save(kept)
    page = await house.notification_queries.page(ada.id, True, None, None, 9)
    assert [each.id for each in page.data] == [second.id, first.id]
    assert (await house.notification_queries.page(bob.id, True, None, None, 9)).data[0].id == of_bob.id


async def test_pages_lead_through_all_of_them_or_those_of_a_place(house: House) -> None:
    ada = await an_account(house)
    made = [await a_notification(house, ada.id) for _ in range(4)]
    elsewhere = await a_notification(house, ada.id, subject=Subject("account", ada.id, "Your account"))
    queries = house.notification_queries
    first = await queries.page(ada.id, False, None, None, 3)
    rest = await queries.page(ada.id, False, None, first.next_cursor, 3)
    assert [each.id for each in (*first.data, *rest.data)] == [elsewhere.id, *[each.id for each in reversed(made)]]
    assert rest.next_cursor is None
    there = await queries.page(ada.id, False, TASK.place_id, None, 9)
    assert [each.id for each in there.data] == [each.id for each in reversed(made)]
    assert (await queries.unread(ada.id, TASK.place_id), await queries.unread(ada.id, None)) == (4, 5)
    for account, unread, place in ((ada.id, True, None), (ada.id, False, TASK.place_id)):
        with pytest.raises(InvalidCursor):
            await queries.page(account, unread, place, first.next_cursor, 3)


async def test_an_inbox_is_kept_and_empty_before(house: House) -> None:
    ada = await an_account(house)
    async with house.work() as work:
        inbox = await work.inboxes.get(ada.id)
        assert inbox == Inbox(ada.id)
        assert await work.inboxes.of([ada.id]) == {}
        chosen = {"task.commented": frozenset({Medium.EMAIL}), "task.assigned": frozenset[Medium]()}
        inbox.choose(chosen, QuietHours(time(22), time(7, 30)), Digest.HOURLY, house.clock.now())
        work.inboxes.save(inbox)
    await read_all(house, ada.id)
    async with house.work() as work:
        kept = await work.inboxes.get(ada.id)
        assert (kept.choices, kept.quiet_hours, kept.digest) == (inbox.choices, inbox.quiet_hours, Digest.HOURLY)
        assert kept.read_before == house.clock.now()
        assert await work.inboxes.of([ada.id]) == {ada.id: kept}


async def test_of_two_who_choose_for_the_first_time_one_is_stale(house: House) -> None:
    ada = await an_account(house)
    with pytest.raises(Stale):
        async with house.work() as late:
            inbox = await late.inboxes.get(ada.id)
            inbox.read(house.clock.now(), house.clock.now())
            late.inboxes.save(inbox)
            await read_all(house, ada.id)


async def test_nothing_is_made_for_an_inbox_that_was_read_meanwhile(house: House) -> None:
    ada = await an_account(house)
    await read_all(house, ada.id)
    house.clock.advance(MINUTE)
    with pytest.raises(Stale):
        async with house.work() as work:
            assert [*await work.inboxes.of([ada.id])] == [ada.id]
            await read_all(house, ada.id)
            id, now = NotificationId(house.ids.new()), house.clock.now()
            work.notifications.add(Notification.make(id, ada.id, "task.commented", TASK, None, {}, now))
    assert await house.notification_queries.unread(ada.id, None) == 0


async def test_a_round_is_there_until_it_ends(house: House) -> None:
    event, now = house.ids.new(), house.clock.now()
    async with house.work() as work:
        assert await work.rounds.get(event) is None
        work.rounds.put(event, Round("task.mentioned", AccountId(UUID(int=1))), now)
    async with house.work() as work:
        assert await work.rounds.get(event) == ("task.mentioned", UUID(int=1))
        work.rounds.put(event, Round("task.commented", AccountId(UUID(int=2))), now)
    async with house.work() as work:
        assert await work.rounds.get(event) == ("task.commented", UUID(int=2))
        work.rounds.end(event)
    async with house.work() as work:
        assert await work.rounds.get(event) is None


async def test_what_is_old_is_forgotten_a_little_at_a_time(house: House) -> None:
    ada = await an_account(house)
    for _ in range(3):
        await a_notification(house, ada.id)
    house.clock.advance(timedelta(days=90) + MINUTE)
    young = await a_notification(house, ada.id)
    kept = timedelta(days=90)
    assert [await house.notification_upkeep.forget(house.clock.now(), kept, 2) for _ in range(3)] == [2, 1, 0]
    page = await house.notification_queries.page(ada.id, False, None, None, 9)
    assert [each.id for each in page.data] == [young.id]


async def test_readers_are_active_members_for_as_long_as_the_unit_lasts(house: House) -> None:
    ada, bob, eve, dan = [await an_account(house) for _ in range(4)]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER, dan.id: Role.MEMBER})
    async with house.work() as work:
        found = await work.accounts.get(dan.id)
        found.disable(house.clock.now())
        work.accounts.save(found)
    asked = frozenset({ada.id, bob.id, eve.id, dan.id})
    with pytest.raises(Stale):
        async with house.work() as work:
            assert await work.access.readers(team.id, asked) == {ada.id, bob.id}
            async with house.work() as other:
                changing = await other.workspaces.get(team.id)
                changing.remove(bob.id, ada.id, house.clock.now())
                other.workspaces.save(changing)
            work.rounds.put(house.ids.new(), Round("task.assigned", ada.id), house.clock.now())


async def test_a_task_is_found_whoever_asks_unless_it_is_deleted(house: House) -> None:
    ada = await an_account(house)
    team = await a_team(house, ada.id)
    task = await a_task(house, team.id, ada.id)
    async with house.work() as work:
        assert (await work.tasks.any(task.id)).title == task.title
        with pytest.raises(NotFound):
            await work.tasks.any(TaskId(ada.id))
        found, standing = await work.tasks.get(task.id, ada.id)
        found.delete(ada.id, standing, house.clock.now())
        work.tasks.save(found)
    async with house.work() as work:
        with pytest.raises(NotFound):
            await work.tasks.any(task.id)


async def test_several_accounts_are_found_at_once(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    async with house.work() as work:
        found = await work.accounts.get_many([ada.id, bob.id, AccountId(UUID(int=7))])
    assert {id: account.display_name for id, account in found.items()} == {ada.id: "Ada", bob.id: "Bob"}


async def test_what_was_told_to_a_deleted_account_is_erased_and_nothing_of_others(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house)
    for _ in range(3):
        await a_notification(house, ada.id)
    kept = await a_notification(house, bob.id)
    for account in (ada.id, bob.id):
        await read_all(house, account)
        async with house.work() as work:
            work.digests.gather(account, LetterLine("task.overdue", "OPS-4", house.clock.now()), house.clock.now())
    assert [await house.notification_upkeep.erase(ada.id, 2) for _ in range(3)] == [2, 1, 0]
    assert (await house.notification_queries.page(ada.id, False, None, None, 9)).data == []
    assert [each.id for each in (await house.notification_queries.page(bob.id, False, None, None, 9)).data] == [kept.id]
    async with house.work() as work:
        assert [*await work.inboxes.of([ada.id, bob.id])] == [bob.id]
        assert [await work.digests.get(account) is None for account in (ada.id, bob.id)] == [True, False]


async def test_what_is_gathered_for_a_letter_is_said_once(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house)
    now = house.clock.now()
    lines = [LetterLine("task.due_soon", f"OPS-{number}", now, house.ids.new(), now + MINUTE) for number in range(3)]
    for line, due_at in zip(lines, (now + 2 * MINUTE, now + MINUTE, now + 3 * MINUTE), strict=True):
        async with house.work() as work:
            work.digests.gather(ada.id, line, due_at)
    async with house.work() as work:
        gathered = await work.digests.get(ada.id)
        assert gathered is not None
        assert (gathered.account, [*gathered.lines], gathered.left_out) == (ada.id, lines, 0)
        assert gathered.due_at == now + MINUTE
        assert await work.digests.get(bob.id) is None
    assert (await house.digest_deadlines.look(now, 9)).first_at == now + MINUTE
    with pytest.raises(Stale):
        async with house.work() as work:
            work.digests.end(gathered)
            async with house.work() as other:
                other.digests.gather(ada.id, LetterLine("task.overdue", "OPS-4", now), now + MINUTE)
    async with house.work() as work:
        gathered = await work.digests.get(ada.id)
        assert gathered is not None
        assert gathered.lines[-1] == LetterLine("task.overdue", "OPS-4", now)
        work.digests.end(gathered)
    async with house.work() as work:
        assert await work.digests.get(ada.id) is None


async def test_a_letter_says_so_many_things_and_counts_the_others(house: House) -> None:
    ada, now = await an_account(house), house.clock.now()

    async def gather(number: int) -> None:
        async with house.work() as work:
            work.digests.gather(ada.id, LetterLine("task.overdue", f"OPS-{number}", now), now)

    await asyncio.gather(*(gather(number) for number in range(LINES_MAX + 3)))
    async with house.work() as work:
        gathered = await work.digests.get(ada.id)
    assert gathered is not None
    assert (len({line.title for line in gathered.lines}), gathered.left_out) == (LINES_MAX, 3)


async def test_what_is_still_unread_is_found_by_its_ids(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house)
    read, unread, of_bob = [await a_notification(house, account) for account in (ada.id, ada.id, bob.id)]
    async with house.work() as work:
        found = await work.notifications.get(read.id, ada.id)
        found.mark(True, house.clock.now())
        work.notifications.save(found)
    ids = [read.id, unread.id, of_bob.id, house.ids.new()]
    async with house.work() as work:
        assert [*await work.notifications.unread_of(ada.id, ids)] == [unread.id]
    await read_all(house, ada.id)
    async with house.work() as work:
        assert await work.notifications.unread_of(ada.id, ids) == {}
        assert await work.notifications.unread_of(ada.id, []) == {}
