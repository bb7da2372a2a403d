"""A mail server in the test process, which can be told to behave badly."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
Step = Literal["connect", "sender", "recipient", "content"]


class MailServer:
    """Collects what it accepts in `taken`.

    `at` says what it does instead at a step: it answers with a line, or `hang`, or `cut` the connection off, or takes
    the content and then does that (`cut afterwards`).
    """

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.at: dict[Step, str] = {}
        self.connections = 0
        self.signed_in: list[str] = []
        self.encrypted: list[bool] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"smtp://{HOST}:{self.port}"

    async def handle_MAIL(  # noqa: N802  # as the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._behave(server, "sender") or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := await self._behave(server, "recipient"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.at.get("content") != "cut afterwards" and (answer := await self._behave(server, "content")):
            return answer
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        self.taken.append(message_from_bytes(content, policy=default))
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        self.encrypted.append(_transport(server).get_extra_info("sslcontext") is not None)
        await self._behave(server, "content")
        return "250 OK"

    async def _behave(self, server: SMTP, step: Step) -> str:
        behaviour = self.at.get(step, "")
        if behaviour == "hang":
            await asyncio.Event().wait()
        if behaviour.startswith("cut"):
            _transport(server).abort()
            await asyncio.sleep(0)
            return "451 nobody reads this"
        return behaviour

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, way: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        is_right = (data.login, data.password) == (b"ada@example.org", b"p@ss:w/rd")
        if is_right:
            self.signed_in.append(data.login.decode())
        return AuthResult(success=is_right, handled=False, message=None if is_right else "535 5.7.8 no")


@asynccontextmanager
async def mail_server(
    context: ssl.SSLContext | None = None, *, wants_password: bool = False, is_smtps: bool = False
) -> AsyncIterator[MailServer]:
    """A server on a free port. With a `context` it offers STARTTLS, or with `is_smtps` begins with TLS."""
    server, loop = MailServer(), asyncio.get_running_loop()
    transports: list[Any] = []

    class Connection(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            if transport not in transports:
                transports.append(transport)
                server.connections += 1
            super().connection_made(transport)

    class Silent(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)

    def connection() -> asyncio.Protocol:
        if server.at.get("connect") == "hang":
            return Silent()
        return Connection(
            server,
            hostname="mail.example.org",
            enable_SMTPUTF8=True,
            loop=loop,
            tls_context=None if is_smtps else context,
            authenticator=server.authenticate if wants_password else None,
            auth_required=wants_password and not is_smtps,
            auth_require_tls=not is_smtps,
        )

    listening = await loop.create_server(connection, HOST, 0, ssl=context if is_smtps else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.01)  # until they are closed


def _transport(server: SMTP) -> asyncio.Transport:
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server on 127.0.0.1, and of a client that trusts it and nobody else."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail server of the tests")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail-server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path)
    return serving, ssl.create_default_context(cafile=str(path))
