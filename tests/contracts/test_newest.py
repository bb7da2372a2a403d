"""What everybody who keeps newest values promises, for one process or for two."""

import asyncio
from datetime import timedelta
from uuid import UUID

from msgspec import Raw

from application.ports.events import GONE, Signal
from application.ports.newest import Newest
from domain.channels import About, Channel, ChannelClass, ChannelKind, by_id
from tests.contracts.house import Follower, House

HALL = ChannelKind("hall", ChannelClass.DURABLE, by_id, is_place=True)
SEATS = ChannelKind("seats", ChannelClass.KEYED, About(HALL))
ONE, OTHER = (Channel(SEATS, Channel(HALL, UUID(int=n))) for n in (1, 2))


def word(text: object) -> Raw:
    return Raw(f'{{"said": "{text}"}}'.encode())


async def told(newest: Newest, *channels: Channel) -> dict[tuple[str, str], bytes]:
    return {(each.channel, each.key): bytes(each.data) for each in await newest.of(channels)}


async def test_a_value_is_known_everywhere_and_the_one_before_is_returned(house: House) -> None:
    assert await house.newest.tell(ONE, "ada", word(1), 60) is None
    assert await house.newest_elsewhere.tell(ONE, "ada", word("\\u00e4 %d"), 60) == word(1)
    assert await house.newest.tell(ONE, "bob", word(3), 60) is None
    assert await house.newest.tell(OTHER, "ada", word(4), 60) is None
    expected = {(str(ONE), "ada"): bytes(word("\\u00e4 %d")), (str(ONE), "bob"): bytes(word(3))}
    for newest in (house.newest, house.newest_elsewhere):
        assert await told(newest, ONE) == expected
        assert await told(newest, ONE, OTHER) == expected | {(str(OTHER), "ada"): bytes(word(4))}
        assert await told(newest) == {}


async def test_versions_rise_with_every_value_of_a_key_whoever_tells_it(house: House) -> None:
    versions = []
    for n in range(10):
        await (house.newest, house.newest_elsewhere)[n % 2].tell(ONE, "ada", word(n), 60)
        versions += [signal.version for signal in await house.newest.of([ONE])]
    assert sorted(set(versions)) == versions


async def test_a_value_that_is_told_to_be_gone_is_gone(house: House) -> None:
    await house.newest.tell(ONE, "ada", word(1), 60)
    assert await house.newest_elsewhere.tell(ONE, "ada", None, 60) == word(1)
    assert await told(house.newest, ONE) == {}
    assert await house.newest.tell(ONE, "ada", None, 60) is None
    assert await house.newest.tell(ONE, "ada", word(2), 60) is None


async def test_a_value_is_gone_when_its_seconds_are_over_unless_it_was_told_again(house: House) -> None:
    for key, seconds in (("ada", 1), ("bob", 60), ("eve", 1)):
        await house.newest.tell(ONE, key, word(1), seconds)
    (left,) = [signal.seconds for signal in await house.newest.of([ONE]) if signal.key == "bob"]
    assert left is not None
    assert 0 < left <= 60
    await house.newest.tell(ONE, "eve", word(2), 60)
    await house.pass_time(timedelta(seconds=1.1))
    assert {key for _, key in await told(house.newest_elsewhere, ONE)} == {"bob", "eve"}
    assert await house.newest.tell(ONE, "ada", word(3), 60) is None
    assert {key for _, key in await told(house.newest, ONE)} == {"ada", "bob", "eve"}


async def test_every_value_and_its_end_are_published_on_the_channel(house: House) -> None:
    follower = await Follower(house, str(ONE)).start()
    await house.newest_elsewhere.tell(ONE, "ada", word(1), 60)
    await house.newest_elsewhere.tell(OTHER, "ada", word(2), 60)
    await house.newest_elsewhere.tell(ONE, "ada", None, 60)
    signals = [signal for signal in await follower.news() if isinstance(signal, Signal)]
    assert [(each.channel, each.key, each.data, each.seconds) for each in signals] == [
        (str(ONE), "ada", word(1), 60),
        (str(ONE), "ada", GONE, 60),
    ]
    assert signals[0].version < signals[1].version


async def test_of_twenty_that_tell_a_value_at_once_each_follows_on_one_other(house: House) -> None:
    tellers = (house.newest, house.newest_elsewhere)
    before = await asyncio.gather(*(tellers[n % 2].tell(ONE, "ada", word(n), 60) for n in range(20)))
    (last,) = (await told(house.newest, ONE)).values()
    assert before.count(None) == 1
    assert sorted([bytes(each) for each in before if each is not None] + [last]) == sorted(
        bytes(word(n)) for n in range(20)
    )
