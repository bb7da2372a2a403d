"""Letters: templates for text and HTML, filled in so that no value can become a header or markup."""

import logging
import re
from collections.abc import Collection
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from application.ports.mail import MailRefused, Sending, UnknownLetter
from domain.text import UNSEEN, host_in_ascii, is_mailable

TEMPLATES = Path(__file__).parent / "templates"
SUBJECT_MAX = 150
# The longest line that mail servers have to take (RFC 5322).
LINE_MAX = 998
_SUBJECT = "Subject: "
# White space and control characters, also those that only some programs take for the end of a line.
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

log = logging.getLogger(__name__)


# Seven bits, so that every server takes it.
_POLICY = SMTP.clone(cte_type="7bit")
_INTERNATIONAL = _POLICY.clone(utf8=True)


class Written(NamedTuple):
    """A letter as it leaves: the addresses of its envelope, the message, and the bytes of that."""

    sender: str
    to: str
    message: EmailMessage
    content: bytes


class _Verbatim(str):
    """The value of a header that is text. Python would read it as a header is, and decode `=?utf-8?q?…?=` in it.

    What is not plain is encoded whole. What is plain stays on one line however long it is: an address that was cut in
    pieces leads nowhere.
    """

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, value: str) -> Self:
        self = super().__new__(cls, value)
        self.name = name
        return self

    def fold(self, *, policy: EmailPolicy) -> str:
        is_plain = (policy.utf8 or self.isascii()) and "=?" not in self
        value = self if is_plain else Header(self, "utf-8", header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {value}{policy.linesep}"


class _Parts(NamedTuple):
    """The compiled templates of one letter."""

    subject: Any
    text: Any
    html: Any


class Letters:
    """Makes messages of letters.

    A letter has two templates of Jinja2: `<name>.txt`, which begins with a line `Subject: …`, and `<name>.html`. A
    variable that has no value is an error, so a template gives a default to what older releases did not write. Every
    value is one line: what breaks lines in it becomes a space, and what turns or hides its neighbours is left out. In
    HTML, values are escaped. Templates also know `public_url`, where people reach the server.
    """

    def __init__(self, sender: str, public_url: str, folder: Path = TEMPLATES) -> None:
        self._sender = sender
        self._public_url = public_url
        self.folder = folder
        self._parts = cache(self._compiled)

    def written(self, sending: Sending) -> Written:
        """The message, with a `Message-ID` that is the same in each attempt.

        UnknownLetter if it has no templates. MailRefused for good if mail cannot be sent to such an address, or the
        letter cannot be made.
        """
        parts, to = self._parts(sending.letter.name), _recipient(sending.letter.to)
        try:
            message = self._message(sending, parts, to)
            return Written(message["From"].addresses[0].addr_spec, to, message, message.as_bytes())
        except Exception as defect:
            log.exception("the letter %s cannot be made", sending.letter.name)
            raise MailRefused(f"The letter cannot be made: {type(defect).__name__}.", for_good=True) from defect

    def _message(self, sending: Sending, parts: _Parts, to: str) -> EmailMessage:
        letter, values = sending.letter, sending.letter.data
        message = EmailMessage(_POLICY if to.isascii() else _INTERNATIONAL)
        message["Message-ID"] = f"<{sending.id}@{_host(self._sender)}>"
        message["Date"] = sending.written_at
        message["From"] = self._sender
        message["To"] = _Verbatim("To", to)
        message["Subject"] = _Verbatim("Subject", _line(_line(parts.subject.render(values))[:SUBJECT_MAX]))
        message["Auto-Submitted"] = "auto-generated"
        if letter.unsubscribe is not None:
            url = _line(letter.unsubscribe).replace(" ", "")
            message["List-Unsubscribe"] = _Verbatim("List-Unsubscribe", f"<{url}>")
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        text = f"{parts.text.render(values).strip()}\n\n-- \nSignalbox, {self._public_url}\n"
        message.set_content(text, cte=_encoding(text))
        message.add_alternative(parts.html.render(values), subtype="html")
        return message

    def names(self) -> Collection[str]:
        """The letters that there are."""
        return {path.stem for path in self.folder.glob("*.txt")}

    def check(self, name: str) -> None:
        """Raises what is wrong with the templates of a letter, if something is."""
        self._parts(name)

    def _compiled(self, name: str) -> _Parts:
        # Imported late: it takes 4 MiB, and most processes send no mail.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # noqa: PLC0415

        made = Environment(
            loader=FileSystemLoader(self.folder),
            autoescape=select_autoescape(["html"], default_for_string=False),
            undefined=StrictUndefined,
            finalize=_line_of,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.globals["public_url"] = self._public_url
        if name not in self.names():
            raise UnknownLetter(name)
        first, _, rest = (self.folder / f"{name}.txt").read_text().partition("\n")
        if not first.startswith(_SUBJECT):
            raise ValueError(f"{name}.txt does not begin with a subject")
        return _Parts(
            made.from_string(first.removeprefix(_SUBJECT)), made.from_string(rest), made.get_template(f"{name}.html")
        )


def _recipient(address: str) -> str:
    """An address without a name, so that nobody reads there what somebody chose. Its host is in ASCII."""
    if not is_mailable(address):
        raise MailRefused("No mail can be sent to such an address.", for_good=True)
    local, _, host = address.rpartition("@")
    return f"{local}@{host_in_ascii(host)}"


def _encoding(text: str) -> str | None:
    """Leave text as it is if a server takes it, so that a link in a file can be copied; None: what Python chooses."""
    is_plain = text.isascii() and all(len(line) <= LINE_MAX for line in text.splitlines())
    return "7bit" if is_plain else None


def _host(sender: str) -> str:
    return sender.rpartition("@")[2].strip("> ")


def _line_of(value: object) -> object:
    return _line(value) if type(value) is str else value


def _line(text: str) -> str:
    return _BREAKS.sub(" ", _SURROGATE.sub("\ufffd", UNSEEN.sub("", text))).strip()
