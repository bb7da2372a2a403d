"""What every FactorRepository promises, and what the ports OneTimeCodes and Authenticators do."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from adapters.security import TotpCodes, WebAuthn
from application.ports.identity import Authenticators, OneTimeCodes
from application.ports.unit_of_work import Stale
from domain.identity import Factor, FactorOn, Passkey, PasskeyRefused, SecondFactors
from domain.ids import AccountId, PasskeyId
from tests.contracts.house import House
from tests.support.authenticators import ORIGIN, PRESENT, Authenticator, code_of
from tests.support.builders import an_account

CODES = [bytes([number]) * 32 for number in range(10)]


async def factors_of(house: House, account: AccountId) -> SecondFactors:
    async with house.work() as work:
        return await work.factors.get(account)


def a_passkey(house: House, credential_id: bytes = b"\x00a key") -> Passkey:
    return Passkey(PasskeyId(house.ids.new()), credential_id, b"public", 7, "Laptop", house.clock.now())


def challenge(house: House, content: str = "one") -> str:
    return f"{int(house.clock.now().timestamp()) + 300}.{content}"


async def with_everything(house: House) -> SecondFactors:
    """The factors of a new account, which has an app, two passkeys and recovery codes."""
    account, now = (await an_account(house)).id, house.clock.now()
    async with house.work() as work:
        factors = await work.factors.get(account)
        factors.begin_totp(b"\x00hidden\xff", now)
        factors.confirm_totp(58_000_000_000, CODES, now)
        for name in ("one", "two"):
            factors.add_passkey(a_passkey(house, name.encode() + account.bytes), challenge(house, name), [], now)
        work.factors.save(factors)
    return factors


async def test_an_account_has_none_until_some_are_saved(house: House) -> None:
    ada = await an_account(house)
    found = await factors_of(house, ada.id)
    assert (found.is_on, found.version, found.kinds) == (False, 0, [])
    assert found == SecondFactors(ada.id)


async def test_they_come_back_whole_and_to_their_account_only(house: House) -> None:
    saved, other = await with_everything(house), await with_everything(house)
    assert await factors_of(house, saved.account_id) == saved
    assert await factors_of(house, other.account_id) == other
    assert saved.kinds == [Factor.TOTP, Factor.PASSKEY, Factor.RECOVERY_CODE]


async def test_every_change_is_kept(house: House) -> None:
    saved, now = await with_everything(house), house.clock.now() + timedelta(minutes=1)
    first, second = saved.passkeys
    async with house.work() as work:
        factors = await work.factors.get(saved.account_id)
        factors.prove_totp(58_000_000_001, now)
        factors.prove_recovery_code(CODES[3], now)
        factors.prove_passkey(first, 9, challenge(house, "three"), now)
        factors.rename_passkey(first, "Telephone", now)
        factors.remove_passkey(second, saved.account_id, now)
        factors.add_passkey(new := a_passkey(house, b"new"), challenge(house, "four"), [], now)
        work.factors.save(factors)
    found = await factors_of(house, saved.account_id)
    assert found == factors
    assert [*found.passkeys] == [first, new.id]
    assert (found.passkey(first).name, found.passkey(first).used_at, len(found.recovery_codes)) == ("Telephone", now, 9)
    async with house.work() as work:
        factors = await work.factors.get(saved.account_id)
        factors.reset(now)
        work.factors.save(factors)
    found = await factors_of(house, saved.account_id)
    assert (found.is_on, found.passkeys, found.recovery_codes) == (False, {}, [])


async def test_accounts_with_the_secret_of_an_app_come_page_by_page(house: House) -> None:
    ids = [(await with_everything(house)).account_id for _ in range(3)]
    await an_account(house)
    async with house.work() as work:
        assert list(await work.factors.with_secret(None, 2)) == ids[:2]
        assert list(await work.factors.with_secret(ids[1], 2)) == ids[2:]
        assert list(await work.factors.with_secret(ids[2], 2)) == []


async def test_of_twenty_who_save_the_first_factors_at_once_one_does_and_the_others_are_told(house: House) -> None:
    ada = await an_account(house)

    async def begin(number: int) -> None:
        async with house.work() as work:
            factors = await work.factors.get(ada.id)
            factors.begin_totp(bytes([number]), house.clock.now())
            work.factors.save(factors)

    outcomes = await asyncio.gather(*(begin(number) for number in range(20)), return_exceptions=True)
    late = [outcome for outcome in outcomes if outcome is not None]
    assert all(isinstance(outcome, Stale) for outcome in late), late
    assert (await factors_of(house, ada.id)).version == 20 - len(late) >= 1


async def test_who_saves_what_has_changed_meanwhile_is_told(house: House) -> None:
    saved = await with_everything(house)

    async def use() -> None:
        async with house.work() as work:
            factors = await work.factors.get(saved.account_id)
            factors.prove_recovery_code(CODES[0], house.clock.now())
            work.factors.save(factors)
            async with house.work() as other:
                theirs = await other.factors.get(saved.account_id)
                theirs.prove_recovery_code(CODES[0], house.clock.now())
                other.factors.save(theirs)

    with pytest.raises(Stale):
        await use()
    assert len((await factors_of(house, saved.account_id)).recovery_codes) == 9


async def test_a_passkey_is_of_one_account(house: House) -> None:
    accounts = [(await an_account(house)).id for _ in range(2)]

    async def add(account: AccountId) -> None:
        async with house.work() as work:
            factors = await work.factors.get(account)
            factors.add_passkey(a_passkey(house), challenge(house), CODES, house.clock.now())
            work.factors.save(factors)

    await add(accounts[0])
    with pytest.raises(FactorOn):
        await add(accounts[1])
    assert not (await factors_of(house, accounts[1])).is_on


# Cryptography, of which there is one adapter each


NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def codes() -> OneTimeCodes:
    return TotpCodes()


@pytest.fixture
def authenticators() -> Authenticators:
    return WebAuthn(ORIGIN)


def test_a_secret_is_another_one_each_time_and_its_address_is_for_apps(codes: OneTimeCodes) -> None:
    secret = codes.new_secret()
    assert secret != codes.new_secret()
    assert len(secret) * 5 >= 160
    address = urlsplit(codes.address(secret, "ada+x@example.org"))
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Signalbox:ada%2Bx%40example.org")
    assert parse_qs(address.query) == {"secret": [secret], "issuer": ["Signalbox"]}


def test_a_code_is_known_a_step_early_and_late_and_by_its_own_step(codes: OneTimeCodes) -> None:
    secret = codes.new_secret()
    here = codes.step(secret, code_of(secret, NOW), NOW)
    assert here == int(NOW.timestamp()) // 30
    assert [codes.step(secret, code_of(secret, NOW, steps), NOW) for steps in range(-2, 3)] == [
        None, here - 1, here, here + 1, None,
    ]  # fmt: skip
    assert codes.step(secret, f" {code_of(secret, NOW)[:3]} {code_of(secret, NOW)[3:]} ", NOW) == here


@pytest.mark.parametrize("code", ["", "000000", "½½½½½½", "١٢٣٤٥٦", "\ud800", "0" * 10_000])
def test_what_is_no_code_is_of_no_step(codes: OneTimeCodes, code: str) -> None:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    assert codes.step(secret, code, NOW) is None


async def test_an_answer_proves_what_was_asked_and_nothing_else(authenticators: Authenticators) -> None:
    device, account = Authenticator(flags=PRESENT), AccountId(uuid4())
    said = device.make(authenticators.creation("4070908800.make", account, "ada", "Ada", []))["response"]
    assert authenticators.challenge_of(said["clientDataJSON"]) == "4070908800.make"
    made = await authenticators.attested(said["clientDataJSON"], said["attestationObject"], "4070908800.make")
    assert (made.credential_id, made.sign_count) == (device.credential_id, 0)
    with pytest.raises(PasskeyRefused):
        await authenticators.attested(said["clientDataJSON"], said["attestationObject"], "4070908800.other")

    question = authenticators.request("4070908800.prove", [device.credential_id], is_verifying=False)
    answer = device.prove(question)["response"]
    parts = answer["clientDataJSON"], answer["authenticatorData"], answer["signature"]

    async def proven(challenge: str = "4070908800.prove", key: bytes = made.public_key, verified: bool = False) -> int:
        return await authenticators.asserted(*parts, challenge, key, is_verifying=verified)

    assert await proven() == 1
    for attempt in (proven(challenge="4070908800.make"), proven(key=b"no key"), proven(verified=True)):
        with pytest.raises(PasskeyRefused):
            await attempt


@pytest.mark.parametrize("origin", ["https://signalbox.example.org", "https://signalbox.example.org:8443"])
async def test_the_site_is_the_host_of_its_pages_and_the_origin_has_the_port(origin: str) -> None:
    authenticators: Authenticators = WebAuthn(origin)
    device = Authenticator(site="signalbox.example.org", origin=origin)
    said = device.make(authenticators.creation("1.x", AccountId(uuid4()), "ada", "Ada", []))["response"]
    await authenticators.attested(said["clientDataJSON"], said["attestationObject"], "1.x")
