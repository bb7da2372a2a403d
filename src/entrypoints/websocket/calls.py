"""Commands over a live connection, for those who cannot afford a request of their own: the same use cases by name."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from application.ports.idempotency import Answer, Idempotency
from application.ports.observer import Observer
from application.ports.unit_of_work import uninterrupted
from application.principal import Principal
from application.reading import Reader
from application.tasks import NewComment, NewTask, TaskPatch, Tasks
from domain.errors import NotFound
from domain.ids import TaskId

Handler = Callable[[Principal, Any], Awaitable[object]]


class TaskParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which task."""

    id: UUID


class UpdateParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which task, what of it changes, and the version that is expected, if any."""

    id: UUID
    patch: TaskPatch
    version: int | None = None


class CommentParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which task, and what is said about it."""

    id: UUID
    comment: NewComment


class Calls:
    """The methods that can be called, each with the shape of its params."""

    def __init__(self, tasks: Tasks, idempotency: Idempotency, observer: Observer) -> None:
        self._idempotency = idempotency
        self._observer = observer
        self.methods: Mapping[str, tuple[Reader[Any], Handler]] = {
            "task.create": (Reader(NewTask), tasks.open),
            "task.update": (Reader(UpdateParams), lambda a, p: tasks.edit(a, TaskId(p.id), p.patch, p.version)),
            "task.claim": (Reader(TaskParams), lambda a, p: tasks.claim(a, TaskId(p.id))),
            "task.comment": (Reader(CommentParams), lambda a, p: tasks.comment(a, TaskId(p.id), p.comment)),
        }

    async def __call__(self, actor: Principal, method: str, params: Raw, key: str | None) -> Raw:
        """Carry out a method and return what it answers; with a `key` once, and then always the same answer.

        NotFound for an unknown method, Invalid for params of another shape, and whatever the use case raises.
        """
        if method not in self.methods:
            raise NotFound(f"There is no method {method!r}.")
        reader, handler = self.methods[method]
        decoded = reader.part(bytes(params))
        if key is None:
            return Raw(msgspec.json.encode(await handler(actor, decoded)))
        fingerprint = sha256(b"\n".join((b"call", method.encode(), bytes(params)))).digest()
        return await self._once(actor, handler, decoded, key, fingerprint)

    @uninterrupted
    async def _once(self, actor: Principal, handler: Handler, decoded: Any, key: str, fingerprint: bytes) -> Raw:
        async with self._idempotency.attempt(actor.account_id, key, fingerprint) as attempt:
            if attempt.replay is not None:
                self._observer.happened("idempotent_replay", "call")
                return Raw(attempt.replay.body)
            body = msgspec.json.encode(await handler(actor, decoded))
            attempt.record(Answer(200, (), body))
        return Raw(body)
