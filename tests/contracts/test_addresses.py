"""What every AddressRepository and AddressUpkeep promises."""

import asyncio
from datetime import timedelta

import pytest

from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.identity import Account, AddressPurpose, AddressRequest, MailedLink
from domain.ids import AccountId, AddressRequestId
from tests.contracts.house import House
from tests.support.builders import an_account

DAY = timedelta(days=1)


async def put(house: House, account: Account, digest: bytes, purpose: AddressPurpose = AddressPurpose.VERIFY) -> None:
    async with house.work() as work:
        work.addresses.put_link(MailedLink.make(account, purpose, "a@b.co", digest, b"password", house.clock.now()))


async def read(house: House, digest: bytes) -> MailedLink | None:
    async with house.work() as work:
        return await work.addresses.link(digest)


def a_request(house: House, account: AccountId | None = None) -> AddressRequest:
    return AddressRequest(
        id=AddressRequestId(house.ids.new()),
        purpose=AddressPurpose.REGISTER,
        address="a@b.co",
        due_at=house.clock.now(),
        account_id=account,
        display_name="Ada",
        password_hash="a hash",
    )


async def test_a_link_comes_back_whole_and_a_newer_one_of_its_purpose_takes_its_place(house: House) -> None:
    ada = await an_account(house)
    await put(house, ada, b"first")
    await put(house, ada, b"other", AddressPurpose.RESET)
    assert await read(house, b"first") == MailedLink.make(
        ada, AddressPurpose.VERIFY, "a@b.co", b"first", b"password", house.clock.now()
    )
    await put(house, ada, b"newer")
    assert [await read(house, digest) is not None for digest in (b"first", b"newer", b"other")] == [False, True, True]


async def test_of_twenty_who_use_a_link_at_once_one_succeeds(house: House) -> None:
    ada = await an_account(house)
    await put(house, ada, b"digest")

    async def use() -> None:
        async with house.work() as work:
            link = await work.addresses.link(b"digest")
            assert link is not None
            link.used_at = None  # as whoever has read it before the others have used it
            link.use(house.clock.now())
            work.addresses.use_link(link)

    outcomes = await asyncio.gather(*(use() for _ in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Stale] * 19
    used = await read(house, b"digest")
    assert used is not None
    assert used.used_at == house.clock.now()


async def test_a_link_that_was_replaced_since_it_was_read_is_not_used(house: House) -> None:
    ada = await an_account(house)
    await put(house, ada, b"older")
    with pytest.raises(Stale):
        async with house.work() as work:
            link = await work.addresses.link(b"older")
            assert link is not None
            await put(house, ada, b"newer")
            link.use(house.clock.now())
            work.addresses.use_link(link)
    newer = await read(house, b"newer")
    assert newer is not None
    assert newer.used_at is None


async def test_a_request_comes_back_whole_until_one_has_done_it(house: House) -> None:
    asked = a_request(house, AccountId(house.ids.new())), a_request(house)
    async with house.work() as work:
        for request in asked:
            work.addresses.add_request(request)
    async with house.work() as work:
        assert [await work.addresses.request(request.id) for request in asked] == [*asked]
    async with house.work() as work:
        work.addresses.remove_request(asked[0])
    with pytest.raises(Stale):
        async with house.work() as work:
            work.addresses.remove_request(asked[0])
    with pytest.raises(NotFound):
        async with house.work() as work:
            await work.addresses.request(asked[0].id)


async def test_what_is_left_over_is_forgotten(house: House) -> None:
    ada, now = await an_account(house), house.clock.now()
    for digest, purpose in ((b"a day", AddressPurpose.VERIFY), (b"half an hour", AddressPurpose.RESET)):
        await put(house, ada, digest, purpose)
    async with house.work() as work:
        work.addresses.add_request(a_request(house))
        work.addresses.add_request(a_request(house))
    upkeep = house.address_upkeep
    assert await upkeep.forget_links(now + timedelta(minutes=30), timedelta(), 9) == 0
    assert await upkeep.forget_links(now + timedelta(minutes=31), timedelta(), 9) == 1
    assert [await read(house, digest) is not None for digest in (b"a day", b"half an hour")] == [True, False]
    assert await upkeep.forget_requests(now + DAY, DAY, 9) == 0
    assert [await upkeep.forget_requests(now + 2 * DAY, DAY, 1) for _ in range(3)] == [1, 1, 0]
