"""The owner of an account is told what may be the doing of somebody else, on each channel, whatever they chose."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from adapters.mail import KeptMailer
from adapters.memory.mail import MAILS
from adapters.memory.system import MovableClock
from application.due import Later
from application.identity import Credentials, DeletionRequest, Device, PasswordChange, Registration
from application.notifications import Chosen, Preferences
from application.ports.mail import Letter
from application.principal import Principal
from domain.errors import Invalid
from domain.identity import AccountRole, TokenReused
from domain.ids import AccountId
from entrypoints.container import Container, in_memory
from tests.support.clients import PASSWORD

HOME, AWAY = Device("192.0.2.1", "a browser"), Device("198.51.100.7", "a browser")
ADA = "ada@example.org"


async def signed_up(house: Container) -> Principal:
    registered, _ = await house.identity().register(Registration(ADA, PASSWORD, "Ada"), HOME)
    expires_at = house.clock().now() + timedelta(days=9)
    return Principal(AccountId(registered.user.id), registered.user.id, AccountRole.USER, expires_at)


async def told(house: Container, ada: Principal) -> list[str]:
    """The types of what the owner is told, oldest first. Each is mailed too, and none is counted up."""
    while await house.following_up().turn():
        pass
    page = await house.notifications().page(ada, False, None, 200)
    assert {each.count for each in page.data} <= {1}
    assert len(house.database().committed[MAILS]) == len(page.data)
    return [each.type for each in reversed(page.data)]


async def sent(house: Container) -> Sequence[Letter]:
    """The letters to the owner, as soon as all is done that is due."""
    mailer, later = house.mailer(), Later(house.due(), house.broker(), house.clock(), house.observer())
    assert isinstance(mailer, KeptMailer)
    while await house.following_up().turn() or await later.turn():
        pass
    return [each.letter for each in mailer.sent]


def clock_of(house: Container) -> MovableClock:
    clock = house.clock()
    assert isinstance(clock, MovableClock)
    return clock


async def test_a_sign_in_from_a_place_that_is_not_known_is_told_and_then_known() -> None:
    house = in_memory()
    ada, identity = await signed_up(house), house.identity()
    await identity.log_in(Credentials(ADA, PASSWORD), HOME)
    assert await house.cursors().backlog() == []
    for device in (AWAY, AWAY, Device(HOME.address, "another browser"), HOME):
        await identity.log_in(Credentials(ADA, PASSWORD), device)
    assert await told(house, ada) == ["security.new_sign_in"] * 2
    clock_of(house).advance(timedelta(days=91))
    await identity.log_in(Credentials(ADA, PASSWORD), HOME)
    assert await told(house, ada) == ["security.new_sign_in"] * 3


async def test_a_new_password_is_told_to_whoever_changed_it_and_cannot_be_left_out() -> None:
    house = in_memory()
    ada = await signed_up(house)
    with pytest.raises(Invalid):
        await house.notifications().choose(ada, Preferences({"security.password_changed": Chosen(True, False)}))
    await house.notifications().choose(ada, Preferences({"security.password_changed": Chosen(True, True)}))
    await house.identity().change_password(ada, PasswordChange(PASSWORD, "a better horse battery"))
    assert await told(house, ada) == ["security.password_changed"]


async def test_a_copied_session_is_told() -> None:
    house = in_memory()
    ada, identity = await signed_up(house), house.identity()
    _, first = await identity.log_in(Credentials(ADA, PASSWORD), HOME)
    _, second = await identity.refresh(first, HOME)
    await identity.refresh(second, HOME)
    clock_of(house).advance(timedelta(minutes=1))
    with pytest.raises(TokenReused):
        await identity.refresh(first, AWAY)
    assert await told(house, ada) == ["security.token_reused"]


async def test_a_deletion_and_its_end_are_told_in_one_letter_each_which_says_until_when() -> None:
    house = in_memory()
    ada = await signed_up(house)
    view = await house.deletion().request(ada, DeletionRequest(PASSWORD))
    assert await told(house, ada) == ["security.deletion_requested"]
    (letter,) = await sent(house)
    assert view.deletion_due_at is not None
    assert letter.data["due"] == f"{view.deletion_due_at:%d %b %Y, %H:%M} (UTC)"
    await house.deletion().restore(ada)
    assert await told(house, ada) == ["security.deletion_requested", "security.restored"]
    assert [each.name for each in await sent(house)] == ["safety"] * 2


async def test_the_last_letter_follows_the_deletion_and_no_letter_has_the_name() -> None:
    house = in_memory()
    await house.deletion().request(await signed_up(house), DeletionRequest(PASSWORD))
    await sent(house)
    clock_of(house).advance(timedelta(days=4))
    letters = await sent(house)
    assert [each.name for each in letters] == ["safety", "account_deleted"]
    assert not any("Ada" in str(each.data) for each in letters)


@pytest.mark.parametrize(("is_verified", "mailed"), [(False, 5), (True, 7)])
async def test_an_address_that_nobody_has_verified_gets_five_letters_of_a_kind(is_verified: bool, mailed: int) -> None:
    house = in_memory()
    ada = await signed_up(house)
    if is_verified:
        async with house.work()() as work:
            account = await work.accounts.get(ada.account_id)
            account.verify_email(None, house.clock().now())
            work.accounts.save(account)
    for _ in range(7):
        await house.deletion().request(ada, DeletionRequest(PASSWORD))
        await house.deletion().restore(ada)
    assert len(await sent(house)) == 2 * mailed
    assert len((await house.notifications().page(ada, False, None, 200)).data) == 14


async def test_a_letter_about_a_sign_in_says_from_where_in_words_that_nobody_chose() -> None:
    house = in_memory()
    await signed_up(house)
    agent = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0 you won, see evil.example"
    for address, client in [("2001:db8::7", agent), ("see evil.example", "a browser")]:
        await house.identity().log_in(Credentials(ADA, PASSWORD), Device(address, client))
    letters = await sent(house)
    assert sorted(str(letter.data["facts"]) for letter in letters) == [
        "['Address: 2001:db8::7', 'Client: Firefox on Linux']",
        "['Address: unknown', 'Client: an unknown program']",
    ]
    assert all("change it" in str(letter.data["advice"]) for letter in letters)
