"""What is posted is sent by whoever sees to what is due, and every outcome is counted."""

import asyncio
from datetime import timedelta

from dependency_injector.providers import Object
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mail import KeptMailer
from adapters.memory.observer import MemoryObserver
from adapters.memory.system import MovableClock
from application.ports.mail import Letter, Mailer, MailRefused, Sending
from domain.ids import MailId
from domain.mail import SCHEDULE, Mail
from entrypoints.container import Container, in_memory
from tests.support.killed_workers import KilledWorkers, fates

LETTER = Letter("trial", "ada@example.org", {"instance": "web-1"})


STEPS = st.lists(fates(3, st.sampled_from([1, 30, 90, 7_200])), max_size=40)
ANSWERS = st.lists(st.sampled_from(["accepted", "accepted unheard", "busy", "hangs"]), max_size=9)


@settings(max_examples=100)
@given(steps=STEPS, answers=ANSWERS)
def test_a_mail_is_sent_or_given_up_and_no_attempt_gives_a_server_two_though_processes_are_killed_at_any_await(
    steps: list[tuple[str, int]], answers: list[str]
) -> None:
    async def story() -> None:
        server = Fateful(answers)
        house = in_memory(mailer=Object(server))
        id, post = await posted(house), house.post()
        killed = KilledWorkers(lambda _: post.elapse(id, house.clock().now()), clock_of(house))
        for fate, value in steps:
            await killed.meet(fate, value)
        await killed.end()
        server.answers.clear()
        while not (mail := await kept(house, id)).is_over:
            clock_of(house).advance(max(timedelta(), (mail.due_at or house.clock().now()) - house.clock().now()))
            await post.elapse(id, house.clock().now())
        assert (mail.sent_at is None) is (mail.given_up_at is not None)
        assert mail.sent_at is None or server.accepted
        assert server.accepted <= mail.attempts.begun <= len(SCHEDULE.pauses)
        assert mail.sent_at or mail.attempts.begun == len(SCHEDULE.pauses)

    asyncio.run(story())


class Fateful(Mailer):
    """Does to each mail what comes next in its list, and accepts it when that is empty."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = list(answers)
        self.accepted = 0

    async def send(self, sending: Sending) -> None:
        answer = self.answers.pop(0) if self.answers else "accepted"
        await asyncio.sleep(0)
        if answer == "hangs":
            await asyncio.Event().wait()
        if answer == "busy":
            raise MailRefused("421 busy", for_good=False)
        self.accepted += 1
        await asyncio.sleep(0)
        if answer == "accepted unheard":
            raise MailRefused("the connection was lost", for_good=False)


class Moody(Mailer):
    """Refuses what it is given, with what comes next in its list, and takes it when that is empty."""

    def __init__(self, *refusals: MailRefused) -> None:
        self._refusals = list(refusals)

    async def send(self, sending: Sending) -> None:
        if self._refusals:
            raise self._refusals.pop(0)


async def posted(house: Container) -> MailId:
    async with house.work()() as work:
        id: MailId = house.postbox().post(work, LETTER, house.clock().now())
        return id


async def kept(house: Container, id: MailId) -> Mail:
    async with house.work()() as work:
        mail: Mail = await work.mails.get(id)
        return mail


def clock_of(house: Container) -> MovableClock:
    clock = house.clock()
    assert isinstance(clock, MovableClock)
    return clock


def outcomes(house: Container) -> dict[str, int]:
    observer = house.observer()
    assert isinstance(observer, MemoryObserver)
    return {outcome: count for (what, outcome), count in observer.happenings.items() if what == "mail"}


async def test_what_is_posted_is_sent_by_who_sees_to_what_is_due() -> None:
    house = in_memory()
    await posted(house)
    await house.operations.later().turn()
    mailer = house.mailer()
    assert isinstance(mailer, KeptMailer)
    assert [kept.letter for kept in mailer.sent] == [LETTER]
    assert mailer.sent[0].message["Subject"] == "Signalbox can send mail"
    assert outcomes(house) == {"sent": 1}
    assert (await house.store().stored())["mails_waiting"] == 0


async def test_every_outcome_is_counted_and_how_long_the_oldest_waits() -> None:
    busy, gone = MailRefused("421 busy", for_good=False), MailRefused("550 no such user", for_good=True)
    mailer = Moody(*[busy] * (len(SCHEDULE.pauses) + 1), gone)
    house = in_memory(mailer=Object(mailer))
    for _ in range(3):
        await posted(house)
    began = house.clock().now()
    later = house.operations.later()
    asked = house.operations.asking()
    first, second, third = [each.id for each in await house.mail_deadlines().late(began, 9)]
    while not (mail := await kept(house, first)).is_over:
        clock_of(house).advance(max(timedelta(), (mail.due_at or began) - house.clock().now()))
        await house.post().elapse(first, house.clock().now())
    assert outcomes(house) == {"delayed": len(SCHEDULE.pauses) - 1, "given_up": 1}
    await asked.ask()
    shown = {gauge.name: value for gauge, value in asked.read()}
    assert shown["mails_waiting"] == 2
    assert shown["mails_oldest_seconds"] == (house.clock().now() - began).total_seconds() > 86_000
    for id in (second, third):
        await house.post().elapse(id, house.clock().now())
    assert outcomes(house) == {"delayed": len(SCHEDULE.pauses), "given_up": 1, "refused": 1}
    clock_of(house).advance(timedelta(minutes=1))
    await later.turn()
    assert outcomes(house)["sent"] == 1


async def test_a_mail_whose_last_attempt_was_lost_with_its_process_is_counted_as_given_up() -> None:
    house = in_memory()
    id = await posted(house)
    for _ in SCHEDULE.pauses:
        async with house.work()() as work:
            mail = await work.mails.get(id)
            assert mail.begin(house.clock().now())
            work.mails.save(mail)
        clock_of(house).advance(SCHEDULE.lease)
    await house.operations.later().turn()
    assert outcomes(house) == {"given_up": 1}
