"""Checks memory and disk, which a process can run out of."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from domain.errors import Unavailable

# Free space of a disk. With less, PostgreSQL soon cannot write, and later cannot even start.
SCARCE_PERCENT = 10
SPENT_PERCENT = 2

# For cgroup versions 2 and 1: the files of limit and use, and the field of `memory.stat` with the reclaimable memory.
_FILES = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class Memory:
    """The memory of the control group that is nearest to its limit. Without a limit, that of this process.

    It counts as the kernel does before it kills, so it includes all processes of the same container. `root` is the
    folder of `/proc` and `/sys`.
    """

    def __init__(self, degraded_percent: int, unhealthy_percent: int, root: Path = Path("/")) -> None:
        self._degraded = degraded_percent
        self._unhealthy = unhealthy_percent
        self._root = root

    async def check(self) -> str | None:
        """None, or a remark from the `degraded_percent` on. Unavailable from the `unhealthy_percent` on."""
        used, limit = self.measure()
        percent = 100 * used // limit
        remark = f"{percent} % of the memory is in use."
        if percent >= self._unhealthy:
            raise Unavailable(remark)
        return remark if percent >= self._degraded else None

    def measure(self) -> tuple[int, int]:
        """The bytes in use, and the limit in bytes."""
        machine = psutil.virtual_memory().total
        limited = [(used, limit) for used, limit in self._groups() if 0 < limit < machine]
        if limited:
            return max(limited, key=lambda group: group[0] / group[1])
        return psutil.Process().memory_info().rss, machine

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Use and limit of each group of this process, up to the root. A namespace may hide the lower groups."""
        for line in _text(self._root / "proc/self/cgroup").splitlines():
            _, controllers, name = line.split(":", 2)
            for controller, mount, limit_file, use_file, reclaimable in _FILES:
                if controller in controllers.split(","):
                    top = self._root / mount
                    group = top / name.strip("/")
                    for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(top))):
                        limit = _text(folder / limit_file)
                        if limit.isdecimal():  # `max` means no limit
                            stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
                            used = int(_text(folder / use_file) or 0) - int(stat.get(reclaimable, 0))
                            yield max(used, 0), int(limit)


class Disk:
    """The file system of a folder. It is well if there is no such folder."""

    def __init__(self, folder: Path, scarce_percent: int = SCARCE_PERCENT, spent_percent: int = SPENT_PERCENT) -> None:
        self._folder = folder
        self._scarce = scarce_percent
        self._spent = spent_percent

    async def check(self) -> str | None:
        """None, or a remark below 10 % of free space. Unavailable below 2 %."""
        free, total = self.measure()
        if not total:
            return None
        percent = 100 * free // total
        remark = f"{percent} % of the disk is free."
        if percent < self._spent:
            raise Unavailable(remark)
        return remark if percent < self._scarce else None

    def measure(self) -> tuple[int, int]:
        """The free bytes and all bytes of the file system; both 0 if there is no such folder."""
        if not self._folder.exists():
            return 0, 0
        usage = shutil.disk_usage(self._folder)
        return usage.free, usage.total


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
