"""A folder in place of a mail server, so that an installation without one works too."""

import asyncio
import os
from pathlib import Path

from adapters.mail.letters import Letters
from application.ports.mail import Mailer, MailRefused, Sending
from domain.errors import Unavailable

# Older files are removed, because nobody else does.
FILES_MAX = 1_000


class FolderMailer(Mailer):
    """Writes each mail to a file `<time> <letter> <id>.eml`, which any mail program opens.

    Only its owner may read it, because it may hold links that let somebody in. The newest thousand are kept.
    """

    def __init__(self, folder: Path, letters: Letters) -> None:
        self.folder = folder
        self._letters = letters

    async def send(self, sending: Sending) -> None:
        content = self._letters.written(sending).content
        name = f"{sending.written_at:%Y%m%dT%H%M%SZ}-{sending.letter.name}-{sending.id}.eml"
        try:
            await asyncio.to_thread(self._write, name, content)
        except OSError as problem:
            raise MailRefused(f"{self.folder}: {problem.strerror}", for_good=False) from problem

    async def check(self) -> str | None:
        """A remark that nobody gets these mails; Unavailable if nothing can be written there."""
        folder = self.folder.absolute()
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise Unavailable(f"Without SMTP_URL mails are files in {folder}, where nothing can be written.")
        return f"Without SMTP_URL mails are files in {folder}, and reach nobody."

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / name
        # Under another name first, so that nobody opens half a mail.
        begun = path.with_suffix(".part")
        begun.touch(mode=0o600)
        begun.write_bytes(content)
        begun.replace(path)
        for old in sorted(self.folder.glob("*.eml"))[:-FILES_MAX]:
            old.unlink(missing_ok=True)
