"""Serves an installation that has notes: `python -m tests.architecture.notes`, with the settings of any other."""

import os

from entrypoints.container import assembled
from entrypoints.server import serve
from entrypoints.settings import Settings
from tests.architecture.notes.assembly import on_postgres

if __name__ == "__main__":
    serve(on_postgres(assembled(Settings.read(os.environ))))
