"""Passkeys: how they are made, what they prove, and the answers of authenticators that prove nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from application.identity import (
    Assertion,
    Attestation,
    DeletionRequest,
    FactorAddition,
    FactorChange,
    MfaRequired,
    NewPasskey,
    PasskeyAdded,
    PasskeyPatch,
    PasskeySignIn,
    SecondStep,
)
from domain.errors import DomainError, Invalid, NotFound
from domain.identity import (
    CHALLENGE_LIFETIME,
    RECOVERY_CODES,
    Factor,
    FactorOn,
    InvalidCredentials,
    PasskeyRefused,
    WrongPassword,
)
from domain.ids import PasskeyId
from tests.application.front_door import HOME, PASSWORD, FrontDoor, Visit, events_of
from tests.application.mail_room import MailRoom
from tests.support.authenticators import PRESENT, SITE, VERIFIED, Authenticator, encoded
from tests.support.builders import principal
from tests.support.clients import Json


async def asked(door: FrontDoor, visit: Visit, by: Authenticator | None = None) -> Json:
    """The question for a new passkey. Once there is a factor, it takes the proof of one `by` this device."""
    proven = None if by is None else msgspec.convert(by.prove(await question(door)), Assertion)
    return (await door.passkeys.begin(visit.actor, FactorAddition(password=PASSWORD, passkey=proven))).public_key


async def add(door: FrontDoor, visit: Visit, answer: Json, name: str = "Laptop") -> PasskeyAdded:
    return await door.passkeys.add(visit.actor, NewPasskey(msgspec.convert(answer, Attestation), name))


async def with_passkey(
    door: FrontDoor, visit: Visit, by: Authenticator | None = None, **traits: Any
) -> tuple[Authenticator, PasskeyId]:
    """A new passkey of the account, and its id."""
    device = Authenticator(**traits)
    return device, PasskeyId((await add(door, visit, device.make(await asked(door, visit, by)))).passkey.id)


async def sign_in(door: FrontDoor, answer: Json) -> Visit:
    return door.visit(*await door.passkeys.log_in(PasskeySignIn(msgspec.convert(answer, Assertion)), HOME))


async def question(door: FrontDoor) -> Json:
    return (await door.passkeys.question()).public_key


async def first_step(door: FrontDoor) -> MfaRequired:
    with pytest.raises(MfaRequired) as found:
        await door.log_in()
    return found.value


async def second_step(door: FrontDoor, first: MfaRequired, answer: Json) -> Visit:
    step = SecondStep(mfa_token=str(first.extra["mfa_token"]), passkey=msgspec.convert(answer, Assertion))
    return door.visit(*await door.second_steps.verify(step, HOME))


async def test_a_passkey_signs_in_by_itself(door: FrontDoor) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada)
    visit = await sign_in(door, device.prove(await question(door)))
    assert (visit.account, visit.actor.scopes) == (ada.account, None)
    assert (await door.refresh(visit.refresh_token)).account == ada.account
    (view,) = (await door.factors.overview(ada.actor)).passkeys
    assert (view.name, view.used_at) == ("Laptop", door.clock.now())


async def test_it_is_a_second_factor_besides_even_without_its_user_verified(door: FrontDoor) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada, flags=PRESENT)
    first = await first_step(door)
    assert first.extra["methods"] == [Factor.PASSKEY, Factor.RECOVERY_CODE]
    asked_for: Any = first.extra["public_key"]
    assert asked_for["allowCredentials"] == [{"type": "public-key", "id": encoded(device.credential_id)}]
    answer = device.prove(asked_for, userHandle=None)
    assert (await second_step(door, first, answer)).account == ada.account
    with pytest.raises(InvalidCredentials):  # alone it would have to verify its user
        await sign_in(door, device.prove(await question(door)))


async def test_the_first_factor_of_an_account_comes_with_recovery_codes(door: FrontDoor) -> None:
    ada = await door.register()
    device = Authenticator()
    first = await add(door, ada, device.make(await asked(door, ada)))
    second = await add(door, ada, Authenticator().make(await asked(door, ada, device)))
    assert first.recovery_codes is not None
    assert (len(first.recovery_codes), second.recovery_codes) == (RECOVERY_CODES, None)


async def test_what_an_authenticator_is_asked(door: FrontDoor) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada)
    to_make, to_prove = await asked(door, ada, device), await question(door)
    assert to_make["rp"] == {"id": SITE, "name": "Signalbox"}
    assert to_make["user"] == {"id": encoded(ada.account.bytes), "name": "ada@example.org", "displayName": "Ada"}
    assert to_make["excludeCredentials"] == [{"type": "public-key", "id": encoded(device.credential_id)}]
    assert (to_prove["allowCredentials"], to_prove["userVerification"]) == ([], "required")
    assert to_make["challenge"] != (await asked(door, ada, device))["challenge"]


async def test_adding_one_takes_the_password_and_a_factor_if_there_is_one(door: FrontDoor) -> None:
    ada = await door.register()
    with pytest.raises(WrongPassword):
        await door.passkeys.begin(ada.actor, FactorAddition(password="a wrong guess"))
    early = await asked(door, ada)
    device, _ = await with_passkey(door, ada)
    with pytest.raises(Invalid):
        await asked(door, ada)
    with pytest.raises(PasskeyRefused):  # as it was asked for without a factor
        await add(door, ada, Authenticator().make(early))
    other = Authenticator()
    other.credential_id = device.credential_id
    with pytest.raises(PasskeyRefused):
        await asked(door, ada, other)
    await with_passkey(door, ada, device)
    assert len((await door.factors.overview(ada.actor)).passkeys) == 2


ELSEWHERE: dict[str, Callable[[Authenticator], object]] = {
    "another origin": lambda device: setattr(device, "origin", "https://127.0.0.1.evil.example"),
    "another port": lambda device: setattr(device, "origin", "http://127.0.0.1:8001"),
    "another site": lambda device: setattr(device, "site", "evil.example"),
    "in a frame": lambda device: setattr(device, "is_framed", True),
    "nobody there": lambda device: setattr(device, "flags", VERIFIED),
}


@pytest.mark.parametrize("where", ELSEWHERE)
async def test_an_answer_that_was_made_elsewhere_makes_and_proves_nothing(door: FrontDoor, where: str) -> None:
    ada = await door.register()
    other = Authenticator()
    ELSEWHERE[where](other)
    with pytest.raises(PasskeyRefused):
        await add(door, ada, other.make(await asked(door, ada)))
    device, _ = await with_passkey(door, ada)
    ELSEWHERE[where](device)
    with pytest.raises(InvalidCredentials):
        await sign_in(door, device.prove(await question(door)))
    first = await first_step(door)
    with pytest.raises(InvalidCredentials):
        await second_step(door, first, device.prove(first.extra["public_key"]))  # type: ignore[arg-type]


async def test_a_challenge_is_answered_once_within_five_minutes_by_whom_it_was_for(door: FrontDoor) -> None:
    ada, eve = await door.register(), await door.register("eve@example.org")
    device, id = await with_passkey(door, ada)
    seen = await question(door)
    answer = device.prove(seen)
    await sign_in(door, answer)
    for replayed in (answer, device.prove(seen)):
        with pytest.raises(InvalidCredentials):
            await sign_in(door, replayed)

    late, made_late = await question(door), await asked(door, ada, device)
    door.wait(seconds=CHALLENGE_LIFETIME.total_seconds())
    with pytest.raises(InvalidCredentials):
        await sign_in(door, device.prove(late))
    with pytest.raises(PasskeyRefused):
        await add(door, ada, Authenticator().make(made_late))

    for_ada = await asked(door, ada, device)
    with pytest.raises(PasskeyRefused):
        await add(door, eve, Authenticator().make(for_ada))
    for_making = device.prove(for_ada)
    with pytest.raises(InvalidCredentials):
        await sign_in(door, for_making)
    with pytest.raises(PasskeyRefused):
        await add(door, ada, Authenticator().make({**for_ada, "challenge": (await question(door))["challenge"]}))
    made_up = encoded(b"9999999999.." + b"x" * 44)
    with pytest.raises(InvalidCredentials):
        await sign_in(door, device.prove({"challenge": made_up}))

    twice = Authenticator().make(for_ada)
    added = await add(door, ada, twice)
    proof = FactorChange(password=PASSWORD, passkey=msgspec.convert(device.prove(await question(door)), Assertion))
    await door.passkeys.remove(ada.actor, PasskeyId(added.passkey.id), proof)
    with pytest.raises(PasskeyRefused):
        await add(door, ada, twice)
    assert [each.id for each in (await door.factors.overview(ada.actor)).passkeys] == [id]


async def test_of_twenty_who_send_one_answer_at_once_one_gets_in(open_door: FrontDoor) -> None:
    door = open_door
    device, _ = await with_passkey(door, await door.register(), count=None)
    answer = device.prove(await question(door))
    outcomes = await asyncio.gather(*(sign_in(door, answer) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Visit) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == 19


async def test_a_count_that_goes_back_shows_a_copy_and_none_that_stays_zero_does(door: FrontDoor) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada)
    await sign_in(door, device.prove(await question(door)))
    device.count = 0
    with pytest.raises(InvalidCredentials):
        await sign_in(door, device.prove(await question(door)))
    for telling in list(door.container.signing_in()._telling):
        await telling
    assert (await events_of(door, ada.account))[-1] == "login.failed"
    await sign_in(door, device.prove(await question(door)))
    synced, _ = await with_passkey(door, ada, device, count=None)
    for _ in range(2):
        await sign_in(door, synced.prove(await question(door)))


async def test_nobody_signs_in_as_somebody_else(door: FrontDoor) -> None:
    ada, eve = await door.register(), await door.register("eve@example.org")
    hers, _ = await with_passkey(door, ada)
    of_eve, _ = await with_passkey(door, eve)
    answer = of_eve.prove(await question(door), userHandle=encoded(ada.account.bytes))
    forged = hers.prove(await question(door), signature=of_eve.prove(await question(door))["response"]["signature"])
    nameless = hers.prove(await question(door), userHandle=None)
    nobodys = hers.prove(await question(door), userHandle=encoded(b"\x00" * 16))
    for each in (answer, answer | {"id": encoded(hers.credential_id)}, forged, nameless, nobodys):
        with pytest.raises(InvalidCredentials):
            await sign_in(door, each)
    first = await first_step(door)
    for device in (of_eve, Authenticator()):
        with pytest.raises(InvalidCredentials):
            await second_step(door, first, device.prove(first.extra["public_key"]))  # type: ignore[arg-type]
    mine_as_hers = hers.prove(first.extra["public_key"], userHandle=encoded(eve.account.bytes))  # type: ignore[arg-type]
    with pytest.raises(InvalidCredentials):
        await second_step(door, first, mine_as_hers)
    assert (await sign_in(door, of_eve.prove(await question(door)))).account == eve.account


async def test_a_passkey_is_of_one_account(door: FrontDoor) -> None:
    ada, eve = await door.register(), await door.register("eve@example.org")
    device, _ = await with_passkey(door, ada)
    for visit, by in ((ada, device), (eve, None)):
        with pytest.raises(FactorOn):
            await add(door, visit, device.make(await asked(door, visit, by)))


async def test_one_is_renamed_and_removed_by_its_owner_only(door: FrontDoor) -> None:
    ada, eve = await door.register(), await door.register("eve@example.org")
    device, id = await with_passkey(door, ada)
    with pytest.raises(NotFound):
        await door.passkeys.rename(eve.actor, id, PasskeyPatch("Mine"))
    assert (await door.passkeys.rename(ada.actor, id, PasskeyPatch(" Old  laptop "))).name == "Old laptop"

    async def removal(password: str = PASSWORD) -> FactorChange:
        answer = device.prove(await question(door))
        return FactorChange(password=password, passkey=msgspec.convert(answer, Assertion))

    for visit, proof, refusal in (
        (eve, await removal(), NotFound),
        (ada, await removal("a wrong guess"), WrongPassword),
    ):
        with pytest.raises(refusal):
            await door.passkeys.remove(visit.actor, id, proof)
    await door.passkeys.remove(ada.actor, id, await removal())
    await door.log_in()
    with pytest.raises(InvalidCredentials):
        await sign_in(door, device.prove(await question(door)))
    types = [type for type in await events_of(door, ada.account) if "passkey" in type or "factor" in type]
    assert types == ["account.factor_added", "account.passkey_renamed", "account.factor_used", "account.factor_removed"]


async def test_the_letters_about_one_say_that_it_is_a_passkey(room: MailRoom) -> None:
    ada = await room.register()
    device, id = await with_passkey(room, ada)
    proof = FactorChange(password=PASSWORD, passkey=msgspec.convert(device.prove(await question(room)), Assertion))
    await room.passkeys.remove(ada.actor, id, proof)
    added, removed = await room.letters_about(ada, "security.factor_added", "security.factor_removed")
    assert added.data["facts"] == removed.data["facts"] == ["It is a passkey."]


@pytest.mark.parametrize("broken", ["", "!", "AA", "e30", encoded(b"[" * 6_000), encoded(b'{"challenge": 1}')])
async def test_what_is_no_answer_is_refused(door: FrontDoor, broken: str) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada)
    good = device.prove(await question(door))
    for part in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        with pytest.raises(InvalidCredentials):
            await sign_in(door, good | {"response": good["response"] | {part: broken}})
    made = Authenticator().make(await asked(door, ada, device))
    for part in ("clientDataJSON", "attestationObject"):
        with pytest.raises(PasskeyRefused):
            await add(door, ada, made | {"response": made["response"] | {part: broken}})


async def disable(door: FrontDoor) -> None:
    await door.administration.disable("ada@example.org")


async def delete(door: FrontDoor) -> None:
    deletion, account = door.container.deletion(), await door.account()
    await deletion.request(principal(account), DeletionRequest(PASSWORD))
    door.wait(days=30)
    await deletion.elapse(account.id, door.clock.now())  # what is left of its factors is erased later


@pytest.mark.parametrize("how", [disable, delete])
async def test_an_account_that_is_over_is_not_opened_by_one(
    door: FrontDoor, how: Callable[[FrontDoor], Awaitable[None]]
) -> None:
    ada = await door.register()
    device, _ = await with_passkey(door, ada)
    await how(door)
    with pytest.raises(DomainError) as refused:
        await sign_in(door, device.prove(await question(door)))
    assert refused.value.code == InvalidCredentials.code
