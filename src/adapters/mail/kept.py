"""A list in place of a mail server, for tests and for the assembly in memory."""

from collections import deque
from email.message import EmailMessage
from typing import NamedTuple

from adapters.mail.letters import Letters
from application.ports.mail import Letter, Mailer, Sending

SENT_MAX = 1_000


class KeptMail(NamedTuple):
    """A mail as it was sent: the letter, and the message that was made of it."""

    letter: Letter
    message: EmailMessage


class KeptMailer(Mailer):
    """Keeps the last thousand mails in `sent`, the oldest first. Messages are made as they are for a mail server."""

    def __init__(self, letters: Letters) -> None:
        self.sent: deque[KeptMail] = deque(maxlen=SENT_MAX)
        self._letters = letters

    async def send(self, sending: Sending) -> None:
        self.sent.append(KeptMail(sending.letter, self._letters.written(sending).message))
