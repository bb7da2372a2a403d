"""Commands over a live connection: use cases by name, for clients that need less latency than a request has."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw

from application.ports.idempotency import Answer, Idempotency
from application.ports.observer import Observer
from application.ports.secrets import Secrets
from application.ports.unit_of_work import uninterrupted
from application.principal import Principal
from application.reading import Reader
from application.realtime.surroundings import Dispatch, Holds
from domain.channels import Channel
from domain.errors import NotFound
from entrypoints.answers import SecretAnswers


class Method:
    """A use case that can be called by name. `params` is the type of its argument, `answer` that of what it returns.

    `about` gives the channel that the caller has to follow on the same connection. So the handler need not ask whether
    the caller may see that place. Without it the handler asks. `is_secret`: its answers hold a secret, and are stored
    encrypted only. `cost` is what it costs the account; a request costs 1. `is_keyless`: it ignores keys, because a
    repetition does no harm.
    """

    def __init__(
        self,
        name: str,
        params: type,
        handler: Callable[[Principal, Any], Awaitable[object]],
        answer: type | None = None,
        about: Callable[[Any], Channel] | None = None,
        is_secret: bool = False,
        cost: float = 1,
        is_keyless: bool = False,
    ) -> None:
        self.name = name
        self.about = about
        self.is_secret = is_secret
        self.cost = cost
        self.is_keyless = is_keyless
        self.params = params
        self.answer = answer
        self.reader: Reader[Any] = Reader(params)
        self.handler = handler


class Calls(Dispatch):
    """The methods that can be called, collected from all contexts."""

    def __init__(
        self, methods: Sequence[Sequence[Method]], idempotency: Idempotency, secrets: Secrets, observer: Observer
    ) -> None:
        """ValueError if two methods have the same name."""
        self._idempotency = idempotency
        self._secret_answers = SecretAnswers(secrets)
        self._observer = observer
        self._methods: dict[str, Method] = {}
        for method in chain.from_iterable(methods):
            if method.name in self._methods:
                raise ValueError(f"two methods are called {method.name}")
            self._methods[method.name] = method

    @property
    def methods(self) -> Mapping[str, Method]:
        """All methods by their names."""
        return self._methods

    def cost(self, method: str) -> float:
        called = self._methods.get(method)
        return 1 if called is None else called.cost

    async def __call__(self, actor: Principal, method: str, params: Raw, key: str | None, holds: Holds) -> Raw:
        called = self._methods.get(method)
        if called is None:
            raise NotFound(f"There is no method {method!r}.")
        decoded = called.reader.part(bytes(params))
        if called.about is not None:
            await holds(str(called.about(decoded)))
        if key is None or called.is_keyless:
            return Raw(msgspec.json.encode(await called.handler(actor, decoded)))
        fingerprint = sha256(b"\n".join((b"call", method.encode(), bytes(params))))
        fingerprint.update(actor.mark)  # requests do the same
        return await self._once(actor, called, decoded, key, fingerprint.digest())

    @uninterrupted
    async def _once(self, actor: Principal, method: Method, decoded: Any, key: str, fingerprint: bytes) -> Raw:
        async with self._idempotency.attempt(actor.account_id, key, fingerprint) as attempt:
            if attempt.replay is not None:
                self._observer.happened("idempotent_replay", "call")
                return Raw(self._secret_answers.shown(actor.account_id, key, attempt.replay).body)
            answer = Answer(200, (), msgspec.json.encode(await method.handler(actor, decoded)))
            kept = self._secret_answers.hidden(actor.account_id, key, answer) if method.is_secret else answer
            attempt.record(kept)
        return Raw(answer.body)
