"""Addresses of accounts, and the links that prove who reads the mail of one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.identity import LINK_LIFETIMES, Account, AddressPurpose, LinkExpired, MailedLink
from domain.ids import AccountId

ADA = AccountId(UUID(int=1))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PRESENT = b"the present password"
MOMENT = timedelta(milliseconds=1)
PURPOSES = sorted(LINK_LIFETIMES)


def an_account() -> Account:
    account = Account.register(ADA, "ada@example.org", "Ada", "a hash", NOW)
    account.take_news()
    return account


def a_link(account: Account, purpose: AddressPurpose) -> MailedLink:
    address = "ada@example.net" if purpose is AddressPurpose.CHANGE else str(account.email)
    return MailedLink.make(account, purpose, address, b"digest", PRESENT, NOW)


def test_an_address_is_verified_once() -> None:
    account = an_account()
    assert account.email_verified_at is None
    account.verify_email(ADA, NOW)
    account.verify_email(ADA, NOW + MOMENT)
    assert account.email_verified_at == NOW
    assert [event.type for event in account.take_news()] == ["account.email_verified"]


def test_a_new_address_is_verified_and_no_event_tells_it() -> None:
    account = an_account()
    account.change_email(" Ada@Example.NET ", NOW)
    account.reset_password("another hash", NOW)
    assert (account.email, account.email_verified_at, account.password_hash) == ("ada@example.net", NOW, "another hash")
    told = account.take_news()
    assert [event.type for event in told] == ["account.email_changed", "account.password_reset"]
    assert "example" not in repr(told)
    assert "hash" not in repr(told)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_link_works_once_and_until_it_expires(purpose: AddressPurpose) -> None:
    account = an_account()
    link = a_link(account, purpose)
    end = NOW + LINK_LIFETIMES[purpose]
    link.require(account, PRESENT, end - MOMENT)
    with pytest.raises(LinkExpired):
        link.require(account, PRESENT, end)
    link.use(NOW)
    with pytest.raises(LinkExpired):
        link.use(NOW)
    with pytest.raises(LinkExpired):
        link.require(account, PRESENT, NOW)


def test_links_last_for_a_day_and_those_for_passwords_for_half_an_hour() -> None:
    hours = {purpose.value: lifetime / timedelta(hours=1) for purpose, lifetime in LINK_LIFETIMES.items()}
    assert hours == {"verify": 24, "change": 24, "reset": 0.5}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_change_of_the_password_makes_every_link_worthless(purpose: AddressPurpose) -> None:
    account = an_account()
    with pytest.raises(LinkExpired):
        a_link(account, purpose).require(account, b"another password", NOW)


@pytest.mark.parametrize("purpose", [AddressPurpose.VERIFY, AddressPurpose.RESET])
@pytest.mark.parametrize(
    "change", [lambda account: account.change_email("ada@example.net", NOW), lambda account: account.disable(NOW)]
)
def test_a_link_to_an_address_that_the_account_has_no_more_is_worthless_and_so_is_one_of_a_disabled_account(
    purpose: AddressPurpose, change: Callable[[Account], None]
) -> None:
    account = an_account()
    link = a_link(account, purpose)
    change(account)
    with pytest.raises(LinkExpired):
        link.require(account, PRESENT, NOW)
