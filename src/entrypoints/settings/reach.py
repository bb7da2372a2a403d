"""Settings of what leaves the house."""

from typing import Annotated, Literal

from entrypoints import addresses
from entrypoints.settings.setting import Setting, choice, mail_server, page, without_password
from entrypoints.settings.trust import Trust


class Reach(Trust, frozen=True, kw_only=True):
    """Where people find this installation, and how it writes to them."""

    public_url: Annotated[
        str,
        Setting(
            "Where people reach this server, and where the links in mails lead; by default the platform's address, or "
            "this machine's.",
            page,
        ),
    ] = "http://127.0.0.1:8000"
    smtp_url: Annotated[
        str,
        Setting(
            "The mail server: `smtp://user:password@host:587` (with STARTTLS) or `smtps://…:465`; empty: mails are "
            "files under DATA_DIR/mail.",
            mail_server,
            show=without_password,
        ),
    ] = ""
    mail_from: Annotated[str, Setting("The sender of mails.", addresses.mailbox)] = "Signalbox <signalbox@localhost>"
    email_verification: Annotated[
        Literal["off", "on", "required"],
        Setting(
            "Whether a new account gets a link to verify its address (`on`), and nobody signs in before that was used "
            "(`required`).",
            choice("off", "on", "required"),
        ),
    ] = "off"
