"""What the ports of mail promise: MailRepository, MailStore, Mailer; and that no mail is lost between two units."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.mail import FolderMailer, KeptMailer
from adapters.memory.observer import MemoryObserver
from application.mail import Post, Postbox
from application.ports.due import DUE, Ahead, Late
from application.ports.events import Signal
from application.ports.mail import Letter, Mailer, MailRefused, MailRepository, MailStore, Sending
from application.ports.unit_of_work import Stale
from domain.errors import NotFound
from domain.ids import MailId
from domain.mail import SCHEDULE, Mail
from tests.contracts.conftest import SECRETS
from tests.contracts.house import Follower, House
from tests.support.builders import an_account

LETTER = Letter("trial", "ada@example.org", {"instance": "web-1"})
KEPT = timedelta(days=30)


class Counter(Mailer):
    """Counts what it is given, and then does what it was made with."""

    def __init__(self, then: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)) -> None:
        self.sent: list[Sending] = []
        self._then = then

    async def send(self, sending: Sending) -> None:
        self.sent.append(sending)
        await self._then()


async def refuse() -> None:
    raise MailRefused("550 no such user", for_good=True)


async def fail() -> None:
    raise MailRefused("421 busy", for_good=False)


def post_of(house: House, mailer: Mailer) -> Post:
    return Post(house.work, mailer, SECRETS, house.clock, MemoryObserver())


async def posted(house: House, letter: Letter = LETTER) -> MailId:
    async with house.work() as work:
        return Postbox(SECRETS, house.ids).post(work, letter, house.clock.now())


async def kept(house: House, id: MailId) -> Mail:
    async with house.work() as work:
        mails: MailRepository = work.mails
        return await mails.get(id)


async def late(house: House) -> list[UUID]:
    return [each.id for each in await house.mail_deadlines.late(house.clock.now(), 9)]


async def test_a_mail_comes_back_whole_and_its_content_only_to_who_has_the_key(house: House) -> None:
    id, now = await posted(house), house.clock.now()
    mail = await kept(house, id)
    assert mail.hidden
    assert (mail.letter, mail.created_at, mail.due_at, mail.attempts.begun) == ("trial", now, now, 0)
    assert b"ada" not in mail.hidden
    assert b"ada" in (SECRETS.show(b"mail " + id.bytes, mail.hidden) or b"")
    assert SECRETS.show(b"mail " + UUID(int=0).bytes, mail.hidden) is None


async def test_an_absent_mail_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await kept(house, MailId(house.ids.new()))


async def test_a_mail_is_written_with_its_cause_or_not_at_all(house: House) -> None:
    ada = await an_account(house)
    with pytest.raises(Stale):
        async with house.work() as work:
            Postbox(SECRETS, house.ids).post(work, LETTER, house.clock.now())
            account = await work.accounts.get(ada.id)
            account.change_password("one", house.clock.now())
            work.accounts.save(account)
            async with house.work() as other:
                same = await other.accounts.get(ada.id)
                same.change_password("another", house.clock.now())
                other.accounts.save(same)
    assert await late(house) == []


async def test_who_sends_mail_is_woken_by_one_that_is_written(house: House) -> None:
    follower = await Follower(house, DUE).start()
    await posted(house)
    assert [item.channel for item in await follower.news() if isinstance(item, Signal)] == [DUE]


async def test_a_mail_is_due_until_it_is_sent(house: House) -> None:
    id, mailer = await posted(house), Counter()
    assert await late(house) == [id]
    await post_of(house, mailer).elapse(id, house.clock.now())
    assert await late(house) == []
    assert await house.mail_deadlines.look(house.clock.now(), 9) == Ahead(None, 0, None)
    mail = await kept(house, id)
    assert (mail.sent_at, mail.hidden, mailer.sent) == (
        house.clock.now(),
        None,
        [Sending(id, mail.created_at, LETTER)],
    )


async def test_a_mail_that_a_server_refuses_now_is_tried_again_later_as_the_same_mail(house: House) -> None:
    id, busy, well = await posted(house), Counter(fail), Counter()
    await post_of(house, busy).elapse(id, house.clock.now())
    assert await late(house) == []
    mail = await kept(house, id)
    assert (mail.last_error, mail.attempts.begun) == ("421 busy", 1)
    house.clock.advance(timedelta(seconds=12))
    assert await late(house) == [id]
    await post_of(house, well).elapse(id, house.clock.now())
    assert (await kept(house, id)).sent_at == house.clock.now()
    assert well.sent == busy.sent


async def test_a_mail_that_a_server_refuses_for_good_is_given_up(house: House) -> None:
    id = await posted(house)
    await post_of(house, Counter(refuse)).elapse(id, house.clock.now())
    mail = await kept(house, id)
    assert (mail.given_up_at, mail.sent_at, mail.hidden) == (house.clock.now(), None, None)
    house.clock.advance(timedelta(days=2))
    assert await late(house) == []


async def test_of_many_who_see_a_mail_due_one_sends_it(house: House) -> None:
    id, mailer = await posted(house), Counter()
    post = post_of(house, mailer)
    racers = (post.elapse(id, house.clock.now()) for _ in range(20))
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert len(mailer.sent) == 1
    assert {type(outcome) for outcome in outcomes} <= {type(None), Stale}


async def test_a_mail_whose_sender_is_killed_is_sent_again_when_its_lease_ends_and_never_lost(house: House) -> None:
    """Whether the server accepted it before the end, nobody knows: the store says the same in both cases."""
    killed, id = Counter(lambda: asyncio.sleep(3_600)), await posted(house)
    for attempt in range(1, 4):
        dying = asyncio.create_task(post_of(house, killed).elapse(id, house.clock.now()))
        while len(killed.sent) < attempt:
            await asyncio.sleep(0)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        assert await late(house) == []
        house.clock.advance(SCHEDULE.lease)
        assert await late(house) == [id]
    survivor = Counter()
    await post_of(house, survivor).elapse(id, house.clock.now())
    assert len(survivor.sent) == 1
    assert await late(house) == []


async def test_one_who_was_taken_for_dead_and_sent_it_after_all_ends_the_attempts(house: House) -> None:
    going = asyncio.Event()

    async def slowly() -> None:
        await going.wait()

    id, slow = await posted(house), Counter(slowly)
    lost = asyncio.create_task(post_of(house, slow).elapse(id, house.clock.now()))
    while not slow.sent:
        await asyncio.sleep(0)
    house.clock.advance(SCHEDULE.lease)
    await post_of(house, Counter(fail)).elapse(id, house.clock.now())
    going.set()
    await lost
    mail = await kept(house, id)
    assert (mail.sent_at, mail.due_at) == (house.clock.now(), None)


async def test_a_mail_that_cannot_be_read_any_more_is_given_up(house: House) -> None:
    id = MailId(house.ids.new())
    async with house.work() as work:
        work.mails.add(Mail.write(id, "trial", b"of another installation", house.clock.now()))
    mailer = Counter()
    await post_of(house, mailer).elapse(id, house.clock.now())
    assert mailer.sent == []
    assert "JWT_SECRET" in ((await kept(house, id)).last_error or "")


async def test_a_letter_that_nobody_knows_is_tried_again_as_a_newer_release_may_know_it(house: House) -> None:
    id = await posted(house, Letter("no_such_letter", "ada@example.org"))
    await post_of(house, house.mailer).elapse(id, house.clock.now())
    mail = await kept(house, id)
    assert (mail.last_error, mail.is_over) == ("UnknownLetter", False)


async def test_a_letter_that_cannot_be_made_is_given_up_at_once(house: House) -> None:
    id = await posted(house, Letter("trial", "ada@example.org"))
    await post_of(house, house.mailer).elapse(id, house.clock.now())
    mail = await kept(house, id)
    assert (mail.last_error, mail.is_over) == ("The letter cannot be made: UndefinedError.", True)


async def test_the_oldest_mail_that_waits_is_known(house: House) -> None:
    store: MailStore = house.mail_store
    assert await store.oldest_at() is None
    first, began = await posted(house), house.clock.now()
    house.clock.advance(timedelta(minutes=1))
    await posted(house)
    assert await store.oldest_at() == began
    await post_of(house, Counter()).elapse(first, house.clock.now())
    assert await store.oldest_at() == house.clock.now()


async def test_mails_that_are_over_are_forgotten_when_they_are_old_and_others_are_not(house: House) -> None:
    sent, refused, waiting = [await posted(house) for _ in range(3)]
    await post_of(house, Counter()).elapse(sent, house.clock.now())
    await post_of(house, Counter(refuse)).elapse(refused, house.clock.now())
    house.clock.advance(KEPT)
    assert await house.mail_store.forget(house.clock.now(), KEPT, 9) == 0
    house.clock.advance(timedelta(milliseconds=1))
    assert await house.mail_store.forget(house.clock.now(), KEPT, 1) == 1
    assert await house.mail_store.forget(house.clock.now(), KEPT, 9) == 1
    assert await late(house) == [waiting]
    assert (await house.mail_deadlines.late(house.clock.now(), 9))[0] == Late(
        waiting, (await kept(house, waiting)).created_at
    )


async def test_a_mailer_makes_a_message_of_each_letter(house: House) -> None:
    sending = Sending(house.ids.new(), house.clock.now(), LETTER)
    await house.mailer.send(sending)
    await house.mailer.send(sending)
    if isinstance(house.mailer, KeptMailer):
        assert [kept.letter for kept in house.mailer.sent] == [LETTER, LETTER]
        assert house.mailer.sent[0].message["To"] == "ada@example.org"
    else:
        assert isinstance(house.mailer, FolderMailer)
        (file,) = house.mailer.folder.glob("*.eml")
        assert b"\r\nTo: ada@example.org\r\n" in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


async def test_a_mailer_refuses_an_address_that_is_none_for_good(house: House) -> None:
    with pytest.raises(MailRefused) as refused:
        await house.mailer.send(Sending(house.ids.new(), house.clock.now(), Letter("trial", "a\r\nBcc: b@example.org")))
    assert refused.value.for_good
