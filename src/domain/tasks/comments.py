"""Comments on a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.ids import AccountId, CommentId, TaskId
from domain.text import clean

COMMENT_MAX = 10_000
COMMENTS_MAX = 2_000
MENTIONS_MAX = 20


@dataclass(slots=True)
class Comment:
    """A comment on a task. Only the methods of the task change it, because they announce the change."""

    id: CommentId
    task_id: TaskId
    author_id: AccountId
    text: str
    mentions: list[AccountId]
    created_at: datetime
    updated_at: datetime

    def snapshot(self) -> Mapping[str, object]:
        return {
            "comment_id": self.id,
            "author_id": self.author_id,
            "text": self.text,
            "mentions": self.mentions,
        }


def comment_text(text: str) -> str:
    return clean(text, pointer="/text", longest=COMMENT_MAX, shortest=1)
