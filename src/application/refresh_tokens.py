"""Refresh tokens as text. A secret identifies the session, and a signature proves the number of the token in it."""

from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import NamedTuple
from uuid import UUID

from application.ports.secrets import Secrets
from domain.identity import RefreshToken, Session, SessionOver
from domain.ids import SessionId

TOKEN_MAX = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Presented(NamedTuple):
    """The parts of a received token. `first` is the first token of its session; a later token adds the other parts."""

    session_id: SessionId
    first: str
    claim: str
    signature: str


class RefreshTokens:
    """Writes and reads refresh tokens. The cost does not grow with the number of tokens of a session.

    The first token is `session.secret`. Later ones add `.number.time.signature`, with the time in µs since 1970.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def first(self, session: SessionId) -> tuple[str, bytes, bytes]:
        """The first token of a session, the digest to store of it, and a key that signs the later ones."""
        token = f"{session.hex}.{self._secrets.new()}"
        return token, self._secrets.digest(token), self.new_key()

    def new_key(self) -> bytes:
        """A key that signs the later tokens of one session."""
        return self._secrets.new().encode()

    def later(self, first: str, session: Session, token: RefreshToken) -> str:
        """A later token of the session that began with `first`."""
        claim = f"{token.number}.{(token.issued_at - _EPOCH) // _MICROSECOND}"
        return f"{first}.{claim}.{self._secrets.sign(session.signing_key, claim)}"

    def read(self, text: str | None) -> Presented:
        """The parts of a token; SessionOver if the text is not a token."""
        text = text or ""
        parts = text.split(".")
        if len(parts) not in {2, 5} or not all(parts) or len(text) > TOKEN_MAX or not text.isascii():
            raise _over()
        try:
            session = SessionId(UUID(hex=parts[0]))
        except ValueError:
            raise _over() from None
        return Presented(session, ".".join(parts[:2]), ".".join(parts[2:4]), "".join(parts[4:]))

    def genuine(self, presented: Presented, session: Session) -> RefreshToken:
        """The content of a token of this session; SessionOver if its signature is wrong."""
        if not compare_digest(self._secrets.digest(presented.first), session.token_digest):
            raise _over()
        if not presented.claim:
            return RefreshToken(0, session.created_at)
        if not compare_digest(self._secrets.sign(session.signing_key, presented.claim), presented.signature):
            raise _over()
        number, microseconds = map(int, presented.claim.split("."))
        return RefreshToken(number, _EPOCH + microseconds * _MICROSECOND)


def _over() -> SessionOver:
    return SessionOver("The session is over; sign in again.")
