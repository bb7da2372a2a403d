"""The data directory: locks it for one process, removes folders, and makes file names durable."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from adapters.embedded.programs import DataDirectoryInUse

REMOVE_SECONDS = 3.0


def locked(path: Path) -> BinaryIO:
    """The file, locked until it is closed or this process ends in any way."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode() or "unknown"
        file.close()
        raise DataDirectoryInUse(
            f"Another Signalbox (pid {holder}) runs on {path.parent}: end it, or set another DATA_DIR and PORT."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def remove(folder: Path) -> None:
    """Delete a folder with its content. Gives up after 3 s."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        # An initdb that outlived its parent may go on adding files until it misses those that we deleted.
        shutil.rmtree(folder, ignore_errors=True)


def sync(folder: Path) -> None:
    """Make the names in the folder durable (fsync)."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
