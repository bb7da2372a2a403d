"""How people get in who have forgotten the password, and the links that let them."""

import asyncio

import pytest

from application.identity import (
    AddressNamed,
    EmailChange,
    PasswordChange,
)
from application.identity.measures import LETTERS_PER_ADDRESS, LETTERS_PER_MAILBOX
from domain.errors import Exhausted, Invalid
from domain.identity import (
    InvalidCredentials,
    LinkExpired,
)
from tests.application.front_door import (
    AWAY,
    HOME,
    PASSWORD,
    assert_signed_in,
    assert_signed_out,
    events_of,
)
from tests.application.mail_room import ADA, NEW_PASSWORD, MailRoom


async def test_a_forgotten_password_is_replaced_and_every_session_ends(room: MailRoom) -> None:
    visit = await room.register()
    await room.forget()
    assert await room.settle() == [("reset_password", ADA)]
    await room.reset(await room.token())
    assert_signed_out(room, visit)
    with pytest.raises(InvalidCredentials):
        await room.log_in()
    back = await room.log_in(password=NEW_PASSWORD)
    assert (await room.identity.me(back.actor)).email_verified_at == room.clock.now()
    assert "account.password_reset" in await events_of(room, visit.account)
    assert "security.password_reset" in await room.told(back)


async def test_a_disabled_account_gets_no_link(room: MailRoom) -> None:
    await room.register()
    await room.administration.disable(ADA)
    await room.forget()
    assert await room.settle() == []


@pytest.mark.parametrize("token", ["", "x" * 65, "\ud800" * 20])
async def test_a_made_up_secret_is_no_link(room: MailRoom, token: str) -> None:
    for use in (room.verify, room.reset):
        with pytest.raises(LinkExpired):
            await use(token)


async def test_a_link_for_one_purpose_is_none_for_another(strict: MailRoom) -> None:
    await strict.sign_up()
    verifying = await strict.token()
    await strict.forget()
    resetting = await strict.token()
    with pytest.raises(LinkExpired):
        await strict.reset(verifying)
    with pytest.raises(LinkExpired):
        await strict.verify(resetting)


async def test_a_link_for_a_password_is_over_after_half_an_hour_and_after_the_password_was_changed(
    room: MailRoom,
) -> None:
    visit = await room.register()
    await room.forget()
    late = await room.token()
    room.wait(minutes=30)
    with pytest.raises(LinkExpired):
        await room.reset(late)
    await room.forget()
    overtaken = await room.token()
    await room.identity.change_password(visit.actor, PasswordChange(PASSWORD, NEW_PASSWORD))
    with pytest.raises(LinkExpired):
        await room.reset(overtaken, "a third good password")


async def test_a_refused_password_uses_no_link_up(room: MailRoom) -> None:
    await room.register()
    await room.forget()
    token = await room.token()
    with pytest.raises(Invalid):
        await room.reset(token, "password12")
    await room.reset(token)


async def test_of_twenty_who_reset_a_password_at_once_one_succeeds(room: MailRoom) -> None:
    await room.register()
    await room.forget()
    token = await room.token()
    words = [f"password number {n} of all" for n in range(20)]
    outcomes = await asyncio.gather(*(room.reset(token, word) for word in words), return_exceptions=True)
    (winner,) = [word for word, outcome in zip(words, outcomes, strict=True) if outcome is None]
    assert_signed_in(room, await room.log_in(password=winner))


async def test_a_reset_stops_a_change_of_the_address_that_a_thief_has_asked_for(room: MailRoom) -> None:
    visit = await room.register()
    await room.addresses.change(visit.actor, EmailChange("eve@example.org", PASSWORD))
    token = await room.token()
    await room.forget()
    await room.reset(await room.token())
    with pytest.raises(LinkExpired):
        await room.verify(token)


async def test_a_mailbox_gets_few_letters_and_nobody_learns_that(room: MailRoom) -> None:
    await room.register()
    for _ in range(LETTERS_PER_MAILBOX.limit + 2):
        await room.forget()
    assert len(await room.settle()) == LETTERS_PER_MAILBOX.limit


async def test_one_network_address_asks_for_few_letters(room: MailRoom) -> None:
    for number in range(LETTERS_PER_ADDRESS.limit):
        await room.forget(f"somebody{number}@example.org")
    with pytest.raises(Exhausted):
        await room.forget()
    with pytest.raises(Exhausted):
        await room.addresses.resend(AddressNamed(ADA), HOME)
    await room.forgotten.forgot(AddressNamed(ADA), AWAY)


async def test_what_expired_is_forgotten_after_a_day(room: MailRoom) -> None:
    await room.register()
    await room.forget()
    await room.settle()
    room.wait(days=1, minutes=29)
    retention = room.container.operations.forgetting()
    assert "mailed_links" not in await retention.forget()
    room.wait(minutes=2)
    assert (await retention.forget())["mailed_links"] == 1
