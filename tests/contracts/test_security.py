"""What password hashes, access tokens and secrets promise, and what every forgery of a token gets for an answer."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import argon2
import jwt
import pytest

from adapters.security.passwords import MEMORY_KIB, PASSES, Argon2Hasher
from adapters.security.secrets import HmacSecrets
from adapters.security.tokens import LEEWAY_SECONDS, TOKEN_MAX, JwtAccessTokens
from application.ports.identity import AccessTokens, PasswordHasher
from application.ports.secrets import Secrets
from application.principal import Principal
from domain.errors import DomainError, Unauthenticated, Unavailable
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


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    """A hasher as cheap as argon2 allows."""
    hasher = Argon2Hasher(memory_kib=8, passes=1)
    yield hasher
    hasher.close()


@pytest.fixture
def secrets() -> Secrets:
    return HmacSecrets(KEY)


# Access tokens


def kid_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change to None leaves one out."""
    good = {
        "iss": "signalbox",
        "aud": "signalbox-api",
        "sub": str(ADA.account_id),
        "sid": str(ADA.session_id),
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
    past = Principal(ADA.account_id, ADA.session_id, ADA.role, long_ago + timedelta(minutes=1))
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
    "a refresh token": f"{ADA.session_id.hex}.{segment(b'x' * 32)}",
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


# Passwords


async def test_a_password_fits_its_own_hash_only(hasher: PasswordHasher) -> None:
    encoded = await hasher.hash("correct horse battery")
    assert await hasher.verify("correct horse battery", encoded)
    for wrong in ("correct horse batterY", "correct horse battery ", "correct horse", "", "\x00", "\ud800"):
        assert not await hasher.verify(wrong, encoded)


async def test_hashes_of_one_password_differ(hasher: PasswordHasher) -> None:
    assert await hasher.hash("correct horse battery") != await hasher.hash("correct horse battery")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 72 + "a", "x" * 72 + "b"),
        ("x" * 1_023 + "a", "x" * 1_023 + "b"),
        ("before\x00after, a", "before\x00after, b"),
        ("пароль под ёлкой", "пароль под елкой"),
        ("🐎" * 12, "🐴" * 12),
    ],
)
async def test_every_character_of_a_password_counts(hasher: PasswordHasher, one: str, other: str) -> None:
    encoded = await hasher.hash(one)
    assert await hasher.verify(one, encoded)
    assert not await hasher.verify(other, encoded)


async def test_the_same_characters_are_the_same_password_however_a_system_composes_them(
    hasher: PasswordHasher,
) -> None:
    encoded = await hasher.hash("Cr\u00e8me br\u00fbl\u00e9e 12")
    assert await hasher.verify("Cre\u0300me bru\u0302le\u0301e 12", encoded)


async def test_nobodys_password_is_never_right(hasher: PasswordHasher) -> None:
    assert not await hasher.verify("correct horse battery", None)
    assert not await hasher.verify("", None)


@pytest.mark.parametrize("encoded", ["", "plain text", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$" + "x" * 53])
async def test_what_is_no_hash_fits_nothing_and_is_outdated(hasher: PasswordHasher, encoded: str) -> None:
    assert not await hasher.verify("correct horse battery", encoded)
    assert hasher.is_outdated(encoded)


async def test_passwords_are_kept_as_strong_argon2id_hashes() -> None:
    hasher = Argon2Hasher()
    encoded = await hasher.hash("correct horse battery")
    assert await hasher.verify("correct horse battery", encoded)
    hasher.close()
    made_with = argon2.extract_parameters(encoded)
    assert (made_with.type, made_with.version, made_with.parallelism) == (argon2.Type.ID, 19, 1)
    assert made_with.memory_cost >= 19_456
    assert made_with.time_cost >= 2
    assert made_with.salt_len >= 16
    assert made_with.hash_len >= 32
    assert not hasher.is_outdated(encoded)


@pytest.mark.parametrize(
    ("weaker", "outdated"),
    [
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1), False),
        (argon2.PasswordHasher(time_cost=PASSES + 1, memory_cost=MEMORY_KIB * 2, parallelism=1), False),
        (argon2.PasswordHasher(time_cost=PASSES - 1, memory_cost=MEMORY_KIB, parallelism=1), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB - 1, parallelism=1), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, salt_len=8), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, hash_len=16), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, type=argon2.Type.I), True),
    ],
)
async def test_a_weaker_hash_is_outdated_and_yet_verified(weaker: argon2.PasswordHasher, outdated: bool) -> None:
    hasher = Argon2Hasher()
    encoded = weaker.hash("correct horse battery")
    assert hasher.is_outdated(encoded) is outdated
    assert await hasher.verify("correct horse battery", encoded)
    hasher.close()


class Bench:
    """Takes the place of argon2's own work: it goes on only when told to, and counts how many are at it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.at_work = 0
        self.most_at_work = 0
        self.done = 0
        self._lock = threading.Lock()

    def hash(self, password: bytes) -> str:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.go_on.wait(30)
        with self._lock:
            self.at_work -= 1
            self.done += 1
        return password.decode()


@pytest.fixture
def crowded() -> Iterator[tuple[Argon2Hasher, Bench]]:
    """A hasher with two workers and three places to wait in, all at a standstill."""
    hasher, bench = Argon2Hasher(memory_kib=8, passes=1, workers=2, waiting_max=3), Bench()
    hasher._argon2 = bench  # type: ignore[assignment]
    yield hasher, bench
    bench.go_on.set()
    hasher.close()


async def test_beyond_a_bounded_crowd_the_next_is_told_to_come_back(crowded: tuple[Argon2Hasher, Bench]) -> None:
    hasher, bench = crowded
    waiting = [asyncio.create_task(hasher.hash(str(number))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await hasher.hash("one too many")
    assert refused.value.retry_after_seconds > 0
    with pytest.raises(Unavailable):
        await hasher.verify("one too many", None)
    bench.go_on.set()
    assert await asyncio.gather(*waiting) == list("01234")
    assert bench.most_at_work <= 2
    assert await hasher.hash("welcome again") == "welcome again"


async def test_whoever_stops_waiting_makes_room_and_costs_nothing(crowded: tuple[Argon2Hasher, Bench]) -> None:
    hasher, bench = crowded
    waiting = [asyncio.create_task(hasher.hash(str(number))) for number in range(5)]
    await asyncio.sleep(0)
    for task in waiting[2:]:
        task.cancel()
    await asyncio.wait(waiting[2:])
    more = [asyncio.create_task(hasher.hash(number)) for number in "567"]
    await asyncio.sleep(0)
    bench.go_on.set()
    assert await asyncio.gather(*waiting[:2], *more) == list("01567")
    assert bench.done == 5


async def test_the_event_loop_goes_on_while_hashes_are_made() -> None:
    hasher = Argon2Hasher()
    hashing = asyncio.gather(*(hasher.hash("correct horse battery") for _ in range(4)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    await hashing
    hasher.close()
    assert turns > 100


# Secrets


def test_a_new_secret_is_url_safe_and_has_256_random_bits(secrets: Secrets) -> None:
    made = {secrets.new() for _ in range(1_000)}
    assert len(made) == 1_000
    for secret in made:
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32
        assert secret.replace("-", "").replace("_", "").isalnum()


def test_a_digest_is_the_same_each_time_and_for_every_installation(secrets: Secrets) -> None:
    secret = secrets.new()
    digest = secrets.digest(secret)
    assert digest == secrets.digest(secret) == HmacSecrets(OTHER_KEY).digest(secret)
    assert len(digest) == 32
    assert secret.encode() not in digest
    assert len({secrets.digest(secrets.new()) for _ in range(100)}) == 100


@pytest.mark.parametrize("oddity", ["", "\x00", "ä", "\ud800", "🚀", "a" * 100_000])
def test_anything_that_comes_from_outside_can_be_digested(secrets: Secrets, oddity: str) -> None:
    assert len(secrets.digest(oddity)) == 32
    assert secrets.successor(oddity)


def test_the_chain_is_the_same_for_the_same_installation_and_never_comes_round(secrets: Secrets) -> None:
    again = HmacSecrets(KEY)
    chain = list(itertools.accumulate(range(1_000), lambda secret, _: secrets.successor(secret), initial=secrets.new()))
    assert len(set(chain)) == len(chain)
    assert [again.successor(secret) for secret in chain[:-1]] == chain[1:]
    assert all(len(secret) == 43 and secret.isascii() for secret in chain[1:])


def test_nobody_foresees_a_successor_without_the_key_of_the_installation(secrets: Secrets) -> None:
    secret = secrets.new()
    guesses: list[Callable[[], str]] = [
        lambda: HmacSecrets(OTHER_KEY).successor(secret),
        lambda: segment(secrets.digest(secret)),
        lambda: segment(hmac.digest(b"", secret.encode(), "sha256")),
        lambda: segment(hmac.digest(KEY.encode(), secret.encode(), "sha256")),
    ]
    assert secrets.successor(secret) not in {guess() for guess in guesses}
