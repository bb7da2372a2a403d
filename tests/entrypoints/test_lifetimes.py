"""Which loops run in which process."""

import asyncio

import pytest

from entrypoints.container import in_memory

SERVING = {"authentication", "hub", "presence", "connections"}
WORKING = {"retention"}


@pytest.mark.parametrize(
    ("serves", "works", "wanted"),
    [(True, True, SERVING | WORKING), (True, False, SERVING), (False, True, WORKING)],
)
async def test_what_serves_and_what_works_can_be_processes_of_their_own(
    serves: bool, works: bool, wanted: set[str]
) -> None:
    before = asyncio.all_tasks()

    def running() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() - before} & (SERVING | WORKING | {"broker", "heart"})

    async with in_memory().running()(serves=serves, works=works):
        # Either is watched, and what it publishes has to be carried.
        assert running() == wanted | {"broker", "heart"}
    assert running() == set()
