"""What the tasks context asks of the store, and what the store shows of tasks."""

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
from domain.tasks import Comment, Priority, Status, Task


class TaskView(Struct, frozen=True):
    """A task as its readers see it; `key` is what people call it, such as `OPS-12`.

    Times are RFC 3339 in UTC; `version` rises with every change and is its ETag.
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
    """A comment below a task."""

    id: UUID
    task_id: UUID
    author_id: UUID
    text: str
    mentions: list[UUID]
    created_at: datetime
    updated_at: datetime


class TaskFilter(Struct, frozen=True, omit_defaults=True):
    """Which tasks of a workspace are wanted: those that meet every condition that is set.

    `assignee` is an account or `none` for tasks that nobody has. `words` are those that `asked` makes of a search: each
    begins a word of title or description, or each begins a word of one and the same comment. If there is not one of
    them, which is not None, nothing is found. `due_before` (exclusive) and `due_after` (inclusive) leave out tasks
    without a due date. `archived` asks for tasks that are put away or, unless it is None, for those that are not.
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


class Counted(NamedTuple):
    """What a task counts for: whether as a task of its workspace, with how many comments, and as whose open task."""

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
    """What a task counts for, which its verbs seldom change; a deleted one counts for nothing."""
    if task.deleted_at is not None:
        return _UNCOUNTED
    return Counted(1, task.comment_count, task.assignees if task.is_open else [])


class TaskRepository(Protocol):
    """Tasks inside a unit of work. What `get` hands out is the caller's own copy until it is saved.

    A unit that would leave more tasks, open tasks of a member or `comments` than the quotas allow is QuotaExceeded on
    leaving, whoever else adds to them at the same time; one that adds to none of them never is.
    """

    async def get(self, id: TaskId, by: AccountId, deleted: bool = False) -> tuple[Task, Standing]:
        """The task and what `by` is in its workspace; NotFound if absent, deleted or in a workspace foreign to `by`.

        With `deleted`, deleted tasks are found as well. The membership is verified on leaving (see `Access`).
        """
        ...

    async def get_many(self, ids: Collection[TaskId], by: AccountId) -> Mapping[TaskId, tuple[Task, Standing]]:
        """As `get` for several at once; those that would be NotFound are missing from the mapping."""
        ...

    async def assigned(self, workspace: WorkspaceId | None, account: AccountId, most: int) -> Sequence[Task]:
        """At most `most` open tasks of a workspace, or of all, that the account has.

        Whoever asks has to be entitled to.
        """
        ...

    async def watched(self, workspace: WorkspaceId, account: AccountId, most: int) -> Sequence[Task]:
        """At most `most` open tasks of a workspace that the account watches; as with `assigned`."""
        ...

    def add(self, task: Task) -> None:
        """Keep a new task."""
        ...

    def save(self, task: Task) -> None:
        """Keep a changed task; `Stale` on leaving if somebody else saved it since. Without news nothing happens."""
        ...

    async def comment(self, id: CommentId, task: TaskId) -> Comment:
        """A comment of that task, or NotFound."""
        ...

    def add_comment(self, comment: Comment) -> None: ...

    def save_comment(self, comment: Comment) -> None:
        """Keep a rewritten comment; the task it belongs to is saved in the same unit, which guards both."""
        ...

    def remove_comment(self, comment: Comment) -> None: ...


class TaskNumbers(Protocol):
    """Hands out the keys by which people call the tasks of a workspace."""

    async def next(self, workspace: WorkspaceId) -> str:
        """A key that was never handed out in this workspace and never will be again: its prefix, `-` and a number.

        Numbers begin at 1 and rise within one process. There may be gaps: what was handed out is gone, whatever
        becomes of the task. This belongs to no unit of work and waits for none. NotFound if there is no such
        workspace, Unavailable if the store does not answer.
        """
        ...


class TaskWork(Protocol):
    """The slice of a unit of work that the tasks context sees."""

    @property
    def tasks(self) -> TaskRepository: ...

    @property
    def access(self) -> Access: ...


class TaskWords(Protocol):
    """The words by which tasks are found, where they are kept."""

    async def find_anew(self, most: int) -> int:
        """Find the words of at most `most` tasks, and comments, that were found by an older rule than `WORDS_RULE`.

        Returns how many there were, so 0 means that none is left, or that others have them in hand. Nobody who
        writes to them waits for this, or loses what they wrote; any number of processes may do it at the same time.
        """
        ...


class TaskQueries(Protocol):
    """Tasks as they are committed, for reading only; every method answers NotFound to strangers."""

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        """One task that is not deleted."""
        ...

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        """The tasks of a workspace that meet `wanted`, as many of `limit` as fit on a `Page`.

        `sort` is one of `SORTS`, descending with a leading `-`, ties by id in the same direction; tasks without a due
        date come last in either. A cursor of another query is `InvalidCursor`. Where there are very many tasks, a
        list for which most of them would have to be looked at may be `QueryTooBroad`, and several such lists of one
        account at the same time `Exhausted`.
        """
        ...

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        """The comments of a task, oldest first, as many of `limit` as fit on a `Page`."""
        ...


SORTS: Sequence[str] = ("created_at", "updated_at", "due_at", "priority")
