"""PostgreSQL refuses to run as root. So another user runs the server for root, and gets access to its files."""

import logging
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from adapters.embedded.programs import EmbeddedPostgresError

# Users that may run PostgreSQL in place of root. The first that exists is taken.
_STAND_INS = ("postgres", "nobody")

log = logging.getLogger(__name__)


def stand_in() -> tuple[int, int]:
    """The ids of the user and group that run the server in place of root. EmbeddedPostgresError without such a user."""
    for name in _STAND_INS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(_STAND_INS)} exists: run as another user."
    )


def make_passable(paths: Iterable[Path]) -> None:
    """Let all users pass through the folders above these paths (o+x)."""
    for folder in {folder for path in paths for spelling in (path, path.resolve()) for folder in spelling.parents}:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            log.warning("making %s passable (o+x) for PostgreSQL, which cannot run as root", folder)
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def make_readable(root: Path) -> None:
    """Let all users read the files below `root`, and run those that their owner may run."""
    for path in (root, *root.rglob("*")) if root.exists() else ():
        mode = path.stat().st_mode
        path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
