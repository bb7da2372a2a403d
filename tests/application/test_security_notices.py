"""The owner of an account is told what may be the doing of somebody else, on each channel, whatever they chose."""

from datetime import timedelta

import pytest

from adapters.memory.mail import MAILS
from adapters.memory.system import MovableClock
from application.identity import Credentials, Device, PasswordChange, Registration
from application.notifications import Chosen, Preferences
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
