"""Every page ends by its number of items or by its size, and a walk over them shows everything once and in order."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from application.paging import PAGE_BYTES, PAGE_MAX, Page
from application.ports.events import Entry, EventFilter
from application.ports.identity import SessionView
from application.ports.tasks import TaskFilter
from application.ports.workspaces import INVITATIONS_SHOWN, InvitationView, MemberView, WorkspaceView
from domain.access import Role
from domain.channels import workspace_stream
from domain.identity import DISPLAY_NAME_MAX, USER_AGENT_MAX
from domain.ids import AccountId, CommentId, WorkspaceId
from domain.tasks import COMMENT_MAX, CUSTOM_MAX_BYTES, DESCRIPTION_MAX, LABEL_MAX, LABELS_MAX, WATCHERS_MAX
from domain.workspaces import NAME_MAX, WorkspaceKind
from tests.contracts.house import House
from tests.support.builders import a_new_task, a_task, an_account

T = TypeVar("T")

# What a page of what is counted before it is JSON may be short of: little more than an item's names and brackets.
NEARLY = 0.9
# "\x01" is six characters in JSON, an emoji four bytes of one.
CHARACTERS = ("x", "ä", '"', "\n", "\x01", "🚀")
TEXTS = st.tuples(st.sampled_from(CHARACTERS), st.sampled_from((1, 1_000, 20_000, DESCRIPTION_MAX)))
LIMITS = st.sampled_from((1, 3, 50, PAGE_MAX))
# Whatever an example holds is made anew in a database of all: none is looked for that would be smaller.
few = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

Read = Callable[[str | None, int], Awaitable[Page[T]]]


def size(items: Sequence[Any]) -> int:
    return len(msgspec.json.encode(items))


def visible(character: str, length: int) -> str:
    """Text of that length that is kept as it is."""
    return "a" + character * (length - 2) + "z" if length > 1 else "a"


async def walk(read: Read[T], limit: int) -> list[T]:
    """All items, from pages that are as large as they may be and no larger."""
    pages: list[Page[T]] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        page = await read(cursor, limit)
        assert len(page.data) <= limit
        assert size(page.data) <= PAGE_BYTES or len(page.data) == 1
        if pages:
            before = list(pages[-1].data)
            assert len(before) == limit or size([*before, page.data[0]]) > NEARLY * PAGE_BYTES
        pages.append(page)
        cursor = page.next_cursor
    return [item for page in pages for item in page.data]


@few
@given(texts=st.lists(TEXTS, max_size=24), limit=LIMITS)
@example(texts=[("x", DESCRIPTION_MAX)] * 24, limit=PAGE_MAX)
@example(texts=[("\x01", DESCRIPTION_MAX)] * 8, limit=50)
async def test_a_walk_over_tasks_and_their_events_shows_all_of_them_once_whatever_their_size(
    house: House, texts: list[tuple[str, int]], limit: int
) -> None:
    ada = await an_account(house)
    mine, stream = WorkspaceId(ada.id), workspace_stream(WorkspaceId(ada.id))
    made = []
    async with house.work() as work:
        for number, (character, length) in enumerate(texts):
            house.clock.advance(timedelta(seconds=1))
            task = a_new_task(house, mine, ada.id, title=f"Task {number}", description=visible(character, length))
            work.tasks.add(task)
            made.append(task.id)

    for sort in ("created_at", "-created_at", "due_at", "-priority"):
        views = await walk(partial(house.task_queries.page, mine, ada.id, TaskFilter(), sort), limit)
        assert [view.id for view in views] == (made[::-1] if sort.startswith("-") else made)
    offsets = list(range(1, len(made) + 2))
    for newest_first in (True, False):
        events = await walk(partial(house.journal.page, stream, EventFilter(), newest_first), limit)
        assert [event.offset for event in events] == (offsets[::-1] if newest_first else offsets)
    assert [entry.offset for entry in await replay(house, stream, limit)] == offsets


async def replay(house: House, stream: str, limit: int) -> list[Entry]:
    """All entries of a stream, read as those who resume read them."""
    found: list[Entry] = []
    while page := await house.journal.read(stream, len(found), limit):
        sizes = [len(entry.body) for entry in page]
        assert len(page) <= limit
        assert sum(sizes) <= PAGE_BYTES or len(page) == 1
        found += page
        for following in await house.journal.read(stream, len(found), 1):
            assert len(page) == limit or sum(sizes) + len(following.body) > PAGE_BYTES
    return found


@few
@given(texts=st.lists(TEXTS, min_size=1, max_size=40), limit=LIMITS)
@example(texts=[("x", COMMENT_MAX)] * 150, limit=PAGE_MAX)
@example(texts=[("\x01", COMMENT_MAX)] * 40, limit=PAGE_MAX)
async def test_a_walk_over_comments_shows_all_of_them_once_whatever_their_size(
    house: House, texts: list[tuple[str, int]], limit: int
) -> None:
    ada = await an_account(house)
    task = await a_task(house, WorkspaceId(ada.id), ada.id)
    made = []
    async with house.work() as work:
        found, _ = await work.tasks.get(task.id, ada.id)
        for character, length in texts:
            house.clock.advance(timedelta(seconds=1))
            text = visible(character, min(length, COMMENT_MAX))
            comment = found.comment(CommentId(house.ids.new()), text, [], ada.id, house.clock.now())
            work.tasks.add_comment(comment)
            made.append(comment.id)
        work.tasks.save(found)
    views = await walk(partial(house.task_queries.comments, task.id, ada.id), limit)
    assert [view.id for view in views] == made


async def test_pages_are_as_large_as_they_may_be(house: House) -> None:
    ada = await an_account(house)
    mine = WorkspaceId(ada.id)
    async with house.work() as work:
        for _ in range(50):
            work.tasks.add(a_new_task(house, mine, ada.id, description="x" * 40_000))
    first = await house.task_queries.page(mine, ada.id, TaskFilter(), "created_at", None, 50)
    assert NEARLY * PAGE_BYTES < size(first.data) <= PAGE_BYTES
    views = await walk(partial(house.task_queries.page, mine, ada.id, TaskFilter(), "created_at"), 50)
    assert len(views) == 50


@pytest.mark.parametrize(
    "fields",
    [
        {"custom": {"k": "x" * (CUSTOM_MAX_BYTES - 20)}},
        {"labels": [f"{number:02}" + "\x01" * (LABEL_MAX - 3) + "z" for number in range(LABELS_MAX)]},
        {"watchers": [AccountId(UUID(int=number)) for number in range(WATCHERS_MAX)]},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_everything_of_a_task_counts(house: House, fields: dict[str, Any]) -> None:
    ada = await an_account(house)
    mine, made = WorkspaceId(ada.id), []
    for _ in range(PAGE_MAX // 20):
        async with house.work() as work:
            for _ in range(20):
                task = a_new_task(house, mine, ada.id)
                for name, value in fields.items():
                    setattr(task, name, value)
                work.tasks.add(task)
                made.append(task.id)
    views = await walk(partial(house.task_queries.page, mine, ada.id, TaskFilter(), "created_at"), PAGE_MAX)
    assert [view.id for view in views] == made


NOW = datetime(2026, 1, 5, 9, tzinfo=UTC).replace(microsecond=123_456)
SOMEBODY = UUID(int=2**128 - 1)


@pytest.mark.parametrize(
    ("largest", "most"),
    [
        (MemberView(SOMEBODY, "\x01" * DISPLAY_NAME_MAX, Role.MEMBER, NOW), PAGE_MAX),
        (
            WorkspaceView(
                *(SOMEBODY, "\x01" * NAME_MAX, "x" * 100, "ABCDE", WorkspaceKind.PERSONAL, False, Role.MEMBER),
                *(10**6, SOMEBODY, NOW, NOW, 10**9),
            ),
            PAGE_MAX,
        ),
        (
            InvitationView(SOMEBODY, SOMEBODY, Role.MEMBER, 500, 500, SOMEBODY, NOW, NOW, "\U0001f600" * 254),
            INVITATIONS_SHOWN,
        ),
        (SessionView(SOMEBODY, "x" * 64, "\x01" * USER_AGENT_MAX, NOW, NOW, NOW, False), PAGE_MAX),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_longest_page_of_what_has_little_text_fits_by_its_number(largest: Any, most: int) -> None:
    assert size([largest] * most) <= PAGE_BYTES
