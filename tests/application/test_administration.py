"""What whoever runs the installation does to accounts, and what an account learns of those who did not get in."""

import msgspec
import pytest
from msgspec import json

from application.administration import PAGE
from application.identity import Device
from application.identity.measures import FAILURES_TOLD_PER_ACCOUNT
from domain.channels import account_stream
from domain.errors import NotFound
from domain.identity import AccountRole, InvalidCredentials
from tests.application.front_door import (
    AWAY,
    HOME,
    FrontDoor,
    Visit,
    assert_signed_in,
    assert_signed_out,
    events_of,
)
from tests.support.builders import an_account


async def told(door: FrontDoor, visit: Visit) -> list[dict[str, object]]:
    """The data of the sign-ins that failed, once what is under way is told."""
    for telling in list(door.container.signing_in()._telling):
        await telling
    entries = await door.journal.read(account_stream(visit.account), 0, 1_000)
    return [json.decode(entry.body)["data"] for entry in entries if entry.type == "login.failed"]


async def fail(door: FrontDoor, device: Device = AWAY) -> None:
    with pytest.raises(InvalidCredentials):
        await door.log_in(password="a wrong guess", device=device)


async def test_a_disabled_account_may_be_enabled_and_its_owner_signs_in_anew(door: FrontDoor) -> None:
    before = await door.register()
    assert (await door.administration.disable("Ada@example.org")).disabled_at == door.clock.now()
    with pytest.raises(InvalidCredentials):
        await door.log_in()
    assert (await door.administration.enable("ada@example.org")).disabled_at is None
    assert_signed_in(door, await door.log_in())
    assert_signed_out(door, before)


async def test_whoever_is_demoted_is_no_admin_any_more_and_signs_in_anew(door: FrontDoor) -> None:
    await door.register()
    await door.administration.make_admin("ada@example.org")
    admin = await door.log_in()
    assert admin.actor.is_admin
    assert (await door.administration.demote("ada@example.org")).role is AccountRole.USER
    assert_signed_out(door, admin)
    assert not (await door.log_in()).actor.is_admin


async def test_each_change_is_one_event_of_the_account_by_nobody_and_none_the_second_time(door: FrontDoor) -> None:
    visit = await door.register()
    before = len(await events_of(door, visit.account))
    office = door.administration
    for act in (office.enable, office.make_admin, office.demote, office.disable, office.enable):
        for _ in range(2):
            await act("ada@example.org")
    entries = (await door.journal.read(account_stream(visit.account), 0, 1_000))[before:]
    types = [entry.type for entry in entries if entry.type.startswith("account.")]
    assert types == [
        "account.role_changed",
        "account.email_verified",
        "account.role_changed",
        "account.disabled",
        "account.enabled",
    ]
    assert {json.decode(entry.body)["actor"] for entry in entries} == {None}


async def test_an_address_that_nobody_has_is_not_found(door: FrontDoor) -> None:
    office = door.administration
    for act in (office.enable, office.make_admin, office.demote, office.disable):
        with pytest.raises(NotFound, match=r"eve@example\.org"):
            await act("eve@example.org")


async def test_every_account_is_listed_once_in_the_order_of_registration(door: FrontDoor) -> None:
    made = [await an_account(_Store(door), f"Number {number}") for number in range(PAGE + 3)]
    await door.administration.disable(str(made[1].email))
    listed = [account async for account in door.administration.accounts()]
    assert [account.email for account in listed] == [account.email for account in made]
    assert [account.email for account in listed if account.disabled_at] == [made[1].email]


async def test_an_account_sees_from_where_somebody_did_not_get_in(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org")
    await fail(door)
    assert await told(door, ada) == [{"address": AWAY.address, "user_agent": AWAY.user_agent}]
    assert await told(door, bob) == []
    version = (await door.account()).version
    await fail(door, HOME)
    assert len(await told(door, ada)) == 2
    assert (await door.account()).version == version


async def test_an_attacker_from_everywhere_does_not_fill_the_journal(door: FrontDoor) -> None:
    ada = await door.register()
    _, most, window_ms, _ = msgspec.structs.astuple(FAILURES_TOLD_PER_ACCOUNT)
    for number in range(2 * most):
        await fail(door, Device(f"198.51.100.{number}", "a botnet"))
    assert len(await told(door, ada)) == most
    door.wait(milliseconds=window_ms)
    await fail(door)
    assert len(await told(door, ada)) == most + 1


async def test_nobody_is_told_of_an_address_that_no_account_has(door: FrontDoor) -> None:
    with pytest.raises(InvalidCredentials):
        await door.log_in("eve@example.org")
    assert not door.container.signing_in()._telling


class _Store:
    """Where the builders put accounts."""

    def __init__(self, door: FrontDoor) -> None:
        self.clock, self.ids, self.work = door.clock, door.container.ids(), door.container.work()
