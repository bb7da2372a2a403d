"""The ports of the tasks context to the store, and the views of tasks that the store returns."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from application.paging import Page
from application.ports.access import Access
from application.quotas import Use
from domain.access import Standing
from domain.ids import AccountId, CommentId, TaskId, WorkspaceId
from domain.tasks import Comment, Priority, Reminder, Status, Task


class TaskView(Struct, frozen=True):
    """A task as its readers see it. `key` is its name for people, such as `OPS-12`.

    Times are RFC 3339 in UTC. `version` rises with every change and is the ETag.
    """

    id: UUID
    workspace_id: UUID
    key: str
    title: str
    description: str
    status: Status
    priority: Priority
    labels: list[str]
    assignees: list[UUID]
    watchers: list[UUID]
    due_at: datetime | None
    start_at: datetime | None
    estimate_minutes: int | None
    custom: Mapping[str, object]
    comment_count: int
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    archived_at: datetime | None
    version: int


class CommentView(Struct, frozen=True):
    """A comment on a task."""

    id: UUID
    task_id: UUID
    author_id: UUID
    text: str
    mentions: list[UUID]
    created_at: datetime
    updated_at: datetime


class TaskFilter(Struct, frozen=True, omit_defaults=True):
    """A choice of the tasks of a workspace: those that meet every condition that is set.

    `assignee` is an account, or `none` for tasks without assignees. `words` are the words that `asked` makes of a
    search: each has to begin a word of the title or description, or each a word of one and the same comment. Empty
    `words`, unlike None, match no task. `due_before` (exclusive) and `due_after` (inclusive) leave out tasks without a
    due date. `archived` True chooses tasks that are put away, False those that are not, None both.
    """

    key: str | None = None
    status: tuple[Status, ...] = ()
    priority: tuple[Priority, ...] = ()
    assignee: UUID | None = None
    unassigned: bool = False
    label: str | None = None
    created_by: UUID | None = None
    due_before: datetime | None = None
    due_after: datetime | None = None
    open_only: bool = False
    words: tuple[str, ...] | None = None
    archived: bool | None = False


# The kinds of quotas that tasks use.
COUNTED = ("open_tasks", "tasks", "comments")


class Counted(NamedTuple):
    """The quotas that a task uses: tasks and comments of its workspace, and an open task of each of `assignees`."""

    tasks: int
    comments: int
    assignees: Sequence[AccountId]

    def uses(self, place: WorkspaceId) -> Mapping[Use, int]:
        uses = {Use(place, account, "open_tasks"): 1 for account in self.assignees}
        if self.tasks:
            uses[Use(place, place, "tasks")] = self.tasks
        if self.comments:
            uses[Use(place, place, "comments")] = self.comments
        return uses


_UNCOUNTED = Counted(0, 0, [])


def counted(task: Task) -> Counted:
    """The quotas that a task uses. Few changes of a task change them. A deleted task uses none."""
    if task.deleted_at is not None:
        return _UNCOUNTED
    return Counted(1, task.comment_count, task.assignees if task.is_open else [])


class TaskRepository(Protocol):
    """Tasks inside a unit of work. `get` returns a copy that belongs to the caller until it is saved.

    A unit that would leave more tasks, open tasks of a member or `comments` than the quotas allow is QuotaExceeded on
    leaving, even if several units add to them at the same time. A unit that adds to none of them never is.
    """

    async def get(self, id: TaskId, by: AccountId, deleted: bool = False) -> tuple[Task, Standing]:
        """The task, and the role of `by` in its workspace with its permissions.

        NotFound if the task is absent, or in a workspace of which `by` is no member, or deleted, unless `deleted` is
        True. The membership is verified on leaving (see `Access`).
        """
        ...

    async def get_many(self, ids: Collection[TaskId], by: AccountId) -> Mapping[TaskId, tuple[Task, Standing]]:
        """Like `get`, for several tasks at once. Those that would be NotFound are missing from the mapping."""
        ...

    async def any(self, id: TaskId) -> Task:
        """The task, whoever asks; NotFound if it is absent or deleted. The caller has to check who may see it."""
        ...

    async def assigned(self, workspace: WorkspaceId | None, account: AccountId, most: int) -> Sequence[Task]:
        """At most `most` open tasks of a workspace, or of all workspaces, that are assigned to the account.

        The caller has to check that it may ask this.
        """
        ...

    async def watched(self, workspace: WorkspaceId, account: AccountId, most: int) -> Sequence[Task]:
        """At most `most` open tasks of a workspace that the account watches. The caller checks as for `assigned`."""
        ...

    def add(self, task: Task) -> None:
        """Store a new task."""
        ...

    def save(self, task: Task) -> None:
        """Store a changed task; without news it does nothing.

        `Stale` on leaving if another unit of work has saved the task since it was read.
        """
        ...

    async def reminder(self, id: TaskId) -> Reminder:
        """The next reminder of a task; NotFound if the task is absent or has none."""
        ...

    def remind(self, reminder: Reminder) -> None:
        """Store when the next reminder is, and nothing else of the task.

        `Stale` on leaving if that has changed since it was read. `save` writes it only if the task has planned another
        one, so neither undoes the other.
        """
        ...

    async def comment(self, id: CommentId, task: TaskId) -> Comment:
        """A comment of that task, or NotFound."""
        ...

    def add_comment(self, comment: Comment) -> None: ...

    def save_comment(self, comment: Comment) -> None:
        """Store a rewritten comment. Its task has to be saved in the same unit, whose version guards both."""
        ...

    def remove_comment(self, comment: Comment) -> None: ...


class TaskNumbers(Protocol):
    """Issues the keys of tasks, their names for people."""

    async def next(self, workspace: WorkspaceId) -> str:
        """A key that is never issued twice in this workspace: its prefix, `-` and a number.

        Numbers begin at 1 and rise within one process. There may be gaps, because an issued key is used up even if its
        task is never stored. This belongs to no unit of work and waits for none. NotFound if the workspace does not
        exist, Unavailable if the store does not answer.
        """
        ...


class TaskWork(Protocol):
    """The slice of a unit of work that the tasks context sees."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def access(self) -> Access: ...


class TaskUpkeep(Protocol):
    """What is done to tasks beside the use cases; see `Upkeep` for what each call promises."""

    async def erase(self, workspace: WorkspaceId, most: int) -> int:
        """Drop tasks of a workspace with their comments, whether or not they were deleted before.

        When none is left, drop what was counted of them.
        """
        ...


class TaskWords(Protocol):
    """The stored words by which tasks are found."""

    async def find_anew(self, most: int) -> int:
        """Compute again the words of at most `most` tasks and `most` comments whose rule is older than `WORDS_RULE`.

        Returns the number of tasks and comments. 0 means that none is left, or that other processes work on the rest. A
        write to a task or comment neither waits for this nor is lost. Any number of processes may do it at once.
        """
        ...


class TaskQueries(Protocol):
    """Committed tasks, for reading only. Every method raises NotFound if `by` is no member of the workspace."""

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        """One task that is not deleted."""
        ...

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        """A page of the tasks of a workspace that meet `wanted`: at most `limit`, and no more than fit on a `Page`.

        `sort` is one of `SORTS`, descending with a leading `-`. Ties are sorted by id in the same direction; tasks
        without a due date come last in either direction. A cursor of another query is `InvalidCursor`. If the query
        would have to look at too many tasks, it may be `QueryTooBroad`; several such queries of one account at the same
        time may be `Exhausted`.
        """
        ...

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        """A page of the comments of a task, oldest first: at most `limit`, and no more than fit on a `Page`."""
        ...

    async def of_person(self, account: AccountId, deleted: bool, cursor: str | None, limit: int) -> Page[TaskView]:
        """The tasks that the account made, has, watches or commented on, and may see now, by id.

        With `deleted` they are instead those that it made and that were deleted.
        """
        ...

    async def comments_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        """What the account said below tasks that it may see now, by id."""
        ...


SORTS: Sequence[str] = ("created_at", "updated_at", "due_at", "priority")
