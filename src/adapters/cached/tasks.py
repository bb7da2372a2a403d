"""Caches first pages of tasks and comments, which many clients request repeatedly while nothing changes."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec

from application.paging import Encoded, Page
from application.ports.access import AccessQueries
from application.ports.cache import Cache
from application.ports.tasks import CommentView, TaskFilter, TaskQueries, TaskView
from domain.errors import NotFound
from domain.ids import AccountId, TaskId, WorkspaceId

V = TypeVar("V", TaskView, CommentView)

_encode = msgspec.json.Encoder().encode
# A cached page outlives a deployment that changes its shape, so the shape is part of its key.
_FORMS = {
    view: hashlib.blake2b(repr(view.__annotations__).encode(), digest_size=8).hexdigest()
    for view in (TaskView, CommentView)
}


class CachedTaskQueries(TaskQueries):
    """Keeps the first pages of lists as the JSON that is sent, each for one state of its workspace.

    A page depends only on the workspace and the query, so a page of the present state is right for every member. Each
    call asks for the state and the membership in one snapshot; no right is remembered. `queries` must not read from a
    replica: a page of a replica that lags would be kept as the present one.

    Searches and later pages are not kept, because they are rarely repeated. Neither are overdue tasks, because their
    query changes with every millisecond.
    """

    def __init__(self, queries: TaskQueries, access: AccessQueries, cache: Cache) -> None:
        self._queries = queries
        self._access = access
        self._cache = cache

    async def view(self, id: TaskId, by: AccountId) -> TaskView:
        return await self._queries.view(id, by)

    async def page(
        self, workspace: WorkspaceId, by: AccountId, wanted: TaskFilter, sort: str, cursor: str | None, limit: int
    ) -> Page[TaskView]:
        read = partial(self._queries.page, workspace, by, wanted, sort, cursor, limit)
        if cursor is not None or wanted.words is not None or wanted.open_only:
            return await read()
        return await self._kept(
            TaskView, f"tasks {workspace} {sort} {limit} {_encode(wanted).decode()}", workspace, by, read
        )

    async def of_person(self, account: AccountId, deleted: bool, cursor: str | None, limit: int) -> Page[TaskView]:
        return await self._queries.of_person(account, deleted, cursor, limit)

    async def comments_of_person(self, account: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        return await self._queries.comments_of_person(account, cursor, limit)

    async def comments(self, task: TaskId, by: AccountId, cursor: str | None, limit: int) -> Page[CommentView]:
        read = partial(self._queries.comments, task, by, cursor, limit)
        if cursor is not None:
            return await read()
        return await self._kept(CommentView, f"comments {task} {limit}", task, by, read)

    async def _kept(
        self, view: type[V], query: str, place: UUID, by: AccountId, read: Callable[[], Awaitable[Page[V]]]
    ) -> Page[V]:
        state = await self._access.state(place, by)
        key = f"{_FORMS[view]} {query}"
        own: Page[V] | None = None

        async def load() -> bytes | None:
            nonlocal own
            try:
                own = await read()
                is_of_the_state = await self._access.state(place, by) == state
            except NotFound:  # this caller lost the right; other callers that wait for the page may still have it
                return None
            return b"%s\n%s" % ((own.next_cursor or "").encode(), _encode(own.data)) if is_of_the_state else None

        kept = await self._cache.through(key, state, load)
        if kept is None:
            return own or await read()
        end = kept.index(b"\n")
        tag = hashlib.blake2b(f"{key} {state}".encode(), digest_size=12).hexdigest()
        return Page(Encoded(memoryview(kept)[end + 1 :], view, tag), kept[:end].decode() or None)
