"""Every frame and every byte of a live connection is told to the observer, whichever way it takes."""

from adapters.memory.observer import MemoryObserver
from application.realtime.topic import Batch
from tests.application.live_house import House, turns

KINDS = {"event": "event", "value": "signal", "presence": "signal"}


def seen(house: House) -> MemoryObserver:
    observer = house.container.observer()
    assert isinstance(observer, MemoryObserver)
    return observer


async def test_what_is_sent_live_read_from_the_journal_answered_or_kept_back_is_counted_once() -> None:
    house = await House().settle()
    observer = seen(house)
    typing = f"typing:{house.channel}"
    async with house.visit(house.ada) as ada, house.visit(house.bob) as bob:
        for visitor in (ada, bob):
            for channel in (house.channel, typing, f"presence:{house.channel}"):
                await visitor.say(type="subscribe", id=2, channel=channel)
        task = await house.task()
        await ada.say(type="subscribe", id=3, channel=f"task:{task.id}")
        await bob.say(type="presence", id=4, channel=f"presence:{house.channel}")
        bob.connection.congested()
        await house.rename(task, "Seen by Ada at once, by Bob later")
        await ada.say(type="publish", id=5, channel=typing, data={"at": 1})
        await ada.until(lambda visitor: len(visitor.of("value")) == 1)
        bob.connection.relieved()
        await bob.until(lambda visitor: len(visitor.events()) == 2)
        await bob.say(type="call", id=6, method="no such", params={})
        await turns(5)
        frames = [frame for visitor in (ada, bob) for frame in visitor.frames]
        sent = {"event": 0, "signal": 0, "answer": 0}
        for frame in frames:
            sent[KINDS.get(frame["type"], "answer")] += 1
        assert {kind: observer.frames[kind] for kind in sent} == sent
        assert sum(observer.bytes[kind] for kind in sent) == ada.bytes + bob.bytes
        assert observer.frames["received"] == 2 * 4 + 4
        # Bob could not keep up when something was typed.
        assert (observer.happenings["dropped", "ephemeral"], bob.of("value")) == (1, [])


async def test_a_value_that_a_newer_one_supersedes_is_counted_as_dropped_and_the_newer_one_as_sent() -> None:
    house = await House().settle()
    observer = seen(house)
    async with house.visit(house.bob) as bob:
        bob.connection.congested()
        for key, data in (("a", b"\x81\x012"), ("b", b"\x81\x013"), ("a", b"\x81\x014")):
            bob.connection.pass_on("market", Batch([(key, data)], data))
        assert (observer.happenings["dropped", "superseded"], observer.frames["signal"]) == (1, 0)
        bob.connection.relieved()
        assert (observer.frames["signal"], observer.bytes["signal"]) == (2, 6)
        assert [str(frame) for frame in bob.frames[-2:]] == ["4", "3"]
