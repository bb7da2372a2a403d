"""Letters: templates for text and HTML, filled in so that no value can become a header or markup."""

import re
from collections.abc import Collection
from contextlib import suppress
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from application.ports.mail import MailRefused, Sending

TEMPLATES = Path(__file__).parent / "templates"
SUBJECT_MAX = 150
# The longest line that mail servers have to take (RFC 5322).
LINE_MAX = 998
_SUBJECT = "Subject: "
# White space and control characters, also those that only some programs take for the end of a line.
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class _Whole(UnstructuredHeader):
    """A header that stays on one line however long it is: an address that was cut in pieces leads nowhere."""

    name: str

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", cast(Any, _Whole))
# Seven bits, so that every server takes it.
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_HEADERS)
_INTERNATIONAL = _POLICY.clone(utf8=True)


class _Parts(NamedTuple):
    """The compiled templates of one letter."""

    subject: Any
    text: Any
    html: Any


class Letters:
    """Makes messages of letters.

    A letter has two templates of Jinja2: `<name>.txt`, which begins with a line `Subject: …`, and `<name>.html`. A
    variable that has no value is an error. Every value is one line: what breaks lines in it becomes a space. In HTML,
    values are escaped. Templates also know `public_url`, where people reach the server.
    """

    def __init__(self, sender: str, public_url: str, folder: Path = TEMPLATES) -> None:
        self._sender = sender
        self._public_url = public_url
        self.folder = folder
        self._parts = cache(self._compiled)

    def message(self, sending: Sending) -> EmailMessage:
        """The message, with a `Message-ID` that is the same in each attempt.

        MailRefused if mail cannot be sent to such an address. KeyError for a letter without templates.
        """
        letter = sending.letter
        parts, values = self._parts(letter.name), letter.data
        to = _recipient(letter.to)
        message = EmailMessage(_POLICY if letter.to.isascii() else _INTERNATIONAL)
        message["Message-ID"] = f"<{sending.id}@{_host(self._sender)}>"
        message["Date"] = sending.written_at
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = _line(parts.subject.render(values))[:SUBJECT_MAX]
        message["Auto-Submitted"] = "auto-generated"
        if letter.unsubscribe is not None:
            message["List-Unsubscribe"] = f"<{_BREAKS.sub('', letter.unsubscribe)}>"
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
            raise KeyError(name)
        first, _, rest = (self.folder / f"{name}.txt").read_text().partition("\n")
        if not first.startswith(_SUBJECT):
            raise ValueError(f"{name}.txt does not begin with a subject")
        return _Parts(
            made.from_string(first.removeprefix(_SUBJECT)), made.from_string(rest), made.get_template(f"{name}.html")
        )


def _recipient(address: str) -> Address:
    """An address without a name, so that nobody reads there what somebody chose. Its host is in ASCII."""
    local, _, host = address.rpartition("@")
    # The way back from `domain.text.email_address`. The codec `idna` would make strasse.example of straße.example.
    labels = (label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in host.split("."))
    with suppress(ValueError):
        if local and host:
            return Address(username=local, domain=".".join(labels))
    raise MailRefused("No mail can be sent to such an address.", for_good=True)


def _encoding(text: str) -> str | None:
    """Leave text as it is if a server takes it, so that a link in a file can be copied; None: what Python chooses."""
    is_plain = text.isascii() and all(len(line) <= LINE_MAX for line in text.splitlines())
    return "7bit" if is_plain else None


def _host(sender: str) -> str:
    return sender.rpartition("@")[2].strip("> ")


def _line_of(value: object) -> object:
    return _line(value) if type(value) is str else value


def _line(text: str) -> str:
    return _BREAKS.sub(" ", text).strip()
