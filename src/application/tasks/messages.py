"""The messages of the tasks context: the bodies of its requests and answers."""

from datetime import datetime
from typing import Annotated, Literal, cast
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from application.reading import Reader, TooDeep
from application.typed import typed
from domain.errors import Invalid
from domain.tasks import (
    ASSIGNEES_MAX,
    COMMENT_MAX,
    CUSTOM_MAX_BYTES,
    DESCRIPTION_MAX,
    ESTIMATE_MAX_MINUTES,
    LABEL_MAX,
    LABELS_MAX,
    TITLE_MAX,
    Priority,
    Status,
)
from domain.values import DEPTH_MAX

BULK_MAX = 100

Archived = Literal["false", "true", "any"]

Title = Annotated[str, Meta(min_length=1, max_length=TITLE_MAX, examples=["Write the rollout plan"])]
Description = Annotated[str, Meta(max_length=DESCRIPTION_MAX, description="Markdown.")]
Labels = Annotated[list[Annotated[str, typed(LABEL_MAX)]], Meta(max_length=LABELS_MAX)]
Estimate = Annotated[int, Meta(ge=0, le=ESTIMATE_MAX_MINUTES, description="Expected work, in minutes.")]
Instant = Annotated[datetime, Meta(tz=True)]
Custom = Annotated[
    dict[str, object],
    Meta(description=f"Your own fields; at most {CUSTOM_MAX_BYTES} bytes as JSON, nested {DEPTH_MAX} deep."),
]


class NewTask(Struct, frozen=True, forbid_unknown_fields=True):
    """A task to open. Without a `workspace_id` it belongs to the caller's personal workspace."""

    title: Title
    workspace_id: UUID | UnsetType = UNSET
    description: Description = ""
    status: Status = Status.TODO
    priority: Priority = Priority.NONE
    labels: Labels = []
    assignee_ids: Annotated[list[UUID], Meta(max_length=ASSIGNEES_MAX)] = []
    due_at: Instant | None = None
    start_at: Instant | None = None
    estimate_minutes: Estimate | None = None
    custom: Custom = {}


class TaskPatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON merge patch of a task. Absent fields stay as they are; null empties a field that can be empty."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    due_at: Instant | None | UnsetType = UNSET
    start_at: Instant | None | UnsetType = UNSET
    estimate_minutes: Estimate | None | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET


class NewComment(Struct, frozen=True, forbid_unknown_fields=True):
    """A comment to write. `@{account id}` in the text mentions a member, who then watches the task."""

    text: Annotated[str, Meta(min_length=1, max_length=COMMENT_MAX, examples=["Looks good to me."])]


class BulkCreate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="create"):
    """Open a task."""

    task: NewTask


class BulkUpdate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="update"):
    """Patch a task; with `version`, only if that is its present version."""

    id: UUID
    patch: TaskPatch
    version: int | None = None


class BulkDelete(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="delete"):
    """Delete a task; with `version`, only if that is its present version."""

    id: UUID
    version: int | None = None


BulkOperation = BulkCreate | BulkUpdate | BulkDelete


class Misshapen(Struct, frozen=True):
    """Stands in a partial bulk for an operation that could not be read."""

    detail: str
    pointer: str


class Bulk(Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 100 operations in order. `atomic`: all or none. `partial`: each succeeds or fails alone."""

    operations: Annotated[list[BulkOperation], Meta(min_length=1, max_length=BULK_MAX)]
    mode: Literal["atomic", "partial"] = "atomic"

    @staticmethod
    def read(text: bytes) -> "Bulk":
        """Read a bulk. In a partial one, an operation that cannot be read becomes `Misshapen` and fails alone."""
        try:
            return _read_bulk(text)
        except TooDeep:
            raise
        except Invalid as error:
            pieces = _read_pieces(text)
            if pieces.mode == "atomic":
                raise error from None
            return Bulk(cast(list[BulkOperation], [_operation(bytes(piece)) for piece in pieces.operations]), "partial")


class _Pieces(Struct, frozen=True, forbid_unknown_fields=True):
    operations: Annotated[list[Raw], Meta(min_length=1, max_length=BULK_MAX)]
    mode: Literal["atomic", "partial"] = "atomic"


_read_bulk: Reader[Bulk] = Reader(Bulk)
_read_pieces: Reader[_Pieces] = Reader(_Pieces)
_read_operation: Reader[BulkOperation] = Reader(BulkOperation)


def _operation(piece: bytes) -> BulkOperation | Misshapen:
    try:
        return _read_operation.part(piece)
    except Invalid as error:
        return Misshapen(error.detail, error.pointer or "")


class BulkFailure(Struct, frozen=True):
    """Why one operation of a partial bulk was refused. `code` is the same as in any problem."""

    code: str
    detail: str
    pointer: str | None


class TaskRef(Struct, frozen=True):
    """The id of a task and its present version."""

    id: UUID
    key: str
    version: int


class BulkResult(Struct, frozen=True):
    """The outcome of the operation at `index`: the task's id and version (null after a deletion), or the failure.

    Whole tasks would be a hundred times as large as the request. A caller who wants to see a task reads it.
    """

    index: int
    task: TaskRef | None
    error: BulkFailure | None


class BulkReport(Struct, frozen=True):
    """The outcomes in the order of the operations."""

    results: list[BulkResult]
    failed: int


class TaskQuery(Struct, frozen=True):
    """The conditions of a list as callers write them.

    `assignee` is an account id, `me` or `none`. `archived` chooses whether tasks that are put away are listed. `q` has
    to contain a word. Times need an offset from UTC.
    """

    status: tuple[Status, ...] = ()
    priority: tuple[Priority, ...] = ()
    assignee: str | None = None
    label: str | None = None
    created_by: UUID | None = None
    due_before: datetime | None = None
    due_after: datetime | None = None
    overdue: bool = False
    q: str | None = None
    key: str | None = None
    archived: Archived = "false"
