"""What every TicketStore promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from application.principal import Principal
from domain.identity import AccountRole
from domain.ids import AccountId, SessionId
from tests.contracts.conftest import TICKETS_MAX
from tests.contracts.house import House

OPENING = b'{"epoch":"\xc3\xa4\\u0000"}\x00\xff'


def somebody(house: House, role: AccountRole = AccountRole.USER) -> Principal:
    """A principal whose token lasts 10 minutes longer."""
    expires_at = house.clock.now() + timedelta(minutes=10)
    return Principal(AccountId(house.ids.new()), SessionId(house.ids.new()), role, expires_at)


async def keep(
    house: House, digest: bytes, principal: Principal, opening: bytes = OPENING, lifetime_ms: int = 60_000
) -> None:
    await house.ticket_store.keep(digest, principal, opening, lifetime_ms)


async def take(house: House, digest: bytes) -> tuple[Principal, bytes] | None:
    return await house.ticket_store.take(digest)


async def still_kept(house: House, digests: list[bytes]) -> list[bytes]:
    """Those of them that somebody gets now."""
    return [digest for digest in digests if await take(house, digest)]


async def test_a_ticket_comes_back_whole_and_once(house: House) -> None:
    user, admin = (
        somebody(house),
        replace(
            somebody(house, AccountRole.ADMIN),
            scopes=frozenset({"tasks:read", "tasks:write"}),
            within=f"workspace:{house.ids.new()}",
            networks=("192.0.2.0/24", "2001:db8::/32"),
            a_minute=60,
        ),
    )
    await keep(house, b"\x00\xff" * 16, user)
    await keep(house, b"admin", admin, b"{}")
    assert await take(house, b"\x00\xff" * 16) == (user, OPENING)
    taken = await take(house, b"admin")
    assert taken == (admin, b"{}")
    assert type(taken[0].role) is AccountRole
    assert await still_kept(house, [b"\x00\xff" * 16, b"admin"]) == []


async def test_an_unknown_digest_takes_nothing_and_spoils_nothing(house: House) -> None:
    await keep(house, b"known", somebody(house))
    for digest in (b"", b"know", b"known ", b"unknown"):
        assert await take(house, digest) is None
    assert await take(house, b"known")


async def test_of_twenty_who_want_one_ticket_one_gets_it(house: House) -> None:
    ada = somebody(house)
    await keep(house, b"one", ada)
    taken = await asyncio.gather(*(take(house, b"one") for _ in range(20)))
    assert [found for found in taken if found] == [(ada, OPENING)]


async def test_a_ticket_is_good_until_its_time_is_over_by_the_clock_that_all_share(house: House) -> None:
    await keep(house, b"short", somebody(house), lifetime_ms=50)
    await keep(house, b"long", somebody(house))
    await house.pass_time(timedelta(milliseconds=50))
    assert await take(house, b"short") is None
    assert await take(house, b"long")


async def test_of_more_than_ten_tickets_of_an_account_the_newest_remain(house: House) -> None:
    ada, bob = somebody(house), somebody(house)
    await keep(house, b"bob", bob)
    # At one moment, in which the order of the digests is not that of the tickets.
    digests = [bytes([255 - number]) for number in range(TICKETS_MAX + 5)]
    for digest in digests:
        await keep(house, digest, ada)
    assert await still_kept(house, digests) == digests[5:]
    assert await take(house, b"bob") == (bob, OPENING)


async def test_the_tickets_of_others_do_not_count(house: House) -> None:
    ada, bob = somebody(house), somebody(house)
    digests = [bytes([number]) for number in range(TICKETS_MAX + 2)]
    for digest, principal in zip(digests, [ada, *[bob] * TICKETS_MAX, ada], strict=True):
        await keep(house, digest, principal)
    assert await still_kept(house, digests) == digests


async def test_a_ticket_that_was_taken_leaves_its_place_to_another(house: House) -> None:
    ada = somebody(house)
    digests = [bytes([number]) for number in range(TICKETS_MAX + 1)]
    for digest in digests[:TICKETS_MAX]:
        await keep(house, digest, ada)
    assert await take(house, digests[3])
    await keep(house, digests[TICKETS_MAX], ada)
    assert await still_kept(house, digests) == [digest for digest in digests if digest != digests[3]]


async def test_however_many_are_kept_at_once_ten_remain(house: House) -> None:
    ada = somebody(house)
    digests = [bytes([number]) for number in range(40)]
    await asyncio.gather(*(keep(house, digest, ada) for digest in digests))
    assert len(await still_kept(house, digests)) == TICKETS_MAX


async def test_who_keeps_and_who_takes_at_once_do_not_disturb_each_other(house: House) -> None:
    ada = somebody(house)
    digests = [bytes([number]) for number in range(40)]
    for digest in digests[:TICKETS_MAX]:
        await keep(house, digest, ada)
    keeping = [keep(house, digest, ada) for digest in digests[TICKETS_MAX:]]
    taking = [take(house, digest) for digest in digests * 2]
    await asyncio.gather(*(step for pair in zip(keeping, taking, strict=False) for step in pair), *taking[30:])
    assert len(await still_kept(house, digests)) <= TICKETS_MAX


async def test_only_what_has_expired_is_dropped(house: House) -> None:
    await keep(house, b"old", somebody(house), lifetime_ms=50)
    await keep(house, b"young", somebody(house))
    await house.pass_time(timedelta(milliseconds=50))
    assert await house.ticket_store.forget_old(10) == 1
    assert await house.ticket_store.forget_old(10) == 0
    assert await still_kept(house, [b"old", b"young"]) == [b"young"]


async def test_what_has_expired_is_dropped_in_pieces_whoever_else_does_it(house: House) -> None:
    for number in range(25):
        await keep(house, bytes([number]), somebody(house), lifetime_ms=0)
    await house.pass_time(timedelta(milliseconds=1))
    counts = await asyncio.gather(*(house.ticket_store.forget_old(5) for _ in range(3)))
    assert all(count <= 5 for count in counts)
    left = 25 - sum(counts)
    assert await house.ticket_store.forget_old(100) == left
    assert await house.ticket_store.forget_old(100) == 0
