"""Mail: written in the unit of work of its cause, and sent afterwards, again and again until a server accepts it."""

import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from uuid import UUID

import msgspec

from application.ports.mail import Letter, Mailer, MailRefused, MailStore, MailWork, Sending
from application.ports.observer import Happening, Observer
from application.ports.secrets import Secrets
from application.ports.system import Clock, Ids
from application.ports.unit_of_work import retried, uninterrupted
from domain.ids import MailId
from domain.mail import Mail

# How many mails a process sends together, and how long one of them may take with all that is recorded of it.
AT_ONCE = 8
DEADLINE_SECONDS = 60.0
ATTEMPTED = Happening(
    "mail",
    "mail_attempts",
    "outcome",
    "Attempts to send a mail; `delayed`: it is tried again, `refused`: for good, `given_up`: it was the last attempt.",
    ("sent", "delayed", "refused", "given_up"),
)
WAITING = "mails_waiting", "Mails that still have to be sent."
OLDEST = "mails_oldest_seconds", "The age of the oldest mail that still has to be sent; 0 if there is none."

log = logging.getLogger(__name__)


class Postbox:
    """Takes letters. Each is encrypted, because it may hold secrets and is kept for as long as it is not sent."""

    def __init__(self, secrets: Secrets, ids: Ids) -> None:
        self._secrets = secrets
        self._ids = ids

    def post(self, work: MailWork, letter: Letter, now: datetime) -> MailId:
        """Write a letter in this unit of work. It is sent if the unit is applied, and only then."""
        id = MailId(self._ids.new())
        hidden = self._secrets.hide(_place(id), msgspec.json.encode(letter))
        work.mails.add(Mail.write(id, letter.name, hidden, now))
        return id


class Post:
    """Sends what is in the postbox.

    An attempt begins in one unit of work and its outcome is recorded in another. The mail server is called between
    them, outside of any transaction. If the process is killed there, another attempt follows when the lease ends.
    """

    def __init__(
        self,
        work: Callable[[], AbstractAsyncContextManager[MailWork]],
        mailer: Mailer,
        secrets: Secrets,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._work = work
        self._mailer = mailer
        self._secrets = secrets
        self._clock = clock
        self._observer = observer

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Make the next attempt at a mail that is due; nothing if it is not."""
        async with self._work() as work:
            mail = await work.mails.get(MailId(id))
            may_begin = mail.begin(now)
            work.mails.save(mail)
        if may_begin:
            refused = await self._send(mail)
            await self._record(mail.id, mail.attempts.begun, refused)
        elif mail.given_up_at == now:
            self._tell(mail, "given_up")

    async def _send(self, mail: Mail) -> MailRefused | None:
        shown = self._secrets.show(_place(mail.id), mail.hidden or b"")
        if shown is None:
            return MailRefused("Its content cannot be read under the present JWT_SECRET.", for_good=True)
        letter = msgspec.json.decode(shown, type=Letter)
        try:
            await self._mailer.send(Sending(mail.id, mail.created_at, letter))
        except MailRefused as refused:
            return refused
        except Exception as defect:
            # Such as a letter that only a newer release knows. It is tried again as if a server had said so.
            log.exception("the letter %s cannot be sent", mail.letter)
            return MailRefused(type(defect).__name__, for_good=False)
        return None

    @uninterrupted
    @retried
    async def _record(self, id: MailId, attempt: int, refused: MailRefused | None) -> None:
        now = self._clock.now()
        async with self._work() as work:
            mail = await work.mails.get(id)
            if refused is None:
                mail.accept(now)
            else:
                mail.fail(attempt, now, refused.reason, refused.for_good, random.random())  # noqa: S311  # a pause
            work.mails.save(mail)
        if refused is None:
            self._tell(mail, "sent")
        elif mail.given_up_at is None:
            self._tell(mail, "delayed")
        else:
            self._tell(mail, "refused" if refused.for_good else "given_up")

    def _tell(self, mail: Mail, outcome: str) -> None:
        self._observer.happened("mail", outcome)
        if mail.due_at is not None:
            log.info(
                "mail %s (%s) was not sent at attempt %d, and is tried again at %s: %s",
                *(mail.id, mail.letter, mail.attempts.begun, mail.due_at.isoformat(), mail.last_error),
            )
        elif outcome == "sent":
            log.info("mail %s (%s) was sent at attempt %d", mail.id, mail.letter, mail.attempts.begun)
        else:
            log.warning(
                "mail %s (%s) is given up after attempt %d: %s",
                *(mail.id, mail.letter, mail.attempts.begun, mail.last_error),
            )


async def waiting_seconds(store: MailStore, clock: Clock) -> float:
    """The age of the oldest mail that still has to be sent, as a gauge asks for it."""
    oldest_at = await store.oldest_at()
    return 0.0 if oldest_at is None else max(0.0, (clock.now() - oldest_at).total_seconds())


def _place(id: UUID) -> bytes:
    return b"mail " + id.bytes
