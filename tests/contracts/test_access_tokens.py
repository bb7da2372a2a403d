"""What access tokens promise, and what every forgery of one gets for an answer."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from adapters.security.tokens import LEEWAY_SECONDS, TOKEN_MAX, JwtAccessTokens
from application.ports.identity import AccessTokens
from application.principal import Principal
from domain.errors import DomainError, Unauthenticated
from domain.identity import AccountRole
from domain.ids import AccountId, SessionId

KEY = "a secret of this installation, long enough"
OTHER_KEY = "the secret of somebody else, just as long"
NOW = datetime(2026, 5, 4, 3, 2, 1, 234_000, UTC)
ADA = Principal(
    AccountId(UUID("01940000-0000-7000-8000-000000000001")),
    SessionId(UUID("01940000-0000-7000-8000-000000000002")),
    AccountRole.ADMIN,
    NOW + timedelta(minutes=15),
)


@pytest.fixture
def tokens() -> AccessTokens:
    return JwtAccessTokens(KEY, (), "signalbox", "signalbox-api")


def kid_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change to None leaves one out."""
    good = {
        "iss": "signalbox",
        "aud": "signalbox-api",
        "sub": str(ADA.account_id),
        "sid": str(ADA.credential_id),
        "role": "admin",
        "iat": NOW.timestamp(),
        "exp": ADA.expires_at.timestamp(),
        "jti": "one of a kind",
        **changes,
    }
    return {name: value for name, value in good.items() if value is not None}


def segment(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(payload: object, *, key: str = KEY, digest: str = "sha256", **header: Any) -> str:
    """A token whose signature fits; a header field of None is left out."""
    good = {"alg": "HS256", "typ": "at+jwt", "kid": kid_of(KEY), **header}
    signed = f"{segment({name: value for name, value in good.items() if value is not None})}.{segment(payload)}"
    return f"{signed}.{segment(hmac.digest(key.encode(), signed.encode(), digest))}"


def refusal(tokens: AccessTokens, token: str, now: datetime = NOW) -> str:
    """The code that this token is refused with."""
    with pytest.raises(Unauthenticated) as refused:
        tokens.read(token, now)
    return refused.value.code


def test_a_token_is_read_as_the_principal_it_was_issued_to(tokens: AccessTokens) -> None:
    assert tokens.read(tokens.issue(ADA, NOW), NOW) == ADA
    assert tokens.read(forged(claims()), NOW) == ADA


@pytest.mark.parametrize("scopes", [frozenset[str](), frozenset({"mfa:setup"}), frozenset({"a", "b"})])
def test_a_session_that_may_do_only_some_things_may_do_no_others_by_its_token(
    tokens: AccessTokens, scopes: frozenset[str]
) -> None:
    limited = replace(ADA, scopes=scopes)
    assert tokens.read(tokens.issue(limited, NOW), NOW) == limited


def test_no_two_tokens_are_the_same(tokens: AccessTokens) -> None:
    assert tokens.issue(ADA, NOW) != tokens.issue(ADA, NOW)


def test_a_token_has_its_own_type_and_all_claims(tokens: AccessTokens) -> None:
    token = tokens.issue(ADA, NOW)
    header = jwt.get_unverified_header(token)
    payload = jwt.decode(token, options={"verify_signature": False})
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": kid_of(KEY)}
    assert payload.keys() == claims().keys()


def test_a_token_is_good_until_its_very_end(tokens: AccessTokens) -> None:
    token = tokens.issue(ADA, NOW)
    assert tokens.read(token, ADA.expires_at - timedelta(milliseconds=1)) == ADA
    assert refusal(tokens, token, ADA.expires_at) == "token_expired"
    assert refusal(tokens, token, ADA.expires_at + timedelta(days=400)) == "token_expired"


def test_time_is_what_the_caller_says_and_not_what_the_host_says(tokens: AccessTokens) -> None:
    long_ago = NOW - timedelta(days=9_000)
    past = Principal(ADA.account_id, ADA.credential_id, ADA.role, long_ago + timedelta(minutes=1))
    assert tokens.read(tokens.issue(past, long_ago), long_ago) == past


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_clocks_of_hosts_may_differ_by_the_leeway(tokens: AccessTokens, claim: str) -> None:
    ahead = NOW.timestamp() + LEEWAY_SECONDS
    assert tokens.read(forged(claims(**{claim: ahead - 1})), NOW) == ADA
    assert tokens.read(forged(claims(**{claim: ahead})), NOW) == ADA
    assert refusal(tokens, forged(claims(**{claim: ahead + 1}))) == "token_invalid"


def test_a_flawed_token_that_also_expired_is_invalid(tokens: AccessTokens) -> None:
    assert refusal(tokens, forged(claims(aud="elsewhere", exp=1))) == "token_invalid"
    assert refusal(tokens, forged(claims(exp=1), key=OTHER_KEY)) == "token_invalid"


GOOD = forged(claims())
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
# What anybody can fetch; a verifier that lets the header choose the algorithm takes it for the secret.
PUBLIC_KEY = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"
)

FORGERIES = {
    "not signed": forged(claims(), alg="none").rpartition(".")[0] + ".",
    "not signed, in capitals": forged(claims(), alg="NoNe").rpartition(".")[0] + ".",
    "empty signature": f"{HEADER}.{PAYLOAD}.",
    "signature cut off": f"{HEADER}.{PAYLOAD}",
    "signature shortened": GOOD[:-4],
    "signature of other claims": f"{HEADER}.{segment(claims(role='user'))}.{SIGNATURE}",
    "somebody else's key": forged(claims(), key=OTHER_KEY),
    "somebody else's key and kid": forged(claims(), key=OTHER_KEY, kid=kid_of(OTHER_KEY)),
    "a public key as the secret": forged(claims(), key=PUBLIC_KEY, kid=kid_of(PUBLIC_KEY)),
    "an empty secret": forged(claims(), key=""),
    "HS384": forged(claims(), alg="HS384", digest="sha384"),
    "HS512": forged(claims(), alg="HS512", digest="sha512"),
    "RS256": forged(claims(), alg="RS256"),
    "ES256": forged(claims(), alg="ES256"),
    "no algorithm": forged(claims(), alg=None),
    "algorithm in lower case": forged(claims(), alg="hs256"),
    "algorithm as a list": forged(claims(), alg=["HS256"]),
    "no kid": forged(claims(), kid=None),
    "empty kid": forged(claims(), kid=""),
    "kid of another type": forged(claims(), kid=[kid_of(KEY)]),
    "kid as a path": forged(claims(), kid="../../../../dev/null"),
    "kid as SQL": forged(claims(), kid="' UNION SELECT 'key' --"),
    "kid as a URL": forged(claims(), kid="http://127.0.0.1:9/keys"),
    "jku": forged(claims(), jku="http://127.0.0.1:9/keys"),
    "x5u": forged(claims(), x5u="http://127.0.0.1:9/keys"),
    "jwk": forged(claims(), jwk={"kty": "oct", "k": segment(KEY.encode())}),
    "x5c": forged(claims(), x5c=["MIIB"]),
    "unknown crit": forged(claims(), crit=["exp2"], exp2=1),
    "empty crit": forged(claims(), crit=[]),
    "b64 false": forged(claims(), crit=["b64"], b64=False),
    "type of a plain JWT": forged(claims(), typ="JWT"),
    "type of a refresh token": forged(claims(), typ="rt+jwt"),
    "type in capitals": forged(claims(), typ="AT+JWT"),
    "no type": forged(claims(), typ=None),
    "wrong issuer": forged(claims(iss="signalbox2")),
    "issuer as a list": forged(claims(iss=["signalbox"])),
    "part of the issuer": forged(claims(iss="signal")),
    "wrong audience": forged(claims(aud="signalbox")),
    "longer audience": forged(claims(aud="signalbox-api-2")),
    "audience in capitals": forged(claims(aud="Signalbox-API")),
    "audience as a list": forged(claims(aud=["signalbox-api"])),
    "several audiences": forged(claims(aud=["signalbox-api", "elsewhere"])),
    "unknown role": forged(claims(role="owner")),
    "subject that is no id": forged(claims(sub="ada")),
    "subject as a number": forged(claims(sub=1)),
    "session that is no id": forged(claims(sid="*")),
    "exp as text": forged(claims(exp="1999999999")),
    "exp as a truth": forged(claims(exp=True)),
    "exp beyond every calendar": forged(claims(exp=10**300)),
    "exp beyond every number": forged(f'{json.dumps(claims())[:-1]}, "exp": 1e999}}'.encode()),
    "exp that is not a number": forged(f'{json.dumps(claims())[:-1]}, "exp": NaN}}'.encode()),
    "jti as a number": forged(claims(jti=7)),
    "nbf as text": forged(claims(nbf="now")),
    "claims that are a list": forged([claims()]),
    "claims that are null": forged(None),
    "claims that are no JSON": forged(b"{"),
    "claims that are not UTF-8": forged(b"\xff\xfe"),
    "claims nested without end": forged(b'{"iss":' * 200),
    "a header that is no JSON": f"{segment(b'{')}.{PAYLOAD}.{SIGNATURE}",
    "a header nested without end": f"{segment(b'[' * 2_000)}.{PAYLOAD}.{SIGNATURE}",
    "a header that is a list": f"{segment([])}.{PAYLOAD}.{SIGNATURE}",
    "empty": "",
    "one dot": ".",
    "two dots": "..",
    "a thousand dots": "." * 1_000,
    "a thousand dots between good parts": f"{HEADER}{'.' * 1_000}{PAYLOAD}.{SIGNATURE}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "64 KiB": "a" * 65_536,
    "64 KiB, well signed": forged(claims(padding="a" * 65_536)),
    "as long as the cap and a bit, well signed": forged(claims(padding="a" * TOKEN_MAX)),
    "not ASCII": GOOD.replace(".", "\uff0e"),
    "not ASCII at the end": f"{GOOD}ä",
    "a lone surrogate": f"{GOOD}\ud800",
    "NUL": f"{GOOD}\x00",
    "white space before": f" {GOOD}",
    "a line break after": f"{GOOD}\n",
    "a refresh token": f"{ADA.credential_id.hex}.{segment(b'x' * 32)}",
    "a bearer prefix": f"Bearer {GOOD}",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_invalid(tokens: AccessTokens, forgery: str) -> None:
    assert refusal(tokens, forgery) == "token_invalid"


@pytest.mark.parametrize("name", claims())
def test_every_claim_is_required(tokens: AccessTokens, name: str) -> None:
    assert refusal(tokens, forged(claims(**{name: None}))) == "token_invalid"
    assert refusal(tokens, forged({**claims(), name: None})) == "token_invalid"
    assert refusal(tokens, forged({**claims(), name: {}})) == "token_invalid"


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_character_of_a_token_counts(tokens: AccessTokens, part: int) -> None:
    parts = tokens.issue(ADA, NOW).split(".")
    for place in range(len(parts[part])):
        other = "A" if parts[part][place] != "A" else "B"
        changed = [*parts]
        changed[part] = parts[part][:place] + other + parts[part][place + 1 :]
        assert refusal(tokens, ".".join(changed)) == "token_invalid"


def test_a_refusal_tells_nothing_of_the_token(tokens: AccessTokens) -> None:
    with pytest.raises(DomainError) as refused:
        tokens.read(GOOD[:-4], NOW)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert PAYLOAD[:20] not in str(refused.value)


def test_keys_can_be_replaced_while_tokens_are_about() -> None:
    before = JwtAccessTokens(KEY, (), "signalbox", "signalbox-api")
    during = JwtAccessTokens(OTHER_KEY, (KEY,), "signalbox", "signalbox-api")
    after = JwtAccessTokens(OTHER_KEY, (), "signalbox", "signalbox-api")
    old, new = before.issue(ADA, NOW), during.issue(ADA, NOW)
    assert during.read(old, NOW) == during.read(new, NOW) == after.read(new, NOW) == ADA
    assert refusal(after, old) == refusal(before, new) == "token_invalid"


def test_the_kid_of_one_key_does_not_open_the_door_for_another() -> None:
    tokens = JwtAccessTokens(OTHER_KEY, (KEY,), "signalbox", "signalbox-api")
    assert refusal(tokens, forged(claims(), key=KEY, kid=kid_of(OTHER_KEY))) == "token_invalid"


@pytest.mark.parametrize(("secret", "previous"), [("short", ()), ("", ()), ("x" * 31, ()), (KEY, ("short",))])
def test_a_weak_secret_is_refused_at_once(secret: str, previous: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        JwtAccessTokens(secret, previous, "signalbox", "signalbox-api")
