"""Second factors: how they are set up and removed, what signing in asks for, and what nobody gets by with."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from dependency_injector import providers

from adapters.security import HmacSecrets
from application.administration import Administration
from application.identity import (
    CodeProof,
    Credentials,
    FactorAddition,
    FactorChange,
    MfaRequired,
    MfaTokenInvalid,
    PasswordChange,
    Proofs,
    SecondStep,
)
from application.identity.measures import CONFIRMING_PER_ACCOUNT, FACTOR_PER_ACCOUNT
from application.scopes import MfaSetupRequired
from domain.errors import Exhausted, Invalid
from domain.identity import (
    CHALLENGE_LIFETIME,
    RECOVERY_CODES,
    Factor,
    FactorOff,
    FactorOn,
    FactorRequired,
    InvalidCredentials,
    Passkey,
    WrongCode,
    WrongPassword,
)
from domain.ids import PasskeyId
from entrypoints.container import offline
from tests.application.front_door import HOME, PASSWORD, FrontDoor, Visit, assert_signed_out, events_of
from tests.support.authenticators import code_of


class App:
    """An authenticator app that has the secret of an account, and the codes that came with it."""

    def __init__(self, door: FrontDoor, secret: str) -> None:
        self._door = door
        self.secret = secret
        self.recovery_codes: list[str] = []

    def code(self, steps: int = 0) -> str:
        return code_of(self.secret, self._door.clock.now(), steps)

    async def next_code(self) -> str:
        """The next code, which was never used."""
        self._door.wait(seconds=30)
        return self.code()


async def begin(door: FrontDoor, visit: Visit, **proof: str) -> App:
    addition = FactorAddition(password=PASSWORD, **proof)  # type: ignore[arg-type]
    found = await door.factors.begin_totp(visit.actor, addition)
    assert found.uri.startswith("otpauth://totp/Signalbox:ada%40example.org?")
    assert found.secret in found.uri
    return App(door, found.secret)


async def set_up(door: FrontDoor, visit: Visit) -> App:
    app = await begin(door, visit)
    app.recovery_codes = (await door.factors.confirm_totp(visit.actor, CodeProof(app.code()))).recovery_codes
    return app


async def first_step(door: FrontDoor, password: str = PASSWORD) -> str:
    """The token that stands for the right password."""
    with pytest.raises(MfaRequired) as asked:
        await door.identity.log_in(Credentials("ada@example.org", password), HOME)
    return str(asked.value.extra["mfa_token"])


async def second_step(door: FrontDoor, token: str, **proof: str) -> Visit:
    return door.visit(*await door.second_steps.verify(SecondStep(mfa_token=token, **proof), HOME))  # type: ignore[arg-type]


async def test_codes_are_asked_for_once_one_was_confirmed_and_not_before(door: FrontDoor) -> None:
    ada = await door.register()
    app = await begin(door, ada)
    await door.log_in()
    with pytest.raises(WrongCode):
        await door.factors.confirm_totp(ada.actor, CodeProof("000000"))
    await door.log_in()
    await door.factors.confirm_totp(ada.actor, CodeProof(app.code()))
    with pytest.raises(MfaRequired) as asked:
        await door.log_in()
    assert asked.value.extra["methods"] == [Factor.TOTP, Factor.RECOVERY_CODE]
    assert asked.value.extra["expires_in"] == CHALLENGE_LIFETIME.total_seconds()
    assert (await door.factors.overview(ada.actor)).recovery_codes_left == RECOVERY_CODES


async def test_a_new_secret_replaces_one_that_was_never_confirmed_and_none_that_was(door: FrontDoor) -> None:
    ada = await door.register()
    old, new = await begin(door, ada), await begin(door, ada)
    with pytest.raises(WrongCode):
        await door.factors.confirm_totp(ada.actor, CodeProof(old.code()))
    await door.factors.confirm_totp(ada.actor, CodeProof(new.code()))
    with pytest.raises(FactorOn):
        await begin(door, ada, code=await new.next_code())
    with pytest.raises(FactorOn):
        await door.factors.confirm_totp(ada.actor, CodeProof(await new.next_code()))


async def test_a_second_factor_signs_in_and_only_after_the_password(door: FrontDoor) -> None:
    app = await set_up(door, await door.register())
    with pytest.raises(InvalidCredentials):
        await door.log_in(password="a wrong guess")
    visit = await second_step(door, await first_step(door), code=await app.next_code())
    assert visit.actor.scopes is None
    assert (await door.refresh(visit.refresh_token)).account == visit.account


@pytest.mark.parametrize("steps", [-2, -1, 0, 1, 2])
async def test_the_clock_of_a_telephone_may_be_wrong_by_one_step(door: FrontDoor, steps: int) -> None:
    app = await set_up(door, await door.register())
    door.wait(minutes=5)
    token = await first_step(door)
    if abs(steps) < 2:
        await second_step(door, token, code=app.code(steps))
    else:
        with pytest.raises(InvalidCredentials):
            await second_step(door, token, code=app.code(steps))


async def test_a_code_is_used_once_by_whomever_and_none_before_it_any_more(door: FrontDoor) -> None:
    ada = await door.register()
    app = await begin(door, ada)
    used = app.code()
    await door.factors.confirm_totp(ada.actor, CodeProof(used))
    token = await first_step(door)
    for code in (used, app.code(-1)):
        with pytest.raises(InvalidCredentials):
            await second_step(door, token, code=code)
    await second_step(door, token, code=app.code(1))


async def test_of_twenty_who_use_one_code_at_once_one_gets_in(open_door: FrontDoor) -> None:
    door = open_door
    ada = await door.register()
    app = await set_up(door, ada)
    for proof in ({"code": await app.next_code()}, {"recovery_code": app.recovery_codes[0]}):
        tokens = [await first_step(door) for _ in range(20)]
        outcomes = await asyncio.gather(
            *(second_step(door, token, **proof) for token in tokens), return_exceptions=True
        )
        assert sum(isinstance(outcome, Visit) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == 19


async def test_a_recovery_code_stands_in_once_however_it_is_typed(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    first, second, *_ = app.recovery_codes
    assert len({*app.recovery_codes}) == RECOVERY_CODES
    await second_step(door, await first_step(door), recovery_code=first)
    with pytest.raises(InvalidCredentials):
        await second_step(door, await first_step(door), recovery_code=first)
    await second_step(door, await first_step(door), recovery_code=second.replace("-", " ").upper())
    assert (await door.factors.overview(ada.actor)).recovery_codes_left == RECOVERY_CODES - 2


async def test_a_recovery_code_is_of_one_account_also_where_its_digest_was_copied(door: FrontDoor) -> None:
    eve, ada = await door.register("eve@example.org"), await door.register()
    app = await set_up(door, ada)
    async with door.container.work()() as work:
        hers, theirs = await work.factors.get(ada.account), await work.factors.get(eve.account)
        theirs.begin_totp(b"", eve.account, door.clock.now())
        theirs.confirm_totp(1, hers.recovery_codes, eve.account, door.clock.now())
        work.factors.save(theirs)
    removal = FactorChange(password=PASSWORD, recovery_code=app.recovery_codes[0])
    with pytest.raises(WrongCode):
        await door.factors.remove_totp(eve.actor, removal)
    await door.factors.remove_totp(ada.actor, removal)


async def test_there_are_no_recovery_codes_without_a_factor(door: FrontDoor) -> None:
    ada = await door.register()
    await begin(door, ada)
    with pytest.raises(FactorOff):
        await door.factors.renew_recovery_codes(ada.actor, FactorChange(password=PASSWORD, code="000000"))
    assert (await door.factors.overview(ada.actor)).recovery_codes_left == 0


async def test_new_recovery_codes_take_the_password_and_a_factor_and_the_place_of_the_old_ones(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    for proof, refusal in (
        (FactorChange(password="a wrong guess", code=app.code(1)), WrongPassword),
        (FactorChange(password=PASSWORD, code=app.code()), WrongCode),
    ):
        with pytest.raises(refusal):
            await door.factors.renew_recovery_codes(ada.actor, proof)
    right = FactorChange(password=PASSWORD, code=await app.next_code())
    new = (await door.factors.renew_recovery_codes(ada.actor, right)).recovery_codes
    with pytest.raises(InvalidCredentials):
        await second_step(door, await first_step(door), recovery_code=app.recovery_codes[0])
    await second_step(door, await first_step(door), recovery_code=new[0])


async def test_it_takes_the_password_and_a_factor_to_remove_one(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    with pytest.raises(WrongPassword):
        await door.factors.remove_totp(ada.actor, FactorChange(password="a wrong guess", code=await app.next_code()))
    with pytest.raises(WrongCode):
        await door.factors.remove_totp(ada.actor, FactorChange(password=PASSWORD, code="000000"))
    await door.factors.remove_totp(ada.actor, FactorChange(password=PASSWORD, recovery_code=app.recovery_codes[0]))
    await door.log_in()
    view = await door.factors.overview(ada.actor)
    assert (view.totp_at, view.recovery_codes_left) == (None, 0)
    with pytest.raises(FactorOff):
        await door.factors.remove_totp(ada.actor, FactorChange(password=PASSWORD, code=await app.next_code()))


async def test_a_secret_that_took_no_factor_is_worth_nothing_once_there_is_one(door: FrontDoor) -> None:
    ada = await door.register()
    app = await begin(door, ada)
    async with door.container.work()() as work:
        factors = await work.factors.get(ada.account)
        passkey = Passkey(PasskeyId(door.ids.new()), b"id", b"key", 0, "Laptop", door.clock.now())
        factors.add_passkey(passkey, f"{int(door.clock.now().timestamp()) + 300}.x", [], door.clock.now())
        work.factors.save(factors)
    with pytest.raises(WrongCode):
        await door.factors.confirm_totp(ada.actor, CodeProof(app.code()))
    with pytest.raises(Invalid):
        await begin(door, ada)


async def test_codes_of_a_new_app_that_are_mistyped_use_up_no_attempts_of_signing_in(door: FrontDoor) -> None:
    ada = await door.register()
    app = await begin(door, ada)
    for _ in range(CONFIRMING_PER_ACCOUNT.limit - 1):
        with pytest.raises(WrongCode):
            await door.factors.confirm_totp(ada.actor, CodeProof("000000"))
    await door.factors.confirm_totp(ada.actor, CodeProof(app.code()))
    for _ in range(FACTOR_PER_ACCOUNT.limit - 1):
        with pytest.raises(InvalidCredentials):
            await second_step(door, await first_step(door), code="000000")
    await second_step(door, await first_step(door), code=await app.next_code())


async def test_what_is_refused_for_another_reason_than_its_proof_uses_up_no_attempt(door: FrontDoor) -> None:
    ada = await door.register()
    await set_up(door, ada)
    for _ in range(FACTOR_PER_ACCOUNT.limit + 1):
        door.wait(minutes=1)
        with pytest.raises(Invalid):
            await begin(door, ada)


async def test_the_first_step_counts_for_five_minutes_for_one_account_and_one_password(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    for bad in ("", "x", "1.2.3", await first_step(door) + "x", (await first_step(door)).replace("-", "_")):
        with pytest.raises(MfaTokenInvalid):
            await second_step(door, bad, code=await app.next_code())
    token = await first_step(door)
    door.wait(seconds=CHALLENGE_LIFETIME.total_seconds() - 1)
    await second_step(door, token, code=app.code())
    door.wait(seconds=1)
    with pytest.raises(MfaTokenInvalid):
        await second_step(door, token, code=await app.next_code())


async def change_password(door: FrontDoor, ada: Visit) -> None:
    await door.identity.change_password(ada.actor, PasswordChange(PASSWORD, "an entirely new one"))


async def disable(door: FrontDoor, ada: Visit) -> None:
    await door.administration.disable("ada@example.org")


@pytest.mark.parametrize("what", [change_password, disable])
async def test_what_ends_a_password_ends_what_it_began(
    door: FrontDoor, what: Callable[[FrontDoor, Visit], Awaitable[None]]
) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    token = await first_step(door)
    await what(door, ada)
    with pytest.raises(MfaTokenInvalid):
        await second_step(door, token, code=await app.next_code())


async def reset(door: FrontDoor, ada: Visit, app: App) -> None:
    await door.administration.reset_mfa("ada@example.org")


async def remove(door: FrontDoor, ada: Visit, app: App) -> None:
    await door.factors.remove_totp(ada.actor, FactorChange(password=PASSWORD, recovery_code=app.recovery_codes[0]))


@pytest.mark.parametrize("how", [reset, remove])
async def test_the_second_step_is_over_once_there_is_no_factor(
    door: FrontDoor, how: Callable[[FrontDoor, Visit, App], Awaitable[None]]
) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    token = await first_step(door)
    await how(door, ada, app)
    with pytest.raises(MfaTokenInvalid):
        await second_step(door, token, code=await app.next_code())


async def test_a_code_that_fails_is_told_and_after_ten_an_hour_none_is_tried(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    token = await first_step(door)
    for _ in range(FACTOR_PER_ACCOUNT.limit):
        with pytest.raises(InvalidCredentials):
            await second_step(door, token, code="000000")
    with pytest.raises(Exhausted):
        await second_step(door, token, code=await app.next_code())
    for telling in list(door.container.signing_in()._telling):
        await telling
    assert (await events_of(door, ada.account)).count("login.failed") == FACTOR_PER_ACCOUNT.limit
    door.wait(hours=1)
    await second_step(door, await first_step(door), code=app.code())


async def test_every_change_and_use_is_told_to_the_account_and_holds_no_secret(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    await second_step(door, await first_step(door), code=await app.next_code())
    await second_step(door, await first_step(door), recovery_code=app.recovery_codes[0])
    await door.factors.remove_totp(ada.actor, FactorChange(password=PASSWORD, code=await app.next_code()))
    told = [type for type in await events_of(door, ada.account) if type.startswith("account.")]
    assert told == [
        "account.registered",
        "account.totp_begun",
        "account.factor_added",
        "account.recovery_codes_made",
        "account.factor_used",
        "account.recovery_code_used",
        "account.factor_used",
        "account.factor_removed",
    ]
    entries = await door.journal.read(f"account:{ada.account}", 0, 99)
    journal = b"".join(bytes(entry.body) for entry in entries).decode()
    assert app.secret not in journal
    assert app.recovery_codes[0] not in journal
    async with door.container.work()() as work:
        kept = await work.factors.get(ada.account)
    assert app.secret.encode() not in repr(kept).encode()


async def test_an_operator_lets_somebody_in_who_has_lost_everything(door: FrontDoor) -> None:
    ada = await door.register()
    await set_up(door, ada)
    await door.administration.reset_mfa("ada@example.org")
    assert_signed_out(door, ada)
    visit = await door.log_in()
    assert (await events_of(door, ada.account)).count("account.factor_removed") == 1
    with pytest.raises(FactorOff, match="has no second factor"):
        await door.administration.reset_mfa("ada@example.org")
    assert await door.live(visit) == 1


async def test_secrets_of_apps_outlive_the_secret_of_the_installation(door: FrontDoor) -> None:
    ada = await door.register()
    app = await set_up(door, ada)
    old, newer = offline().jwt_secret, "a newer secret of the installation"

    def proofs(*keys: str) -> Proofs:
        house, secrets = door.container, HmacSecrets(keys[0], keys[1:])
        parts = house.work(), house.hasher(), house.one_time_codes(), house.authenticators()
        return Proofs(*parts, secrets, house.limits(), door.clock)

    def administration(*keys: str) -> Administration:
        return Administration(door.container.work(), door.authentication, proofs(*keys), door.clock)

    assert await administration(newer).reencrypt() == (0, 1)
    assert await administration(newer, old).reencrypt() == (1, 0)
    async with door.container.work()() as work:
        kept = await work.factors.get(ada.account)
    code = await app.next_code()
    assert (proofs(newer).step(kept, code) is not None, proofs(old).step(kept, code)) == (True, None)


# Who has to have one


def strict_door(rule: str) -> FrontDoor:
    return FrontDoor(settings=providers.Object(msgspec.structs.replace(offline(), mfa_required=rule)))


async def test_who_has_to_have_a_factor_does_nothing_else_before() -> None:
    door = strict_door("all")
    ada = await door.register()
    assert ada.actor.scopes == frozenset({"mfa:setup"})
    with pytest.raises(MfaSetupRequired, match="Set up a second factor first"):
        await door.identity.me(ada.actor)
    app = await set_up(door, ada)
    complete = await door.refresh(ada.refresh_token)
    assert (await door.identity.me(complete.actor)).email == "ada@example.org"
    assert (await door.factors.overview(complete.actor)).is_required
    visit = await second_step(door, await first_step(door), code=await app.next_code())
    assert visit.actor.scopes is None
    with pytest.raises(FactorRequired):  # a token for everything would outlive it
        await door.factors.remove_totp(visit.actor, FactorChange(password=PASSWORD, code=await app.next_code()))
    assert (await door.factors.overview(visit.actor)).totp_at
    await door.administration.reset_mfa("ada@example.org")
    assert (await door.log_in()).actor.scopes == frozenset({"mfa:setup"})
    door.close()


async def test_the_rule_may_be_for_admins_only() -> None:
    door = strict_door("admins")
    ada = await door.register()
    assert ada.actor.scopes is None
    assert not (await door.factors.overview(ada.actor)).is_required
    await door.administration.make_admin("ada@example.org")
    visit = await door.log_in()
    assert visit.actor.scopes == frozenset({"mfa:setup"})
    with pytest.raises(MfaSetupRequired):
        await door.identity.sessions(visit.actor)
    door.close()
