"""How people prove that an address is theirs, and change it."""

import asyncio
from collections import Counter

import pytest
from msgspec import UNSET

from application.identity import (
    AddressNamed,
    EmailChange,
    PasswordChange,
    Registration,
)
from domain.errors import Invalid
from domain.identity import (
    AccountRole,
    EmailTaken,
    InvalidCredentials,
    LinkExpired,
    WrongPassword,
)
from tests.application.front_door import (
    AWAY,
    HOME,
    PASSWORD,
    assert_signed_in,
    events_of,
)
from tests.application.mail_room import ADA, BOB, NEW, NEW_PASSWORD, UNMAILABLE, MailRoom


@pytest.mark.parametrize("verification", ["off", "on"])
async def test_a_new_account_is_signed_in_and_gets_a_link_if_that_is_on(verification: str) -> None:
    room = MailRoom(verification)
    visit = await room.register()
    assert await room.settle() == ([("verify_address", ADA)] if verification == "on" else [])
    assert (await room.identity.me(visit.actor)).email_verified_at is None
    if verification == "on":
        await room.verify(await room.token())
        assert (await room.identity.me(visit.actor)).email_verified_at == room.clock.now()
        assert (await events_of(room, visit.account))[-1] == "account.email_verified"
    room.close()


async def test_where_it_is_required_nobody_gets_in_before_the_link_was_used(strict: MailRoom) -> None:
    assert not await strict.sign_up()
    assert await strict.settle() == [("verify_address", ADA)]
    refusals = []
    for email, password in ((ADA, PASSWORD), (ADA, "a wrong password"), (BOB, PASSWORD)):
        with pytest.raises(InvalidCredentials) as refusal:
            await strict.log_in(email, password=password)
        refusals.append((refusal.value.detail, refusal.value.extra))
    assert refusals == refusals[:1] * 3
    for telling in list(strict.container.signing_in()._telling):
        await telling
    # The right password alone has another link mailed, which only the owner of the address sees.
    assert await strict.settle() == [("verify_address", ADA)]
    await strict.verify(await strict.token())
    assert_signed_in(strict, await strict.log_in())


async def test_whoever_opens_the_link_has_the_password_whoever_has_signed_up(strict: MailRoom) -> None:
    """So it is worth nothing to sign up with an address of somebody else, before or after its owner."""
    await strict.addresses.register(Registration(ADA, "the password of Eve", "Eve"), AWAY)
    assert await strict.settle() == [("verify_address", ADA)]
    await strict.sign_up()
    assert await strict.settle() == [("verify_address", ADA)]
    token = await strict.token()
    with pytest.raises(Invalid) as refusal:
        await strict.verify(token, UNSET)
    assert refusal.value.pointer == "/password"
    with pytest.raises(Invalid):
        await strict.verify(token, "password12")
    await strict.verify(token)
    assert_signed_in(strict, await strict.log_in())
    with pytest.raises(InvalidCredentials):
        await strict.log_in(password="the password of Eve")


async def test_where_it_is_required_another_address_takes_the_password_of_the_account(strict: MailRoom) -> None:
    """Otherwise the owner of that address would verify it for an account of somebody else."""
    await strict.sign_up()
    await strict.verify(await strict.token())
    visit = await strict.log_in()
    await strict.addresses.change(visit.actor, EmailChange(NEW, PASSWORD))
    token = await strict.token(NEW)
    with pytest.raises(WrongPassword):
        await strict.verify(token, NEW_PASSWORD)
    await strict.verify(token)
    assert (await strict.identity.me(visit.actor)).email == NEW


async def test_the_owner_of_a_known_address_is_told_and_nothing_changes(strict: MailRoom) -> None:
    await strict.sign_up()
    await strict.verify(await strict.token())
    assert await strict.addresses.register(Registration(ADA, NEW_PASSWORD, "Eve"), AWAY) is None
    assert await strict.settle() == [("already_registered", ADA)]
    assert (await strict.account()).display_name == "Ada"
    assert_signed_in(strict, await strict.log_in())


async def test_of_many_who_sign_up_one_address_at_once_one_gets_an_account(strict: MailRoom) -> None:
    await asyncio.gather(*(strict.sign_up() for _ in range(3)))
    letters = await strict.settle()
    assert letters == [("verify_address", ADA)] * 3


@pytest.mark.parametrize(
    "registration",
    [
        Registration("nobody", PASSWORD, "Ada"),
        Registration(ADA, "password12", "Ada"),
        Registration(ADA, PASSWORD, "  "),
    ],
)
async def test_what_no_account_can_have_is_refused_at_once(strict: MailRoom, registration: Registration) -> None:
    with pytest.raises(Invalid):
        await strict.addresses.register(registration, HOME)
    assert await strict.settle() == []


async def test_another_link_takes_the_place_of_the_first(strict: MailRoom) -> None:
    await strict.sign_up()
    first = await strict.token()
    await strict.addresses.resend(AddressNamed(ADA), HOME)
    second = await strict.token()
    with pytest.raises(LinkExpired):
        await strict.verify(first)
    await strict.verify(second)
    await strict.addresses.resend(AddressNamed(ADA), HOME)
    await strict.addresses.resend(AddressNamed("nobody@example.org"), HOME)
    assert await strict.settle() == []


async def test_of_twenty_who_use_a_link_at_once_one_succeeds(strict: MailRoom) -> None:
    await strict.sign_up()
    token = await strict.token()
    outcomes = await asyncio.gather(*(strict.verify(token) for _ in range(20)), return_exceptions=True)
    assert Counter(map(type, outcomes)) == {LinkExpired: 19, type(None): 1}


async def test_an_operator_takes_an_address_for_verified(strict: MailRoom) -> None:
    for email in (ADA, BOB):
        await strict.sign_up(email)
    await strict.settle()
    await strict.administration.verify(BOB)
    await strict.administration.make_admin(ADA)
    assert (await strict.log_in(BOB)).actor.role is AccountRole.USER
    assert (await strict.log_in()).actor.role is AccountRole.ADMIN


async def test_another_address_counts_once_its_link_was_used(room: MailRoom) -> None:
    visit = await room.register()
    await room.addresses.change(visit.actor, EmailChange(NEW, PASSWORD))
    assert sorted(await room.settle()) == [("address_changing", ADA), ("change_address", NEW)]
    assert (await room.identity.me(visit.actor)).email == ADA
    await room.verify(await room.token())
    assert await room.settle() == [("address_changed", ADA)]
    me = await room.identity.me(visit.actor)
    assert (me.email, me.email_verified_at) == (NEW, room.clock.now())
    assert (await events_of(room, visit.account))[-1] == "account.email_changed"
    with pytest.raises(InvalidCredentials):
        await room.log_in(ADA)
    assert_signed_in(room, await room.log_in(NEW))
    assert_signed_in(room, visit)
    assert "security.email_changed" in await room.told(visit)


@pytest.mark.parametrize(("disabled", "letters"), [(False, [("address_in_use", BOB)]), (True, [])])
async def test_an_address_of_another_account_is_not_given_away_and_who_asks_cannot_tell(
    room: MailRoom, disabled: bool, letters: list[tuple[str, str]]
) -> None:
    visit = await room.register()
    await room.register(BOB)
    if disabled:
        await room.administration.disable(BOB)
    await room.addresses.change(visit.actor, EmailChange(BOB, PASSWORD))
    assert sorted(await room.settle()) == [("address_changing", ADA), *letters]


async def test_an_address_that_somebody_else_has_got_in_the_meantime_is_taken(room: MailRoom) -> None:
    visit = await room.register()
    await room.addresses.change(visit.actor, EmailChange(NEW, PASSWORD))
    token = await room.token()
    await room.register(NEW)
    with pytest.raises(EmailTaken):
        await room.verify(token)


async def test_another_address_takes_the_password_and_is_another_one(room: MailRoom) -> None:
    visit = await room.register()
    with pytest.raises(WrongPassword) as refusal:
        await room.addresses.change(visit.actor, EmailChange(NEW, "a wrong password"))
    assert refusal.value.pointer == "/password"
    with pytest.raises(Invalid):
        await room.addresses.change(visit.actor, EmailChange(" ADA@example.org", PASSWORD))
    assert await room.settle() == []


async def test_a_change_of_the_password_stops_a_change_of_the_address(room: MailRoom) -> None:
    visit = await room.register()
    await room.addresses.change(visit.actor, EmailChange(NEW, PASSWORD))
    token = await room.token()
    await room.identity.change_password(visit.actor, PasswordChange(PASSWORD, NEW_PASSWORD))
    with pytest.raises(LinkExpired):
        await room.verify(token)


async def test_an_address_to_which_no_mail_can_go_is_taken_by_nobody(room: MailRoom, strict: MailRoom) -> None:
    visit = await room.register()
    for attempt in (
        room.register(UNMAILABLE),
        strict.sign_up(UNMAILABLE),
        room.addresses.change(visit.actor, EmailChange(UNMAILABLE, PASSWORD)),
    ):
        with pytest.raises(Invalid) as refusal:
            await attempt
        assert refusal.value.pointer == "/email"


async def test_an_account_that_has_one_from_before_signs_in_and_gets_no_letter(room: MailRoom) -> None:
    await room.register()
    async with room.work() as work:
        account = await work.accounts.find(ADA)
        assert account is not None
        account.email = UNMAILABLE
        account.verify_email(None, room.clock.now())
        work.accounts.save(account)
    assert_signed_in(room, await room.log_in(UNMAILABLE))
    await room.forget(UNMAILABLE)
    assert await room.settle() == []
