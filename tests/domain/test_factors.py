"""The rules of second factors that need nothing but the aggregate."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.errors import Exhausted, Invalid, QuotaExceeded
from domain.identity import (
    CHALLENGE_LIFETIME,
    PASSKEY_NAME_MAX,
    PASSKEYS_MAX,
    FactorOff,
    Passkey,
    PasskeyRefused,
    SecondFactors,
    WrongCode,
    ending,
    is_over,
)
from domain.identity.factors import SPENT_MAX
from domain.ids import AccountId, PasskeyId

ADA = AccountId(UUID(int=1))
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
CODES = [b"one", b"two"]


def a_passkey(number: int = 1, name: str = "Laptop", sign_count: int = 0) -> Passkey:
    return Passkey(PasskeyId(UUID(int=number)), bytes([number]), b"key", sign_count, name, NOW)


def a_challenge(number: int = 0, at: datetime = NOW) -> str:
    return ending(at + CHALLENGE_LIFETIME, f".{number}")


def with_passkeys(*passkeys: Passkey) -> SecondFactors:
    factors = SecondFactors(ADA)
    for number, passkey in enumerate(passkeys):
        factors.add_passkey(passkey, a_challenge(number), CODES, NOW)
    factors.take_news()
    return factors


def test_removing_one_of_two_factors_leaves_the_recovery_codes_and_the_last_one_takes_them() -> None:
    factors = with_passkeys(a_passkey(1), a_passkey(2))
    factors.remove_passkey(PasskeyId(UUID(int=1)), ADA, NOW)
    assert (factors.is_on, factors.recovery_codes) == (True, CODES)
    factors.remove_passkey(PasskeyId(UUID(int=2)), ADA, NOW)
    assert (factors.is_on, factors.recovery_codes) == (False, [])


def test_what_changes_nothing_is_told_to_nobody() -> None:
    factors = with_passkeys(a_passkey())
    factors.rename_passkey(PasskeyId(UUID(int=1)), " Laptop ", NOW)
    SecondFactors(ADA).reset(NOW)
    assert not factors.has_news
    with pytest.raises(FactorOff):
        factors.remove_totp(ADA, NOW)


def test_an_app_that_was_never_confirmed_proves_nothing() -> None:
    factors = SecondFactors(ADA)
    factors.begin_totp(b"secret", NOW)
    with pytest.raises(WrongCode):
        factors.prove_totp(5, NOW)
    assert not factors.is_on


@pytest.mark.parametrize("name", ["", " ", "x" * (PASSKEY_NAME_MAX + 1), "a\x00b"])
def test_a_passkey_has_a_name(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        with_passkeys(a_passkey(name=name))
    assert refused.value.pointer == "/name"


def test_an_account_has_so_many_passkeys_at_most() -> None:
    factors = with_passkeys(*(a_passkey(number) for number in range(PASSKEYS_MAX)))
    with pytest.raises(QuotaExceeded):
        factors.add_passkey(a_passkey(99), a_challenge(99), CODES, NOW)


@pytest.mark.parametrize(
    ("before", "now", "is_fine"), [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 0, False)]
)
def test_a_count_has_to_grow_unless_nothing_is_counted(before: int, now: int, is_fine: bool) -> None:
    factors = with_passkeys(a_passkey(sign_count=before))
    if is_fine:
        factors.prove_passkey(PasskeyId(UUID(int=1)), now, a_challenge(7), NOW)
        assert factors.passkey(PasskeyId(UUID(int=1))).sign_count == now
    else:
        with pytest.raises(PasskeyRefused):
            factors.prove_passkey(PasskeyId(UUID(int=1)), now, a_challenge(7), NOW)


def test_answered_challenges_are_known_for_as_long_as_they_could_be_answered_and_no_longer() -> None:
    factors = with_passkeys(a_passkey())
    id = PasskeyId(UUID(int=1))
    for number in range(1, SPENT_MAX):
        factors.prove_passkey(id, 0, a_challenge(number), NOW)
    with pytest.raises(Exhausted):
        factors.prove_passkey(id, 0, a_challenge(SPENT_MAX), NOW)
    later = NOW + CHALLENGE_LIFETIME
    with pytest.raises(PasskeyRefused):
        factors.prove_passkey(id, 0, a_challenge(1), later)
    factors.prove_passkey(id, 0, a_challenge(1, later), later)
    assert factors.spent == [a_challenge(1, later)]


@pytest.mark.parametrize("text", ["", ".", "x.y", "-5.y", "²³.y", "1767603600.y", "1767603600"])
def test_what_has_no_end_or_had_it_is_over(text: str) -> None:
    assert is_over(text, NOW)
    assert not is_over(ending(NOW + timedelta(seconds=1), "y"), NOW)
    assert not is_over("9" * 5_000, NOW)
