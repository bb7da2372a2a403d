"""What rooms bring to the assembly: their queues and messages with them."""

from dependency_injector.providers import Provider, Singleton

from adapters.memory.rooms import (
    ROOMS,
    MemoryMessages,
    MemoryQueues,
    MemoryRoomQueries,
    MemoryRooms,
    MemoryRoomUpkeep,
    here,
    is_open,
)
from adapters.memory.store import Weighed
from adapters.postgres import tables
from adapters.postgres.rooms import (
    PostgresMessages,
    PostgresQueues,
    PostgresRoomQueries,
    PostgresRooms,
    PostgresRoomUpkeep,
)
from application.ports import RoomQueries, RoomUpkeep
from application.quotas import Quota
from application.retention import Aging, Expiring
from domain.rooms import Message, Queue, Room
from entrypoints.container.table import Container


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(rooms=PostgresRooms, queues=PostgresQueues, messages=PostgresMessages)
    house.figures.add_kwargs(
        rooms=tables.rooms, rooms_open=tables.open_rooms, room_participants=tables.present_participants
    )
    return _with_rooms(
        house, Singleton(PostgresRoomQueries, house.database), Singleton(PostgresRoomUpkeep, house.database)
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(rooms=MemoryRooms, queues=MemoryQueues, messages=MemoryMessages)
    house.figures.add_kwargs(rooms=ROOMS, rooms_open=Weighed(ROOMS, is_open), room_participants=Weighed(ROOMS, here))
    return _with_rooms(house, Singleton(MemoryRoomQueries, house.database), Singleton(MemoryRoomUpkeep, house.database))


def _with_rooms(house: Container, queries: Provider[RoomQueries], upkeep: Provider[RoomUpkeep]) -> Container:
    given, clock = house.settings.provided, house.clock
    house.set_providers(room_queries=queries, room_upkeep=upkeep)
    house.aggregates.add_args(Room, Queue, Message)
    house.quotas.add_args(Singleton(Quota, "rooms", "account", given.quota_rooms))
    house.retention.add_args(
        Singleton(Aging, "rooms", given.room_retention_days, upkeep.provided.forget, clock),
        Singleton(Expiring, "messages", upkeep.provided.forget_messages),
    )
    return house
