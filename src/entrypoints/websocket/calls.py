"""Commands over a live connection: use cases by name, for clients that need less latency than a request has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw

from application.ports.idempotency import Answer, Idempotency
from application.ports.observer import Observer
from application.ports.unit_of_work import uninterrupted
from application.principal import Principal
from application.reading import Reader
from application.realtime.surroundings import Holds
from domain.channels import Channel
from domain.errors import NotFound


class Method:
    """A use case that can be called by name. `params` is the type of its argument; it may return any message.

    `about` gives the channel that the caller has to follow on the same connection. So the handler need not ask whether
    the caller may see that place. Without it the handler asks.
    """

    def __init__(
        self,
        name: str,
        params: type,
        handler: Callable[[Principal, Any], Awaitable[object]],
        about: Callable[[Any], Channel] | None = None,
    ) -> None:
        self.name = name
        self.about = about
        self.params = params
        self.reader: Reader[Any] = Reader(params)
        self.handler = handler


class Calls:
    """The methods that can be called, collected from all contexts."""

    def __init__(self, methods: Sequence[Sequence[Method]], idempotency: Idempotency, observer: Observer) -> None:
        self._idempotency = idempotency
        self._observer = observer
        self._methods: Mapping[str, Method] = {method.name: method for method in chain.from_iterable(methods)}

    @property
    def params(self) -> Mapping[str, type]:
        """The type of the params of each method, by its name."""
        return {name: method.params for name, method in self._methods.items()}

    async def __call__(self, actor: Principal, method: str, params: Raw, key: str | None, holds: Holds) -> Raw:
        """Carry out a method, and return its answer as JSON. With a `key` it is carried out once; the answer is kept.

        `holds` tells whether the connection follows what a method is about. NotFound for an unknown method, Invalid for
        params of another shape, and every error of `holds` and of the use case.
        """
        called = self._methods.get(method)
        if called is None:
            raise NotFound(f"There is no method {method!r}.")
        decoded = called.reader.part(bytes(params))
        if called.about is not None:
            await holds(str(called.about(decoded)))
        if key is None:
            return Raw(msgspec.json.encode(await called.handler(actor, decoded)))
        fingerprint = sha256(b"\n".join((b"call", method.encode(), bytes(params))))
        fingerprint.update(actor.mark)  # requests do the same
        return await self._once(actor, called, decoded, key, fingerprint.digest())

    @uninterrupted
    async def _once(self, actor: Principal, method: Method, decoded: Any, key: str, fingerprint: bytes) -> Raw:
        async with self._idempotency.attempt(actor.account_id, key, fingerprint) as attempt:
            if attempt.replay is not None:
                self._observer.happened("idempotent_replay", "call")
                return Raw(attempt.replay.body)
            body = msgspec.json.encode(await method.handler(actor, decoded))
            attempt.record(Answer(200, (), body))
        return Raw(body)
