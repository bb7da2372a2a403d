"""What tasks have of a person: those that the person has to do with, and what the person said below them."""

from application.paging import PAGE_MAX, Page
from application.ports.exports import Exported
from application.ports.tasks import CommentView, TaskQueries, TaskView
from domain.ids import AccountId


def exported_tasks(queries: TaskQueries, deleted: bool) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[TaskView]:
        return await queries.of_person(account, deleted, cursor, PAGE_MAX)

    return Exported("deleted_tasks" if deleted else "tasks", page)


def exported_comments(queries: TaskQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[CommentView]:
        return await queries.comments_of_person(account, cursor, PAGE_MAX)

    return Exported("comments", page)
