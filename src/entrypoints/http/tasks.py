"""The routes of tasks and their comments."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from application.events import Events
from application.paging import PAGE_DEFAULT, Page
from application.ports.events import EventFilter, EventView
from application.ports.tasks import CommentView, TaskView
from application.tasks import (
    TASKS_READ,
    TASKS_WRITE,
    Archived,
    Bulk,
    BulkReport,
    NewComment,
    NewTask,
    TaskPatch,
    TaskQuery,
    Tasks,
)
from domain.channels import Channel
from domain.ids import AccountId, CommentId, TaskId
from domain.tasks import LABEL_MAX, TASK, Priority, Status
from domain.text import TYPED_MAX
from entrypoints.http.facts import AN_ID, Facts
from entrypoints.http.request import ApiRequest, PageCursor, PageLimit

TaskSort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "due_at", "-due_at", "priority", "-priority"
]
Words = Annotated[
    str | None,
    QueryParameter(
        max_length=200,
        description="Words that begin words of title and description, or of one comment; one word at least.",
    ),
]
DueBefore = Annotated[datetime | None, QueryParameter(description="Due before this time, and not at it.")]
DueAfter = Annotated[datetime | None, QueryParameter(description="Due at this time or after it.")]
Assignee = Annotated[str | None, QueryParameter(max_length=36, description="An account id, `me` or `none`.")]
Label = Annotated[str | None, QueryParameter(max_length=TYPED_MAX * LABEL_MAX)]
Key = Annotated[str | None, QueryParameter(max_length=30, description="What people call a task, such as `OPS-12`.")]

CHANGED = {"status": "in_progress", "due_at": "2026-03-01T12:00:00Z", "labels": ["release"]}
BULK = {
    "mode": "partial",
    "operations": [
        {"op": "create", "task": {"title": "Write the rollout plan"}},
        {"op": "update", "id": AN_ID, "patch": CHANGED, "version": 3},
        {"op": "delete", "id": AN_ID},
    ],
}


def task_routes(tasks: Tasks, events: Events) -> Router:
    """Routes under `/tasks`."""

    @get("/", facts=Facts(has_version=True, refuses={404, 422}))
    async def list_tasks(
        request: ApiRequest,
        workspace_id: FromQuery[UUID | None] = None,
        status: FromQuery[list[Status] | None] = None,
        priority: FromQuery[list[Priority] | None] = None,
        assignee: Assignee = None,
        label: Label = None,
        created_by: FromQuery[UUID | None] = None,
        due_before: DueBefore = None,
        due_after: DueAfter = None,
        overdue: FromQuery[bool] = False,
        q: Words = None,
        key: Key = None,
        archived: FromQuery[Archived] = "false",
        sort: FromQuery[TaskSort] = "-created_at",
        cursor: PageCursor = None,
        limit: PageLimit = PAGE_DEFAULT,
    ) -> Page[TaskView]:
        """The tasks of a workspace that meet all conditions. The default is the caller's personal workspace."""
        query = TaskQuery(
            tuple(status or ()),
            tuple(priority or ()),
            assignee,
            label,
            created_by,
            due_before,
            due_after,
            overdue,
            q,
            key,
            archived,
        )
        return await tasks.page(request.actor, workspace_id, query, sort, cursor, limit)

    @post(
        "/",
        facts=Facts(
            example={"title": "Write the rollout plan", "priority": "high", "labels": ["release"]}, refuses={404}
        ),
    )
    async def open_task(request: ApiRequest, data: JSONBody[NewTask]) -> TaskView:
        """Open a task."""
        return await tasks.open(request.actor, data)

    @post("/bulk", status_code=200, facts=Facts(example=BULK, current=TaskView, by_header=False, refuses={404}))
    async def bulk(request: ApiRequest, data: JSONBody[Bulk]) -> BulkReport:
        """Open, patch and delete up to 100 tasks, all or none (`atomic`) or each for itself (`partial`)."""
        return await tasks.bulk(request.actor, data)

    @get("/{id:uuid}")
    async def read_task(request: ApiRequest, id: FromPath[TaskId]) -> TaskView:
        """One task."""
        return await tasks.read(request.actor, id)

    @patch("/{id:uuid}", facts=Facts(example=CHANGED, current=TaskView))
    async def edit_task(request: ApiRequest, id: FromPath[TaskId], data: JSONBody[TaskPatch]) -> TaskView:
        """Apply a JSON merge patch; with `If-Match`, only to that version. A patch without a change emits no event."""
        return await tasks.edit(request.actor, id, data, request.version)

    @delete("/{id:uuid}", facts=Facts(current=TaskView))
    async def delete_task(request: ApiRequest, id: FromPath[TaskId]) -> None:
        """Delete a task: the caller's own, or any as an admin. It can be restored."""
        await tasks.delete(request.actor, id, request.version)

    @post("/{id:uuid}/restore", status_code=200)
    async def restore_task(request: ApiRequest, id: FromPath[TaskId]) -> TaskView:
        """Restore a deleted task."""
        return await tasks.restore(request.actor, id)

    @post("/{id:uuid}/archive", status_code=200, facts=Facts(current=TaskView))
    async def archive_task(request: ApiRequest, id: FromPath[TaskId]) -> TaskView:
        """Archive a task, which takes it out of lists; with `If-Match`, only that version."""
        return await tasks.archive(request.actor, id, request.version)

    @post("/{id:uuid}/unarchive", status_code=200, facts=Facts(current=TaskView))
    async def unarchive_task(request: ApiRequest, id: FromPath[TaskId]) -> TaskView:
        """Unarchive a task; with `If-Match`, only that version."""
        return await tasks.unarchive(request.actor, id, request.version)

    @post("/{id:uuid}/claim", status_code=200)
    async def claim_task(request: ApiRequest, id: FromPath[TaskId]) -> TaskView:
        """Claim a task that has no assignee. Of several callers at the same time, one gets it."""
        return await tasks.claim(request.actor, id)

    @put("/{id:uuid}/assignees/{account_id:uuid}")
    async def assign_task(request: ApiRequest, id: FromPath[TaskId], account_id: FromPath[AccountId]) -> TaskView:
        """Assign the task to one more active member."""
        return await tasks.assign(request.actor, id, account_id)

    @delete("/{id:uuid}/assignees/{account_id:uuid}", status_code=200)
    async def unassign_task(request: ApiRequest, id: FromPath[TaskId], account_id: FromPath[AccountId]) -> TaskView:
        """Remove an assignee from the task."""
        return await tasks.unassign(request.actor, id, account_id)

    @put("/{id:uuid}/watchers/me", status_code=204)
    async def watch_task(request: ApiRequest, id: FromPath[TaskId]) -> None:
        """Watch the task."""
        await tasks.watch(request.actor, id)

    @delete("/{id:uuid}/watchers/me")
    async def unwatch_task(request: ApiRequest, id: FromPath[TaskId]) -> None:
        """Stop watching the task."""
        await tasks.unwatch(request.actor, id)

    @get("/{id:uuid}/comments", facts=Facts(has_version=True))
    async def list_comments(
        request: ApiRequest, id: FromPath[TaskId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[CommentView]:
        """The comments of a task, oldest first."""
        return await tasks.comments(request.actor, id, cursor, limit)

    @post("/{id:uuid}/comments", facts=Facts(example={"text": "Looks good to me."}))
    async def comment(request: ApiRequest, id: FromPath[TaskId], data: JSONBody[NewComment]) -> CommentView:
        """Comment on a task; `@{account id}` mentions a member, who then watches it."""
        return await tasks.comment(request.actor, id, data)

    @patch("/{id:uuid}/comments/{comment_id:uuid}", facts=Facts(example={"text": "Looks very good to me."}))
    async def edit_comment(
        request: ApiRequest, id: FromPath[TaskId], comment_id: FromPath[CommentId], data: JSONBody[NewComment]
    ) -> CommentView:
        """Edit one of the caller's comments. The history keeps the old text."""
        return await tasks.edit_comment(request.actor, id, comment_id, data)

    @delete("/{id:uuid}/comments/{comment_id:uuid}")
    async def delete_comment(request: ApiRequest, id: FromPath[TaskId], comment_id: FromPath[CommentId]) -> None:
        """Delete a comment: the caller's own, or any as an admin."""
        await tasks.delete_comment(request.actor, id, comment_id)

    @get("/{id:uuid}/history")
    async def task_history(
        request: ApiRequest, id: FromPath[TaskId], cursor: PageCursor = None, limit: PageLimit = PAGE_DEFAULT
    ) -> Page[EventView]:
        """All events of a task, newest first, even if the task is deleted."""
        return await events.page(request.actor, str(Channel(TASK, id)), EventFilter(), True, cursor, limit)

    return Router(
        "/tasks",
        route_handlers=[
            list_tasks,
            open_task,
            bulk,
            read_task,
            edit_task,
            delete_task,
            restore_task,
            archive_task,
            unarchive_task,
            claim_task,
            assign_task,
            unassign_task,
            watch_task,
            unwatch_task,
            list_comments,
            comment,
            edit_comment,
            delete_comment,
            task_history,
        ],
        tags=["tasks"],
        opt={
            "about": "Tasks, who has and who watches them, and the comments below them.",
            "scopes": (TASKS_READ, TASKS_WRITE),
        },
    )
