"""What every Idempotency and its Attempt promise: one effect and one answer for each key."""

import asyncio
from datetime import timedelta

import pytest

from application.ports.idempotency import Answer, KeyReused, StillRunning
from application.ports.unit_of_work import Stale
from application.tasks import NewTask, TaskPatch, Tasks
from domain.channels import workspace_stream
from domain.errors import NotFound
from domain.identity import Account
from domain.ids import TaskId, WorkspaceId
from tests.contracts.house import Follower, House
from tests.support.builders import a_task, an_account, principal

ANSWER = Answer(201, ((b"location", b"/tasks/1"), (b"etag", b'"1"')), b'{"\xc3\xa4":"\x00\xff"}')
MINE = b"fingerprint " * 2
OTHER = b"another one "


def tasks_of(house: House) -> Tasks:
    return Tasks(house.work, house.task_queries, house.task_numbers, house.clock, house.ids)


async def opened(house: House, account: Account, answer: Answer | None = ANSWER, key: str = "key") -> Answer:
    """Open a task under the key, or be told what was answered before."""
    async with house.idempotency.attempt(account.id, key, MINE) as attempt:
        if attempt.replay:
            return attempt.replay
        await tasks_of(house).open(principal(account), NewTask(title="Once"))
        if answer:
            attempt.record(answer)
    return answer or ANSWER


async def effects(house: House, account: Account) -> int:
    """How many tasks were opened, according to the journal."""
    stream = workspace_stream(WorkspaceId(account.id))
    entries = await house.journal.read(stream, 0, 200)
    assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
    return sum(entry.type == "task.created" for entry in entries)


async def test_a_repeated_request_has_one_effect_and_the_same_answer(house: House) -> None:
    ada = await an_account(house)
    answers = [await opened(house, ada) for _ in range(3)]
    assert answers == [ANSWER] * 3
    assert await effects(house, ada) == 1


async def test_fifty_equal_requests_at_once_have_one_effect_and_equal_answers(house: House) -> None:
    ada = await an_account(house)
    answers = await asyncio.gather(
        *(opened(house, ada, Answer(200, (), f"answer {number}".encode())) for number in range(50))
    )
    assert len(set(answers)) == 1
    assert await effects(house, ada) == 1


async def test_keys_are_each_accounts_own(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    await opened(house, ada)
    await opened(house, bob)
    await opened(house, ada, key="another key")
    assert (await effects(house, ada), await effects(house, bob)) == (2, 1)


async def test_a_key_cannot_be_used_for_another_request(house: House) -> None:
    ada = await an_account(house)
    await opened(house, ada)
    with pytest.raises(KeyReused):
        async with house.idempotency.attempt(ada.id, "key", OTHER):
            raise AssertionError("the block must not run")
    assert await opened(house, ada) == ANSWER


async def test_without_a_recorded_answer_the_effects_are_undone(house: House) -> None:
    ada = await an_account(house)
    follower = await Follower(house, workspace_stream(WorkspaceId(ada.id))).start()
    await opened(house, ada, answer=None)
    assert await effects(house, ada) == 0
    assert "task.created" not in [entry.type for entry in await follower.hints()]
    assert await opened(house, ada) == ANSWER
    assert await effects(house, ada) == 1


async def test_an_error_undoes_the_effects_even_with_an_answer(house: House) -> None:
    ada = await an_account(house)
    with pytest.raises(ZeroDivisionError):
        async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
            await tasks_of(house).open(principal(ada), NewTask(title="Never"))
            attempt.record(ANSWER)
            raise ZeroDivisionError
    assert await effects(house, ada) == 0
    async with house.idempotency.attempt(ada.id, "key", OTHER) as attempt:
        assert attempt.replay is None


async def test_nobody_else_sees_the_effects_before_the_block_is_left(house: House) -> None:
    ada = await an_account(house)
    follower = await Follower(house, workspace_stream(WorkspaceId(ada.id))).start()
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        view = await tasks_of(house).open(principal(ada), NewTask(title="Soon"))
        with pytest.raises(NotFound):
            await house.task_queries.view(TaskId(view.id), ada.id)
        assert await effects(house, ada) == 0
        assert "task.created" not in [entry.type for entry in await follower.hints()]
        attempt.record(ANSWER)
    assert (await house.task_queries.view(TaskId(view.id), ada.id)).title == "Soon"
    assert view.id in [entry.resource_id for entry in await follower.hints()]


async def test_several_units_of_work_in_one_request_build_on_each_other(house: House) -> None:
    ada = await an_account(house)
    tasks = tasks_of(house)
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        first = await tasks.open(principal(ada), NewTask(title="First"))
        for title in ("Second", "Third"):
            await tasks.edit(principal(ada), TaskId(first.id), TaskPatch(title=title))
        attempt.record(ANSWER)
    view = await house.task_queries.view(TaskId(first.id), ada.id)
    assert (view.title, view.version) == ("Third", 3)
    assert await house.journal.heads([workspace_stream(WorkspaceId(ada.id))]) == {
        workspace_stream(WorkspaceId(ada.id)): 4
    }


async def test_a_refused_unit_of_work_does_not_spoil_the_others_of_its_request(house: House) -> None:
    ada = await an_account(house)
    tasks = tasks_of(house)
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        first = await tasks.open(principal(ada), NewTask(title="First"))
        with pytest.raises(ZeroDivisionError):
            async with house.work() as work:
                found, _ = await work.tasks.get(TaskId(first.id), ada.id)
                found.edit(ada.id, house.clock.now(), title="Never")
                work.tasks.save(found)
                raise ZeroDivisionError
        attempt.record(ANSWER)
    assert (await house.task_queries.view(TaskId(first.id), ada.id)).title == "First"


async def test_a_unit_of_work_that_is_stale_in_a_request_can_be_tried_again_there(house: House) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    loaded, overtaken = asyncio.Event(), asyncio.Event()

    async def overtake() -> None:
        await loaded.wait()
        await tasks_of(house).edit(principal(ada), task.id, TaskPatch(title="Overtaken"))
        overtaken.set()

    overtaking = asyncio.create_task(overtake())
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        tries = 0
        while True:
            tries += 1
            try:
                async with house.work() as work:
                    found, _ = await work.tasks.get(task.id, ada.id)
                    loaded.set()
                    await overtaken.wait()
                    found.edit(ada.id, house.clock.now(), description=f"Try {tries}")
                    work.tasks.save(found)
                break
            except Stale:
                continue
        attempt.record(ANSWER)
    await overtaking
    view = await house.task_queries.view(task.id, ada.id)
    assert (view.title, view.description, view.version) == ("Overtaken", "Try 2", 3)


async def test_who_comes_while_the_first_is_running_waits_for_its_answer(house: House) -> None:
    ada = await an_account(house)
    inside, may_go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
            inside.set()
            await may_go.wait()
            attempt.record(ANSWER)

    running = asyncio.create_task(first())
    await inside.wait()
    twin = asyncio.create_task(opened(house, ada))
    await asyncio.sleep(0)
    assert not twin.done()
    may_go.set()
    assert await twin == ANSWER
    await running
    assert await effects(house, ada) == 0


async def test_when_the_first_fails_the_one_who_waited_does_the_work(house: House) -> None:
    ada = await an_account(house)
    inside, may_go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with house.idempotency.attempt(ada.id, "key", MINE):
            inside.set()
            await may_go.wait()

    running = asyncio.create_task(first())
    await inside.wait()
    twins = [asyncio.create_task(opened(house, ada)) for _ in range(3)]
    await asyncio.sleep(0)
    may_go.set()
    assert await asyncio.gather(*twins) == [ANSWER] * 3
    await running
    assert await effects(house, ada) == 1


async def test_who_waits_too_long_is_told_that_the_first_is_still_running(house: House) -> None:
    ada = await an_account(house)
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        with pytest.raises(StillRunning):
            await asyncio.create_task(opened(house, ada))
        attempt.record(ANSWER)
    assert await opened(house, ada) == ANSWER


async def test_requests_with_other_keys_do_not_wait(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        async with asyncio.timeout(1.5):
            await asyncio.create_task(opened(house, ada, key="another key"))
            await asyncio.create_task(opened(house, bob))
        attempt.record(ANSWER)
    assert (await effects(house, ada), await effects(house, bob)) == (1, 1)


async def test_old_answers_can_be_dropped_without_the_young_ones(house: House) -> None:
    ada = await an_account(house)
    async with house.idempotency.attempt(ada.id, "old", b"f") as attempt:
        attempt.record(ANSWER)
    await house.pass_time(timedelta(hours=25))
    async with house.idempotency.attempt(ada.id, "young", b"f") as attempt:
        attempt.record(ANSWER)
    assert await house.idempotency.forget_old(10) == 1
    async with house.idempotency.attempt(ada.id, "young", b"f") as attempt:
        assert attempt.replay == ANSWER
    async with house.idempotency.attempt(ada.id, "old", b"f") as attempt:
        assert attempt.replay is None


async def test_answers_are_kept_for_24_hours(house: House) -> None:
    ada = await an_account(house)
    await opened(house, ada)
    await house.pass_time(timedelta(hours=24, milliseconds=-1))
    assert await opened(house, ada) == ANSWER
    assert await effects(house, ada) == 1
    await house.pass_time(timedelta(milliseconds=1))
    again = Answer(200, (), b"again")
    assert await opened(house, ada, again) == again
    assert await opened(house, ada) == again
    assert await effects(house, ada) == 2


@pytest.mark.parametrize("is_answered", [True, False])
async def test_work_that_outlives_its_request_is_applied_for_itself(house: House, is_answered: bool) -> None:
    ada = await an_account(house)
    may_go = asyncio.Event()

    async def later() -> None:
        await may_go.wait()
        await a_task(house, WorkspaceId(ada.id), ada.id)

    async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
        await a_task(house, WorkspaceId(ada.id), ada.id)
        outliving = asyncio.create_task(later())
        if is_answered:
            attempt.record(ANSWER)
    may_go.set()
    await outliving
    assert await effects(house, ada) == 1 + is_answered


async def test_a_request_that_is_cancelled_leaves_nothing_and_frees_its_key(house: House) -> None:
    ada = await an_account(house)
    inside = asyncio.Event()

    async def request() -> None:
        async with house.idempotency.attempt(ada.id, "key", MINE) as attempt:
            await tasks_of(house).open(principal(ada), NewTask(title="Never"))
            attempt.record(ANSWER)
            inside.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(request())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await effects(house, ada) == 0
    await a_task(house, WorkspaceId(ada.id), ada.id)
    assert await opened(house, ada) == ANSWER
    assert await effects(house, ada) == 2
