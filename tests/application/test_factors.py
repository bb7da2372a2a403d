"""Second factors: how they are set up and removed, what it takes to do so, and who has to have one."""

import msgspec
import pytest
from dependency_injector import providers

from adapters.security import HmacSecrets
from application.administration import Administration
from application.identity import (
    CodeProof,
    FactorChange,
    MfaRequired,
    Proofs,
)
from application.identity.measures import CONFIRMING_PER_ACCOUNT, FACTOR_PER_ACCOUNT
from application.scopes import MfaSetupRequired
from domain.errors import Invalid
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
from tests.application.authenticator_app import begin, first_step, second_step, set_up
from tests.application.front_door import PASSWORD, FrontDoor, assert_signed_out, events_of
from tests.application.mail_room import MailRoom


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


async def test_a_recovery_code_is_of_one_account_also_where_its_digest_was_copied(door: FrontDoor) -> None:
    eve, ada = await door.register("eve@example.org"), await door.register()
    app = await set_up(door, ada)
    async with door.container.work()() as work:
        hers, theirs = await work.factors.get(ada.account), await work.factors.get(eve.account)
        theirs.begin_totp(b"", door.clock.now())
        theirs.confirm_totp(1, hers.recovery_codes, door.clock.now())
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


async def test_the_letters_about_an_app_say_that_it_is_one(room: MailRoom) -> None:
    ada = await room.register()
    app = await set_up(room, ada)
    removal = FactorChange(password=PASSWORD, code=await app.next_code())
    await room.factors.remove_totp(ada.actor, removal)
    added, removed = await room.letters_about(ada, "security.factor_added", "security.factor_removed")
    assert added.data["facts"] == removed.data["facts"] == ["It is an authenticator app."]


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


def strict_door(rule: str) -> FrontDoor:
    return FrontDoor(settings=providers.Object(msgspec.structs.replace(offline(), mfa_required=rule)))


async def test_who_has_to_have_a_factor_does_nothing_else_before() -> None:
    door = strict_door("all")
    ada = await door.register()
    assert ada.actor.scopes == frozenset({"mfa:setup"})
    with pytest.raises(MfaSetupRequired, match="Set up a second factor first, then refresh"):
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
