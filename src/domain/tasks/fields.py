"""The fields of a task that people set, their bounds, and the form in which they are stored."""

from collections.abc import Mapping
from enum import StrEnum
from typing import cast

from domain.errors import Invalid
from domain.text import clean, normal_name
from domain.values import kept

TITLE_MAX = 300
DESCRIPTION_MAX = 50_000
LABEL_MAX = 50
LABELS_MAX = 20
ESTIMATE_MAX_MINUTES = 525_600
CUSTOM_MAX_BYTES = 8_192


class Status(StrEnum):
    """The progress of a task. `done` and `cancelled` are closed, the others open."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    DONE = "done"
    CANCELLED = "cancelled"


CLOSED = frozenset({Status.DONE, Status.CANCELLED})


class Priority(StrEnum):
    """How important a task is, from least to most."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


EDITABLE = frozenset(
    {"title", "description", "status", "priority", "labels", "due_at", "start_at", "estimate_minutes", "custom"}
)


def custom_fields(value: Mapping[str, object]) -> dict[str, object]:
    """Custom fields, or a merge patch of them, in the form in which a task stores them; Invalid if out of bounds."""
    return kept(value, pointer="/custom", longest=CUSTOM_MAX_BYTES)


def normal_label(label: str, pointer: str = "/labels") -> str:
    """A label in the form in which it is stored and compared, or Invalid."""
    return normal_name(label, pointer=pointer, longest=LABEL_MAX, shortest=1)


def checked(name: str, value: object) -> object:
    """The value in the form in which the task stores it, or Invalid with a pointer to the field."""
    match name:
        case "title":
            return clean(cast(str, value), pointer="/title", longest=TITLE_MAX, shortest=1)
        case "description":
            return clean(cast(str, value), pointer="/description", longest=DESCRIPTION_MAX)
        case "labels":
            found = dict.fromkeys(map(normal_label, cast(list[str], value)))
            if len(found) > LABELS_MAX:
                raise Invalid(f"At most {LABELS_MAX} labels fit on a task.", pointer="/labels")
            return list(found)
        case "custom":
            return custom_fields(cast(Mapping[str, object], value))
        case _:
            return value
