"""Memory is measured as the kernel does before it kills, whichever control groups there are, and a disk is watched."""

from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from adapters.machine import Disk, Memory
from domain.errors import Unavailable

MIB = 1024 * 1024


def machine(root: Path, groups: str, files: Mapping[str, object]) -> Path:
    """A `/proc` and `/sys` in which this process is in these groups."""
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def version_2(root: Path, used: int, limit: object = 100 * MIB, reclaimable: int = 0) -> Path:
    return machine(
        root,
        "0::/",
        {
            "sys/fs/cgroup/memory.max": limit,
            "sys/fs/cgroup/memory.current": used,
            "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {reclaimable}\nactive_file 2",
        },
    )


def test_the_limit_of_a_container_counts_in_version_2(tmp_path: Path) -> None:
    assert Memory(80, 95, version_2(tmp_path, 30 * MIB)).measure() == (30 * MIB, 100 * MIB)


def test_what_the_kernel_takes_back_first_does_not_count(tmp_path: Path) -> None:
    assert Memory(80, 95, version_2(tmp_path, 99 * MIB, reclaimable=60 * MIB)).measure()[0] == 39 * MIB


def test_the_limit_of_a_container_counts_in_version_1(tmp_path: Path) -> None:
    # Inside of a container the path is that of the host, and only the container's own folder is there.
    root = machine(
        tmp_path,
        "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 200 * MIB,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": 150 * MIB,
            "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {50 * MIB}",
        },
    )
    assert Memory(80, 95, root).measure() == (100 * MIB, 200 * MIB)


def test_of_nested_groups_the_one_nearest_to_its_limit_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "0::/shop/web",
        {
            "sys/fs/cgroup/memory.max": "max",
            "sys/fs/cgroup/shop/memory.max": 100 * MIB,
            "sys/fs/cgroup/shop/memory.current": 90 * MIB,
            "sys/fs/cgroup/shop/web/memory.max": 80 * MIB,
            "sys/fs/cgroup/shop/web/memory.current": 40 * MIB,
        },
    )
    assert Memory(80, 95, root).measure() == (90 * MIB, 100 * MIB)


@pytest.mark.parametrize("limit", ["max", 2**63 - 4096])
def test_without_a_limit_it_is_this_process_on_this_machine(tmp_path: Path, limit: object) -> None:
    used, total = Memory(80, 95, version_2(tmp_path, 30 * MIB, limit)).measure()
    assert total == psutil.virtual_memory().total
    assert 10 * MIB < used < total


def test_this_very_process_can_be_measured() -> None:
    used, limit = Memory(80, 95).measure()
    assert 0 < used < limit


async def test_the_thresholds_are_where_they_are_set(tmp_path: Path) -> None:
    async def checked(percent: int) -> str | None:
        return await Memory(80, 95, version_2(tmp_path, percent * MIB)).check()

    assert await checked(79) is None
    assert await checked(80) == "80 % of the memory is in use."
    assert await checked(94)
    with pytest.raises(Unavailable, match="95 % of the memory"):
        await checked(95)


async def test_a_disk_says_when_it_is_nearly_full_and_fails_before_it_is(tmp_path: Path) -> None:
    assert await Disk(tmp_path, scarce_percent=0, spent_percent=0).check() is None
    remark = await Disk(tmp_path, scarce_percent=101, spent_percent=0).check()
    assert remark is not None
    assert remark.endswith(" % of the disk is free.")
    with pytest.raises(Unavailable, match="of the disk is free"):
        await Disk(tmp_path, scarce_percent=101, spent_percent=101).check()


async def test_a_folder_that_is_not_there_needs_no_room(tmp_path: Path) -> None:
    assert await Disk(tmp_path / "nowhere", scarce_percent=101, spent_percent=101).check() is None
