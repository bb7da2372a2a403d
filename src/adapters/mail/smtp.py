"""Mail over SMTP."""

import asyncio
import re
import ssl
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from adapters.breaker import Breaker
from adapters.mail.letters import Letters
from application.ports.mail import Mailer, MailRefused, Sending
from domain.errors import Unavailable

PORTS = {"smtp": 587, "smtps": 465}
# For connecting, with TLS and signing in, and for everything together.
CONNECT_SECONDS = 10.0
SEND_SECONDS = 28.0
QUIT_SECONDS = 1.0


class SmtpServer(NamedTuple):
    """Where a mail server listens, whether TLS begins with the connection, and as whom to sign in (empty: nobody)."""

    host: str
    port: int
    is_encrypted: bool
    user: str
    password: str

    @classmethod
    def at(cls, url: str) -> "SmtpServer":
        """The server at an address like `smtp://user:password@host:587` or `smtps://user:password@host:465`."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.hostname or "", port, parts.scheme == "smtps", user, password)


class SmtpMailer(Mailer):
    """Sends each mail over a connection of its own.

    With `smtp://` the connection is encrypted (STARTTLS) if the server offers that. With a password it has to be,
    unless the server is this machine. Certificates are verified. `name` is what we call ourselves.

    A refusal is for good if the server answers the address or the content with 5xx. A refusal of our sender or password
    concerns all mails and can be mended, so it is for now, as everything else is.
    """

    def __init__(
        self,
        url: str,
        name: str,
        letters: Letters,
        trusted: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self.breaker = Breaker("mail waits, because the mail server cannot be used", "the mail server works again")
        self._server = SmtpServer.at(url)
        self._name = _literal(name)
        self._letters = letters
        self._trusted = trusted
        self._connect_seconds = connect_seconds
        self._send_seconds = send_seconds

    async def send(self, sending: Sending) -> None:
        written = self._letters.written(sending)
        if self.breaker.state == "open":
            raise MailRefused("The mail server could not be used a moment ago.", for_good=False)
        # Imported late: it takes 2 MiB, and most processes send no mail.
        from aiosmtplib import (  # noqa: PLC0415
            SMTPDataError,
            SMTPException,
            SMTPNotSupported,
            SMTPRecipientsRefused,
            SMTPSenderRefused,
        )

        to = written.to
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._deliver(written.sender, to, written.content)
        except SMTPRecipientsRefused as refused:
            (first,) = refused.recipients
            raise self._answered(first.code, first.message, to) from refused
        except SMTPDataError as refused:
            raise self._answered(refused.code, refused.message, to) from refused
        except SMTPSenderRefused as refused:
            self.breaker.succeed()
            raise MailRefused(f"MAIL_FROM: {refused.code} {refused.message}", for_good=False) from refused
        except SMTPNotSupported as refused:
            self.breaker.succeed()
            raise MailRefused("The mail server takes no address like this one (SMTPUTF8).", for_good=True) from refused
        except (SMTPException, OSError, TimeoutError) as problem:
            reason = _reason(problem)
            self.breaker.fail(reason)
            raise MailRefused(reason, for_good=False) from problem
        self.breaker.succeed()

    async def check(self) -> str | None:
        """Return if the server can be used, with a remark if passers-by can read the mail; Unavailable otherwise."""
        from aiosmtplib import SMTPException  # noqa: PLC0415

        client = self._client()
        try:
            async with asyncio.timeout(self._connect_seconds):
                await client.connect()
                is_open = client.get_transport_info("sslcontext") is None
                await client.quit()
        except (SMTPException, OSError, TimeoutError) as problem:
            raise Unavailable(_reason(problem)) from problem
        finally:
            client.close()
        return "The connection is not encrypted." if is_open and not self._is_near else None

    async def _deliver(self, sender: str, to: str, content: bytes) -> None:
        client = self._client()
        try:
            await client.connect()
            options = [] if to.isascii() else ["SMTPUTF8"]
            await client.sendmail(sender, [to], content, mail_options=options, timeout=self._send_seconds)
            # The server has it. How it says goodbye does not matter.
            with suppress(Exception):
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()

    def _client(self) -> Any:
        from aiosmtplib import SMTP  # noqa: PLC0415

        host, port, is_encrypted, user, password = self._server
        must_be_encrypted = bool(user) and not is_encrypted and not self._is_near
        return SMTP(
            hostname=host,
            port=port,
            username=user or None,
            password=password or None,
            local_hostname=self._name,
            timeout=self._connect_seconds,
            use_tls=is_encrypted,
            start_tls=False if is_encrypted else (True if must_be_encrypted else None),
            tls_context=self._context,
        )

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._trusted or ssl.create_default_context()

    @property
    def _is_near(self) -> bool:
        """Whether the server is this machine, so that nobody can listen in between."""
        try:
            return ip_address(self._server.host).is_loopback
        except ValueError:
            return self._server.host == "localhost"

    def _answered(self, code: int, text: str, to: str) -> MailRefused:
        """What a server says about one mail. The address is left out, because this is kept."""
        self.breaker.succeed()
        shown = re.sub(rf"{re.escape(to)}|\b{re.escape(to.rpartition('@')[0])}\b", "…", text, flags=re.IGNORECASE)
        return MailRefused(f"{code} {shown}", for_good=code >= 500)


def _literal(name: str) -> str:
    """A host as SMTP writes it: an IP address in brackets."""
    try:
        address = ip_address(name)
    except ValueError:
        return name
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def _reason(problem: Exception) -> str:
    return str(problem) or ("It takes too long." if isinstance(problem, TimeoutError) else type(problem).__name__)
