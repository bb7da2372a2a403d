"""Mail: letters made from templates, and where they go."""

from adapters.mail.folder import FolderMailer
from adapters.mail.kept import KeptMailer
from adapters.mail.letters import Letters
from adapters.mail.smtp import SmtpMailer

__all__ = ["FolderMailer", "KeptMailer", "Letters", "SmtpMailer"]
