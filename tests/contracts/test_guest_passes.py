"""What every GuestPassRepository and GuestPassStore promises."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec import json

from application.ports.unit_of_work import Stale
from application.scopes import Scope
from domain.channels import account_stream
from domain.errors import Invalid
from domain.identity import NAMELESS, Account, AccountKind, GuestPass
from tests.contracts.house import House
from tests.support.builders import an_account

LOOK, SPEAK = Scope("look", "Look."), Scope("speak", "Speak.")
STAY = timedelta(hours=24)
KEPT = timedelta(days=30)
MILLISECOND = timedelta(milliseconds=1)


async def a_guest(house: House, name: str = "Grace") -> tuple[Account, str]:
    """A new guest, who may stay for a day, and its token."""
    now = house.clock.now()
    async with house.work() as work:
        return house.guests.came(work, name, [SPEAK, LOOK], now + STAY, now)


async def passes(house: House, *accounts: Account) -> Sequence[GuestPass]:
    async with house.work() as work:
        return await work.guest_passes.live([account.id for account in accounts], house.clock.now())


async def test_a_guest_has_a_name_and_neither_address_nor_password(house: House) -> None:
    guest, _ = await a_guest(house, " Grace  Hopper ")
    async with house.work() as work:
        found = await work.accounts.get(guest.id)
        assert await work.accounts.page(None, 9) == [found]
    assert found == guest
    assert (found.kind, type(found.kind)) == (AccountKind.GUEST, AccountKind)
    assert (found.display_name, found.email, found.password_hash) == ("Grace Hopper", None, None)
    ada = await an_account(house)
    assert ada.kind is AccountKind.PERSON


async def test_many_guests_have_the_same_name(house: House) -> None:
    (one, _), (other, _) = await a_guest(house), await a_guest(house)
    assert (one.display_name, one.id != other.id) == (other.display_name, True)


async def test_a_name_that_is_none_makes_no_guest(house: House) -> None:
    with pytest.raises(Invalid):
        await a_guest(house, "  ")
    async with house.work() as work:
        assert await work.accounts.page(None, 9) == []


async def test_a_pass_comes_back_whole_by_its_account_and_by_its_token(house: House) -> None:
    (guest, token), ada = await a_guest(house), await an_account(house)
    (found,) = await passes(house, guest, ada)
    assert (found.account_id, found.scopes, found.version) == (guest.id, ["look", "speak"], 1)
    assert found.expires_at == house.clock.now() + STAY
    principal = await house.guests.find(token)
    assert (principal.credential_id, principal.scopes) == (found.id, frozenset({"look", "speak"}))
    assert await house.guest_passes.find(found.token_digest) == found
    assert await house.guest_passes.find(b"another digest") is None
    assert await passes(house) == await passes(house, ada) == []


async def test_every_change_of_a_pass_is_kept_and_told(house: House) -> None:
    guest, _ = await a_guest(house)
    now, later = house.clock.now(), house.clock.now() + 2 * STAY
    async with house.work() as work:
        await house.guests.stay(work, [guest.id], later, None, now)
    (found,) = await passes(house, guest)
    assert (found.expires_at, found.version) == (later, 2)
    async with house.work() as work:
        await house.guests.gone(work, [guest.id], guest.id, now)
    assert await passes(house, guest) == []
    ended = await house.guest_passes.find(found.token_digest)
    assert ended is not None
    assert (ended.ended_at, ended.expires_at, ended.version) == (now, later, 3)
    events = [json.decode(entry.body) for entry in await house.journal.read(account_stream(guest.id), 0, 9)]
    assert [event["type"] for event in events] == [
        "account.guest_came",
        "guest_pass.issued",
        "guest_pass.extended",
        "guest_pass.ended",
    ]
    assert events[1]["data"]["scopes"] == ["look", "speak"]
    assert "token" not in str(events)


async def test_a_stay_that_is_no_longer_or_comes_too_late_changes_nothing(house: House) -> None:
    guest, _ = await a_guest(house)
    (before,) = await passes(house, guest)
    now = house.clock.now()
    async with house.work() as work:
        await house.guests.stay(work, [guest.id], now + STAY / 2, None, now)
    assert await passes(house, guest) == [before]
    house.clock.advance(STAY)
    async with house.work() as work:
        await house.guests.stay(work, [guest.id], now + 3 * STAY, None, house.clock.now())
    assert await passes(house, guest) == []
    assert await house.guest_passes.find(before.token_digest) == before


async def test_two_who_change_a_pass_at_once_are_told(house: House) -> None:
    guest, _ = await a_guest(house)
    now = house.clock.now()
    with pytest.raises(Stale):
        async with house.work() as work:
            await house.guests.stay(work, [guest.id], now + 2 * STAY, None, now)
            async with house.work() as other:
                await house.guests.gone(other, [guest.id], None, now)
    assert await passes(house, guest) == []


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(seconds=20)])
async def test_an_end_is_learnt_whatever_the_clock_of_the_process_says_that_wrote_it(
    house: House, off: timedelta
) -> None:
    (guest, _), _ = await a_guest(house), await a_guest(house)
    (found,) = await passes(house, guest)
    _, before = await house.guest_passes.ended_since(None)
    async with house.work() as work:
        (theirs,) = await work.guest_passes.live([guest.id], house.clock.now())
        theirs.end(None, before + off)
        work.guest_passes.save(theirs)
    assert list((await house.guest_passes.ended_since(before))[0]) == [found.id]
    await house.pass_time(timedelta(milliseconds=10))
    ended, now = await house.guest_passes.ended_since(None)
    assert (list(ended), now > before) == ([found.id], True)
    assert list((await house.guest_passes.ended_since(now + MILLISECOND))[0]) == []


async def test_passes_that_expired_long_ago_are_dropped_in_pieces_with_the_names_of_their_guests(house: House) -> None:
    guests = [await a_guest(house) for _ in range(3)]
    house.clock.advance(STAY + KEPT)
    young, _ = await a_guest(house)
    assert await house.guest_passes.forget(house.clock.now(), KEPT, 9) == 0
    house.clock.advance(MILLISECOND)
    assert await house.guest_passes.forget(house.clock.now(), KEPT, 2) == 2
    assert await house.guest_passes.forget(house.clock.now(), KEPT, 2) == 1
    assert len(await passes(house, young, *(guest for guest, _ in guests))) == 1
    async with house.work() as work:
        names = [account.display_name for account in await work.accounts.page(None, 9)]
    assert names == [*[NAMELESS] * 3, "Grace"]
