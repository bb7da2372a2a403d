"""Drafts a revision from the differences between tables and migrations: `make migration name="…"`."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from adapters.embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[1]


def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder), durable=False)
        config = Config(toml_file=ROOT / "pyproject.toml")
        config.attributes["url"] = postgres.start()
        try:
            command.upgrade(config, "head")
            command.revision(config, name, autogenerate=True)
        finally:
            postgres.stop()


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
