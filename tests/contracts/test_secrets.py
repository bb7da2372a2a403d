"""What secrets promise: nobody foresees one, and what is kept of it leads nowhere."""

import base64
import hashlib
import hmac

import pytest

from adapters.security.secrets import HmacSecrets
from application.ports.secrets import Secrets

KEY = "a secret of this installation, long enough"
OTHER_KEY = "the secret of somebody else, just as long"


@pytest.fixture
def secrets() -> Secrets:
    return HmacSecrets(KEY)


def as_text(content: bytes) -> str:
    """How bytes look as a secret."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


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
    assert secrets.sign(b"key", oddity)


def test_a_signature_is_the_same_for_the_same_key_and_text_and_another_for_any_other(secrets: Secrets) -> None:
    signature = secrets.sign(b"key", "text")
    assert signature == HmacSecrets(OTHER_KEY).sign(b"key", "text")
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32
    others = {secrets.sign(key, text) for key in (b"", b"key", b"kez") for text in ("", "text", "texu", "tex", "text ")}
    assert len(others) == 15
    guesses = (hashlib.sha256(b"text"), hashlib.sha256(b"keytext"), hmac.new(b"", b"text", "sha256"))
    assert signature not in {as_text(guess.digest()) for guess in guesses}


def test_a_signed_secret_is_known_as_one_of_this_installation(secrets: Secrets) -> None:
    secret = secrets.new()
    signed = secrets.signed(b"key", secret)
    assert signed.startswith(secret)
    assert signed.replace("-", "").replace("_", "").isalnum()
    assert secrets.is_signed(b"key", signed)
    assert HmacSecrets(KEY).is_signed(b"key", signed)
    assert not HmacSecrets(OTHER_KEY).is_signed(b"key", signed)


def test_what_was_signed_for_one_purpose_is_nothing_for_another(secrets: Secrets) -> None:
    signed = secrets.signed(b"key", secrets.new())
    assert not any(secrets.is_signed(purpose, signed) for purpose in (b"", b"ticket", b"ke", b"keys"))


def test_what_was_signed_before_the_secret_was_replaced_is_known_until_that_secret_is_forgotten(
    secrets: Secrets,
) -> None:
    signed = secrets.signed(b"key", secrets.new())
    replaced = HmacSecrets(OTHER_KEY, ["one between the two, long enough", KEY])

    assert replaced.is_signed(b"key", signed)
    assert not replaced.is_signed(b"ticket", signed)
    assert not HmacSecrets(OTHER_KEY).is_signed(b"key", signed)
    assert not secrets.is_signed(b"key", replaced.signed(b"key", secrets.new()))


def test_what_was_not_signed_is_no_signed_secret(secrets: Secrets) -> None:
    signed = secrets.signed(b"key", secrets.new())
    altered = [signed[:place] + ("a" if signed[place] != "a" else "b") + signed[place + 1 :] for place in range(65)]
    strange = ["", "x", "ä" * 65, "\x00\ud800", secrets.new(), secrets.sign(b"", signed), signed + " ", signed[1:]]
    assert not any(secrets.is_signed(b"key", each) for each in (*altered, *strange))


def test_what_is_hidden_is_shown_to_whoever_has_the_secret_and_says_nothing_to_others(secrets: Secrets) -> None:
    content = b"the token of an invitation" * 9
    hidden = [secrets.hide(b"here", content) for _ in range(9)]

    assert len(set(hidden)) == 9
    assert all(secrets.show(b"here", each) == content for each in hidden)
    assert not [each for each in hidden if content[:8] in each]
    assert secrets.show(b"here", secrets.hide(b"here", b"")) == b""


def test_what_was_hidden_for_another_place_or_by_somebody_else_or_is_damaged_is_not_shown(secrets: Secrets) -> None:
    hidden = secrets.hide(b"here", b"content")
    damaged = [hidden[:cut] for cut in range(len(hidden))] + [
        hidden[:at] + bytes([hidden[at] ^ 1]) + hidden[at + 1 :] for at in range(len(hidden))
    ]

    assert secrets.show(b"there", hidden) is None
    assert HmacSecrets(OTHER_KEY).show(b"here", hidden) is None
    assert {secrets.show(b"here", each) for each in (*damaged, hidden + b"x")} == {None}


def test_what_was_hidden_before_the_secret_was_replaced_can_still_be_shown(secrets: Secrets) -> None:
    hidden = secrets.hide(b"here", b"content")
    replaced = HmacSecrets(OTHER_KEY, [KEY])

    assert replaced.show(b"here", hidden) == b"content"
    assert secrets.show(b"here", replaced.hide(b"here", b"content")) is None
