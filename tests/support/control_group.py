"""A bound to the memory of a process, which the kernel keeps by ending it; only root can set one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(pid: int, max_bytes: int) -> Iterator[None]:
    """Let the process have so much more memory than it has, until it ends."""
    parent, limit = (
        (_ROOT / "memory", "memory.limit_in_bytes") if (_ROOT / "memory").is_dir() else (_ROOT, "memory.max")
    )
    if parent == _ROOT:
        (_ROOT / "cgroup.subtree_control").write_text("+memory")
    group = parent / f"signalbox-tests-{pid}"
    group.mkdir()
    try:
        (group / limit).write_text(str(max_bytes))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        group.rmdir()
