"""What the machine grants this process, memory and disk, as far as it can run out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from domain.errors import Unavailable

# Of a disk; below, PostgreSQL soon cannot write any more, and at some point cannot even start.
SCARCE_PERCENT = 10
SPENT_PERCENT = 2

# Limit, use, and the part of `memory.stat` that the kernel takes back before it kills: in version 2 and in version 1.
_FILES = (
    ("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class Memory:
    """The memory of the control group that is nearest to its limit; without a limit, this process's of the machine's.

    What counts is what the kernel counts before it kills, so all that runs in the same container is in it. `root` is
    where `/proc` and `/sys` are.
    """

    def __init__(self, degraded_percent: int, unhealthy_percent: int, root: Path = Path("/")) -> None:
        self._degraded = degraded_percent
        self._unhealthy = unhealthy_percent
        self._root = root

    async def check(self) -> str | None:
        """None or, from the first threshold on, a remark; Unavailable from the second one on."""
        used, limit = self.measure()
        percent = 100 * used // limit
        remark = f"{percent} % of the memory is in use."
        if percent >= self._unhealthy:
            raise Unavailable(remark)
        return remark if percent >= self._degraded else None

    def measure(self) -> tuple[int, int]:
        """How many bytes are in use, and of how many."""
        machine = psutil.virtual_memory().total
        limited = [(used, limit) for used, limit in self._groups() if 0 < limit < machine]
        if limited:
            return max(limited, key=lambda group: group[0] / group[1])
        return psutil.Process().memory_info().rss, machine

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Use and limit of each group that this process is in, up to the root; a namespace may hide the lower ones."""
        for line in _text(self._root / "proc/self/cgroup").splitlines():
            _, controllers, name = line.split(":", 2)
            for controller, mount, limit_file, use_file, reclaimable in _FILES:
                if controller in controllers.split(","):
                    top = self._root / mount
                    group = top / name.strip("/")
                    for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(top))):
                        limit = _text(folder / limit_file)
                        if limit.isdecimal():  # and not `max`
                            stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
                            used = int(_text(folder / use_file) or 0) - int(stat.get(reclaimable, 0))
                            yield max(used, 0), int(limit)


class Disk:
    """The file system that a folder is on; well as long as there is no such folder."""

    def __init__(self, folder: Path, scarce_percent: int = SCARCE_PERCENT, spent_percent: int = SPENT_PERCENT) -> None:
        self._folder = folder
        self._scarce = scarce_percent
        self._spent = spent_percent

    async def check(self) -> str | None:
        """None or, below 10 % of free space, a remark; Unavailable below 2 %."""
        free, total = self.measure()
        if not total:
            return None
        percent = 100 * free // total
        remark = f"{percent} % of the disk is free."
        if percent < self._spent:
            raise Unavailable(remark)
        return remark if percent < self._scarce else None

    def measure(self) -> tuple[int, int]:
        """How many bytes are free, and of how many; 0 of 0 if there is no such folder."""
        if not self._folder.exists():
            return 0, 0
        usage = shutil.disk_usage(self._folder)
        return usage.free, usage.total


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
