"""Answers that hold a secret: kept for their idempotency key, and readable with the key of the installation only."""

import msgspec

from application.ports.idempotency import Answer
from application.ports.secrets import Secrets
from domain.errors import Conflict
from domain.ids import AccountId

# Marks an answer that is stored encrypted, in place of its headers.
_HIDDEN = ((b"hidden", b""),)


class AnswerLost(Conflict):
    """The key was used and had its effect, but its answer was encrypted under a secret that has been replaced."""

    code = "answer_lost"


class SecretAnswers:
    """Encrypts answers for their account and key, and reads them again."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def hidden(self, account: AccountId, key: str, answer: Answer) -> Answer:
        """What is stored instead of the answer."""
        return Answer(answer.status, _HIDDEN, self._secrets.hide(_place(account, key), msgspec.msgpack.encode(answer)))

    def is_hidden(self, kept: Answer) -> bool:
        return kept.headers == _HIDDEN

    def shown(self, account: AccountId, key: str, kept: Answer) -> Answer:
        """The answer again, if it is hidden; AnswerLost if it cannot be read any more."""
        if not self.is_hidden(kept):
            return kept
        shown = self._secrets.show(_place(account, key), kept.body)
        if shown is None:
            raise AnswerLost("This was done before, and its answer cannot be read any more.")
        return msgspec.msgpack.decode(shown, type=Answer)


def _place(account: AccountId, key: str) -> bytes:
    return f"answer {account} {key}".encode()
