"""What `StoreQueries` promises: figures that are right as long as there is little, and near when there is much."""

import asyncpg
import pytest

from adapters.postgres.store import COUNTED_MAX
from domain.channels import account_stream, workspace_stream
from domain.ids import WorkspaceId
from tests.contracts.house import House
from tests.support.builders import a_comment, a_room, a_task, a_team, an_account


async def test_what_there_is_is_counted(house: House) -> None:
    assert set((await house.store.stored()).values()) == {0}
    ada, bob = await an_account(house), await an_account(house, "Bob")
    team = await a_team(house, ada.id)
    task = await a_task(house, team.id, ada.id)
    await a_comment(house, task.id, ada.id)
    found = await house.store.stored()
    assert {"accounts": 2, "workspaces": 3, "tasks": 1, "comments": 1}.items() <= found.items()
    streams = [account_stream(ada.id), account_stream(bob.id)]
    streams += [workspace_stream(id) for id in (WorkspaceId(ada.id), WorkspaceId(bob.id), team.id)]
    heads = await house.journal.heads(streams)
    assert found["events"] == sum(heads.values())
    assert found["streams"] == sum(head > 0 for head in heads.values())


async def test_rooms_are_counted_and_those_that_are_open_with_who_is_in_them(house: House) -> None:
    ada, bob = await an_account(house), await an_account(house, "Bob")
    for closed in (False, False, True):
        room = await a_room(house, ada.id, bob.id)
        if closed:
            async with house.work() as work:
                there = await work.rooms.get(room.id)
                there.close(ada.id, house.clock.now())
                work.rooms.save(there)
    found = await house.store.stored()
    assert [found[name] for name in ("rooms", "rooms_open", "room_participants")] == [3, 2, 4]
    assert {name: await house.store.figure(name) for name in found} == found
    with pytest.raises(KeyError):
        await house.store.figure("unheard_of")


async def test_connections_are_never_more_than_there_may_be(house: House) -> None:
    await house.store.stored()
    pool = house.store.pool()
    assert 0 <= pool.idle <= pool.open <= pool.most


async def test_beyond_what_is_counted_the_figure_is_near(postgres_and_redis_house: House, database_url: str) -> None:
    many = 3 * COUNTED_MAX
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO streams SELECT 'many:' || n, 0 FROM generate_series(1, $1::int) n", many)
        await connection.execute("ANALYZE streams")
    finally:
        await connection.close()

    found = await postgres_and_redis_house.store.stored()
    assert abs(found["streams"] - many) <= many / 10
