"""Signing in with a second factor: what counts as one, how often, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.identity import (
    CodeProof,
    FactorChange,
    MfaTokenInvalid,
    PasswordChange,
)
from application.identity.measures import FACTOR_PER_ACCOUNT
from domain.errors import Exhausted
from domain.identity import (
    CHALLENGE_LIFETIME,
    RECOVERY_CODES,
    InvalidCredentials,
)
from tests.application.authenticator_app import App, begin, first_step, second_step, set_up
from tests.application.front_door import PASSWORD, FrontDoor, Visit, events_of


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
