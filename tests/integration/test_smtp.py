"""Mail reaches a real mail server. Whatever that does, a mail is sent, tried again or given up, and delays no other."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
import pytest_asyncio
from dependency_injector.providers import Object

from adapters.mail import Letters, SmtpMailer
from adapters.memory.system import MovableClock
from application.ports.mail import Letter, MailRefused, Sending
from domain.errors import Unavailable
from domain.ids import MailId
from domain.mail import SCHEDULE, Mail
from entrypoints.container import in_memory
from tests.contracts.house import eventually
from tests.support.mail_server import MailServer, certificates, mail_server

LETTER = Letter("trial", "ada@example.org", {"instance": "web-1"})
SENDING = Sending(UUID(int=7), datetime(2026, 3, 1, tzinfo=UTC), LETTER)
LETTERS = Letters("Signalbox <post@example.org>", "https://signalbox.example")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


def mailer_of(server: MailServer) -> SmtpMailer:
    return SmtpMailer(server.url, "signalbox.example", LETTERS)


async def refused(mailer: SmtpMailer, sending: Sending = SENDING) -> MailRefused:
    with pytest.raises(MailRefused) as found:
        await mailer.send(sending)
    return found.value


async def test_a_mail_arrives_as_it_was_written(server: MailServer) -> None:
    await mailer_of(server).send(SENDING)
    (message,) = server.taken
    assert server.envelopes == [("post@example.org", ["ada@example.org"])]
    assert message["Subject"] == "Signalbox can send mail"
    assert message["Message-ID"] == f"<{UUID(int=7)}@example.org>"
    body = message.get_body(("plain",))
    assert body is not None
    assert "sent from web-1 by" in body.get_content()


async def test_an_address_of_another_script_arrives_where_the_server_takes_it(server: MailServer) -> None:
    await mailer_of(server).send(
        Sending(UUID(int=7), SENDING.written_at, Letter("trial", "žofie@bücher.example", LETTER.data))
    )
    assert server.envelopes == [("post@example.org", ["žofie@xn--bcher-kva.example"])]
    assert "žofie@xn--bcher-kva.example".encode() in server.raw[0]


@pytest.mark.parametrize(
    ("step", "answer", "for_good"),
    [
        ("recipient", "550 5.1.1 <ada@example.org>: there is no ADA here", True),
        ("recipient", "450 4.2.0 come back", False),
        ("content", "554 5.7.1 this looks like spam", True),
        ("content", "451 4.3.0 the disk is full", False),
        ("sender", "550 5.7.1 you may not write as that", False),
        ("sender", "421 4.3.2 closing", False),
    ],
)
async def test_what_a_server_answers_decides_whether_a_mail_is_tried_again(
    server: MailServer, step: str, answer: str, for_good: bool
) -> None:
    mailer = mailer_of(server)
    server.at = {step: answer}  # type: ignore[dict-item]
    problem = await refused(mailer)
    assert problem.for_good is for_good
    assert answer[:3] in problem.reason or answer.startswith("421")
    assert "ada" not in problem.reason.lower()
    assert server.taken == []


@pytest.mark.parametrize(("step", "behaviour"), [("recipient", "cut"), ("content", "cut"), ("connect", "refuse")])
async def test_a_server_that_is_cut_off_is_asked_again_only_after_a_moment(
    server: MailServer, step: str, behaviour: str
) -> None:
    mailer = mailer_of(server)
    if behaviour == "refuse":
        mailer = SmtpMailer("smtp://127.0.0.1:1", "signalbox.example", LETTERS)
    else:
        server.at = {step: behaviour}  # type: ignore[dict-item]
    assert not (await refused(mailer)).for_good
    assert mailer.breaker.state == "open"
    before = server.connections
    assert not (await refused(mailer)).for_good
    assert server.connections == before
    if behaviour == "cut":
        server.at.clear()
        await eventually(lambda: mailer.breaker.state == "half_open")
        await mailer.send(SENDING)
        assert (mailer.breaker.state, len(server.taken)) == ("closed", 1)


@pytest.mark.parametrize("step", ["connect", "recipient", "content"])
async def test_a_server_that_hangs_is_left(server: MailServer, step: str) -> None:
    mailer = SmtpMailer(server.url, "signalbox.example", LETTERS, connect_seconds=0.2, send_seconds=0.3)
    server.at = {step: "hang"}  # type: ignore[dict-item]
    began = monotonic()
    assert not (await refused(mailer)).for_good
    assert monotonic() - began < 20  # of the 30 s that a mailer has at most, however busy the machine is
    assert mailer.breaker.state == "open"


@pytest.mark.parametrize("is_smtps", [False, True])
async def test_a_password_goes_over_an_encrypted_connection_only(tmp_path: Path, is_smtps: bool) -> None:
    serving, trusting = certificates(tmp_path)
    async with mail_server(serving, wants_password=True, is_smtps=is_smtps) as server:
        scheme = "smtps" if is_smtps else "smtp"
        where = f"127.0.0.1:{server.port}"
        good = SmtpMailer(f"{scheme}://ada%40example.org:p%40ss%3Aw%2Frd@{where}", "a.example", LETTERS, trusting)
        await good.send(SENDING)
        assert (len(server.taken), server.signed_in, server.encrypted) == (1, ["ada@example.org"], [True])
        assert await good.check() is None
        wrong = SmtpMailer(f"{scheme}://ada%40example.org:other@{where}", "a.example", LETTERS, trusting)
        assert not (await refused(wrong)).for_good
        with pytest.raises(Unavailable, match="535"):
            await wrong.check()
        stranger = SmtpMailer(f"{scheme}://ada%40example.org:p%40ss%3Aw%2Frd@{where}", "a.example", LETTERS)
        assert "certificate" in (await refused(stranger)).reason.lower()
        assert len(server.signed_in) == 2


async def test_a_password_is_never_sent_in_the_open_to_another_machine(server: MailServer) -> None:
    elsewhere = f"0.0.0.0:{server.port}"  # which leads here, and is no name of this machine
    assert "STARTTLS" in (await refused(SmtpMailer(f"smtp://ada:secret@{elsewhere}", "a.example", LETTERS))).reason
    without_password = SmtpMailer(f"smtp://{elsewhere}", "a.example", LETTERS)
    await without_password.send(SENDING)
    assert len(server.taken) == 1
    assert await without_password.check() == "The connection is not encrypted."


# ---------------------------------------------------------------------------------------- the whole way, in a process


class Office:
    """A process that works, with its mail server."""

    def __init__(self, server: MailServer) -> None:
        self.mailer = mailer_of(server)
        self.house = in_memory(mailer=Object(self.mailer))
        clock = self.house.clock()
        assert isinstance(clock, MovableClock)
        self.clock = clock
        self.later = self.house.operations.later()

    async def post(self) -> MailId:
        async with self.house.work()() as work:
            id: MailId = self.house.postbox().post(work, LETTER, self.clock.now())
        return id

    async def kept(self, id: MailId) -> Mail:
        async with self.house.work()() as work:
            mail: Mail = await work.mails.get(id)
        return mail

    async def next_attempt(self, id: MailId) -> None:
        due_at = (await self.kept(id)).due_at
        assert due_at is not None
        self.clock.advance(due_at - self.clock.now())
        await eventually(lambda: self.mailer.breaker.state != "open")
        await self.later.turn()


async def test_a_mail_that_was_cut_off_after_it_was_accepted_comes_once_more_with_the_same_id(
    server: MailServer,
) -> None:
    office = Office(server)
    server.at = {"content": "cut afterwards"}
    id = await office.post()
    await office.later.turn()
    assert (len(server.taken), (await office.kept(id)).sent_at) == (1, None)
    server.at.clear()
    await office.next_attempt(id)
    assert (await office.kept(id)).sent_at == office.clock.now()
    assert len({message["Message-ID"] for message in server.taken}) == 1
    assert len(server.taken) == 2 == (await office.kept(id)).attempts.begun


async def test_of_many_mails_each_arrives_once_though_the_server_is_away_for_hours(server: MailServer) -> None:
    office = Office(server)
    ids = [await office.post() for _ in range(20)]
    server.at = {"recipient": "421 4.3.2 not today"}
    for _ in range(4):
        await office.later.turn()
        office.clock.advance(max(SCHEDULE.pauses[:6]))
    assert server.taken == []
    server.at.clear()
    await eventually(lambda: office.mailer.breaker.state != "open")
    await office.later.turn()
    assert {mail["Message-ID"] for mail in server.taken} == {f"<{id}@example.org>" for id in ids}
    assert len(server.taken) == len(ids)
