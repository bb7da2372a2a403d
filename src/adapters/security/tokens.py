"""Access tokens as JWTs. They are read strictly, so that only tokens of this installation are accepted."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import jwt
import msgspec

from application.ports.identity import AccessTokens
from application.principal import Principal
from domain.errors import Unauthenticated
from domain.identity import AccountRole
from domain.ids import AccountId

KEY_MIN_BYTES = 32
TOKEN_MAX = 4_096
LEEWAY_SECONDS = 60.0

_ALGORITHM = "HS256"
_TYPE = "at+jwt"  # RFC 9068; keeps other kinds of token under the same key apart


class TokenInvalid(Unauthenticated):
    """This is not a token of this installation."""

    code = "token_invalid"


class TokenExpired(Unauthenticated):
    """This token has expired."""

    code = "token_expired"


class _Claims(msgspec.Struct, omit_defaults=True):
    """The claims of every token. Times are seconds since 1970, with milliseconds. Other claims are ignored.

    `scope` has the names of the scopes, separated by spaces; without it the token may do all that its account may.
    """

    iss: str
    aud: str
    sub: UUID
    sid: UUID
    role: AccountRole
    iat: float
    exp: float
    jti: str
    nbf: float | None = None
    scp: list[str] | None = None


class JwtAccessTokens(AccessTokens):
    """JWTs signed with HMAC-SHA256 (RFC 7519; read as RFC 8725 and RFC 9068 advise).

    Tokens are issued under `secret` and read under it and the `previous` ones, so that a secret can be replaced while
    older tokens are in use. ValueError for a secret of less than 32 bytes. The header of a token has exactly `alg`,
    `typ` and a `kid` that names one of these secrets. So no header can make us fetch or use another key.

    A token is invalid from the moment of `exp`. `iat` may be up to a minute in the future, because the clocks of hosts
    differ; so may `nbf`, which we never issue.
    """

    def __init__(self, secret: str, previous: Sequence[str], issuer: str, audience: str) -> None:
        self._keys: dict[str, bytes] = {}
        for text in (*previous, secret):
            key = text.encode()
            if len(key) < KEY_MIN_BYTES:
                raise ValueError(f"A signing secret needs at least {KEY_MIN_BYTES} bytes.")
            self._kid = hashlib.sha256(key).hexdigest()[:8]
            self._keys[self._kid] = key
        self._issuer = issuer
        self._audience = audience
        self._jws = jwt.PyJWS([_ALGORITHM])
        self._claims = msgspec.json.Decoder(_Claims)

    def issue(self, principal: Principal, now: datetime) -> str:
        claims = _Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=principal.account_id,
            sid=principal.credential_id,
            role=principal.role,
            iat=now.timestamp(),
            exp=principal.expires_at.timestamp(),
            jti=secrets.token_urlsafe(12),
            scp=None if principal.scopes is None else sorted(principal.scopes),
        )
        return self._jws.encode(
            msgspec.json.encode(claims), self._keys[self._kid], _ALGORITHM, {"typ": _TYPE, "kid": self._kid}
        )

    def read(self, token: str, now: datetime) -> Principal:
        try:
            return self._read(token, now.timestamp())
        except (jwt.InvalidTokenError, msgspec.MsgspecError, ValueError, OverflowError):
            # `from None`: the cause may quote the token, and this error may be logged.
            raise TokenInvalid("This access token is not valid.") from None

    def _read(self, token: str, now: float) -> Principal:
        if len(token) > TOKEN_MAX:
            raise ValueError
        header = self._jws.get_unverified_header(token)
        key = self._keys.get(str(header.get("kid")))
        if key is None or header != {"alg": _ALGORITHM, "typ": _TYPE, "kid": header["kid"]}:
            raise ValueError
        claims = self._claims.decode(self._jws.decode(token, key, [_ALGORITHM]))
        if claims.iss != self._issuer or claims.aud != self._audience:
            raise ValueError
        if max(claims.iat, claims.nbf or 0) > now + LEEWAY_SECONDS:
            raise ValueError
        if now >= claims.exp:
            raise TokenExpired("This access token has expired.")
        expires_at = datetime.fromtimestamp(claims.exp, UTC)
        scopes = None if claims.scp is None else frozenset(claims.scp)
        return Principal(AccountId(claims.sub), claims.sid, claims.role, expires_at, scopes)
