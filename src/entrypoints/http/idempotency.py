"""Idempotency keys: a request that is sent twice has one effect, and gets the same answer twice."""

import re
from hashlib import sha256
from typing import Any

from litestar import Litestar
from litestar.types import Receive, Send

from application.ports.idempotency import Answer, Idempotency
from application.ports.observer import Observer
from application.ports.secrets import Secrets
from application.ports.unit_of_work import uninterrupted
from domain.ids import AccountId
from entrypoints.answers import SecretAnswers
from entrypoints.http.caller import Caller
from entrypoints.http.facts import matching
from entrypoints.http.problems import InvalidParameter
from entrypoints.http.request import whole_body

_METHODS = frozenset({"POST", "PATCH", "PUT", "DELETE"})
# 1 to 255 visible ASCII characters, bare or as the quoted string of the IETF draft.
_KEY = re.compile(rb'"?([\x21\x23-\x7e]{1,255})"?\Z')
# Headers of one transmission, which are not part of the answer.
_TRANSIENT = frozenset({b"date", b"content-length", b"x-request-id"})


class IdempotentRequests:
    """Wraps the application, and remembers the answers to requests of a principal that carry `Idempotency-Key`.

    A successful answer is stored in the transaction of its effect. A refusal has no effect and may be retried. Public
    and keyless routes ignore the key, so their answers are not stored. An answer that holds a secret is encrypted for
    its account and key.
    """

    def __init__(self, app: Litestar, idempotency: Idempotency, secrets: Secrets, observer: Observer) -> None:
        self._app = app
        self._keyless = matching(app, lambda facts: facts.callers == "anybody" or facts.is_keyless)
        self._idempotency = idempotency
        self._secret_answers = SecretAnswers(secrets)
        self._observer = observer

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _METHODS:
            await self._app(scope, receive, send)
            return
        caller: Caller = scope["signalbox"]
        header = caller.headers.get(b"idempotency-key")
        if header is None or caller.principal is None or self._keyless.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        match = _KEY.match(header)
        if match is None:
            raise InvalidParameter("Idempotency-Key takes 1 to 255 visible characters.", pointer="Idempotency-Key")
        body = await whole_body(receive)
        fingerprint = sha256(
            b"\n".join((scope["method"].encode(), scope["path"].encode(), scope["query_string"], body))
        )
        # Credentials of one account can have different rights, so each has its own answers.
        fingerprint.update(caller.principal.mark)
        account, key = caller.principal.account_id, match[1].decode()
        answer = await self._answer(caller, account, key, fingerprint.digest(), scope, body)
        await answer.deliver(send)

    @uninterrupted
    async def _answer(
        self, caller: Caller, account: AccountId, key: str, fingerprint: bytes, scope: Any, body: bytes
    ) -> "_Recorder":
        answer = _Recorder()
        caller.code = ""
        async with self._idempotency.attempt(account, key, fingerprint) as attempt:
            if attempt.replay is None:
                scope["state"] = {}  # Litestar notes here that the request was answered, and the attempt may run again
                await self._app(scope, _once(body), answer.send)
                if 200 <= answer.status < 300:
                    kept = answer.recorded()
                    attempt.record(self._secret_answers.hidden(account, key, kept) if caller.holds_secret else kept)
            else:
                self._observer.happened("idempotent_replay", "request")
                caller.holds_secret |= self._secret_answers.is_hidden(attempt.replay)
                answer.replay(self._secret_answers.shown(account, key, attempt.replay))
        return answer


class _Recorder:
    """Holds an answer until its effect is committed."""

    def __init__(self) -> None:
        self.status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self._headers = message["status"], list(message["headers"])
        else:
            self._body += message.get("body", b"")

    def recorded(self) -> Answer:
        kept = tuple((name, value) for name, value in self._headers if name not in _TRANSIENT)
        return Answer(self.status, kept, self._body)

    def replay(self, answer: Answer) -> None:
        self.status, self._body = answer.status, answer.body
        self._headers = [*answer.headers, (b"idempotency-replayed", b"true")]
        if self.status != 204:
            self._headers.append((b"content-length", b"%d" % len(self._body)))

    async def deliver(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def _once(body: bytes) -> Receive:
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
