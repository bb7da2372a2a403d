"""How people prove that an address is theirs, change it, and get in when they have forgotten the password."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers
from msgspec import UNSET, UnsetType

from adapters.mail import KeptMailer
from application.identity import (
    Addresses,
    AddressNamed,
    EmailChange,
    EmailProof,
    ForgottenPasswords,
    PasswordChange,
    PasswordReset,
    Registration,
)
from application.identity.measures import LETTERS_PER_ADDRESS, LETTERS_PER_MAILBOX
from domain.errors import Exhausted, Invalid
from domain.identity import (
    AccountRole,
    EmailTaken,
    InvalidCredentials,
    LinkExpired,
    WrongPassword,
)
from entrypoints.container import offline
from tests.application.front_door import (
    AWAY,
    HOME,
    PASSWORD,
    FrontDoor,
    Visit,
    assert_signed_in,
    assert_signed_out,
    events_of,
)

ADA, NEW, BOB = "ada@example.org", "ada@example.net", "bob@example.org"
UNMAILABLE = "=?utf-8?q?a=0d=0abcc=3aeve?=@example.org"
NEW_PASSWORD = "an entirely new one"


class MailRoom(FrontDoor):
    """The front door with what is behind it: what is asked for is done, and what is written is sent, by `settle`."""

    def __init__(self, verification: str = "off", **settings: Any) -> None:
        given = msgspec.structs.replace(offline(), email_verification=verification, **settings)
        super().__init__(settings=providers.Object(given))
        self.addresses: Addresses = self.container.addresses()
        self.forgotten: ForgottenPasswords = self.container.forgotten_passwords()
        mailer = self.container.mailer()
        assert isinstance(mailer, KeptMailer)
        self.mailer = mailer

    async def settle(self) -> list[tuple[str, str]]:
        """Do all that is due. Returns the letters that were sent by it, and to whom."""
        before = len(self.mailer.sent)
        while await self.container.operations.later().turn():
            pass
        return [(mail.letter.name, mail.letter.to) for mail in list(self.mailer.sent)[before:]]

    async def token(self, *to: str) -> str:
        """The secret in the newest letter that has one, or in the newest such letter to one of these addresses."""
        await self.settle()
        letters = [mail.letter for mail in self.mailer.sent if "token" in mail.letter.data]
        return [str(letter.data["token"]) for letter in letters if not to or letter.to in to][-1]

    async def told(self, visit: Visit) -> list[str]:
        """The types of what the account is told, once all that follows from events was done."""
        while await self.container.following_up().turn():
            pass
        page = await self.container.notifications().page(visit.actor, False, None, 200)
        return [each.type for each in page.data]

    async def sign_up(self, email: str = ADA) -> bool:
        """Whether somebody who signs up is signed in at once."""
        return await self.addresses.register(Registration(email, PASSWORD, "Ada"), HOME) is not None

    async def verify(self, token: str, password: str | UnsetType = PASSWORD) -> None:
        await self.addresses.verify(EmailProof(token, password), HOME)

    async def forget(self, email: str = ADA) -> None:
        await self.forgotten.forgot(AddressNamed(email), HOME)

    async def reset(self, token: str, password: str = NEW_PASSWORD) -> None:
        await self.forgotten.reset(PasswordReset(token, password), HOME)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[MailRoom]:
    """Where addresses need not be verified."""
    room = MailRoom()
    yield room
    room.close()


@pytest_asyncio.fixture
async def strict() -> AsyncIterator[MailRoom]:
    """Where nobody signs in before the address was verified."""
    room = MailRoom("required")
    yield room
    room.close()


# --------------------------------------------------------------------------------------------------------- verification


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


# ------------------------------------------------------------------------------------------------------ another address


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


# -------------------------------------------------------------------------------------------------- forgotten passwords


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


# ---------------------------------------------------------------------------------------------------------------- rests


async def test_what_expired_is_forgotten_after_a_day(room: MailRoom) -> None:
    await room.register()
    await room.forget()
    await room.settle()
    room.wait(days=1, minutes=29)
    retention = room.container.operations.forgetting()
    assert "mailed_links" not in await retention.forget()
    room.wait(minutes=2)
    assert (await retention.forget())["mailed_links"] == 1
