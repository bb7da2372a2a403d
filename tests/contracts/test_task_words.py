"""What `TaskWords` promises: words that an older rule found are found anew, and nothing else changes."""

from datetime import timedelta

from application.ports.tasks import TaskFilter, TaskWords
from application.tasks import WordsAnew
from domain.ids import WorkspaceId
from tests.contracts.house import House
from tests.support.builders import a_comment, a_task, an_account


async def test_what_was_found_by_the_rule_of_now_is_left_alone(house: House) -> None:
    words: TaskWords = house.task_words
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id, title="Łódź")
    await a_comment(house, task.id, ada.id, "登录")
    house.clock.advance(timedelta(seconds=1))
    before = await house.task_queries.view(task.id, ada.id)
    assert await words.find_anew(10) == 0
    assert await WordsAnew(words).find() == 0
    assert await house.task_queries.view(task.id, ada.id) == before
    for word in ("lodz", "登"):
        page = await house.task_queries.page(
            WorkspaceId(ada.id), ada.id, TaskFilter(words=(word,)), "created_at", None, 5
        )
        assert [view.id for view in page.data] == [task.id]
