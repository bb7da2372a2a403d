"""What rooms bring to the assembly: their queues and messages with them."""

from functools import partial
from operator import attrgetter

from dependency_injector.providers import Object, Provider, Singleton

from adapters.memory import MemoryDeadlines
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
from adapters.postgres import PostgresDeadlines, tables
from adapters.postgres.rooms import (
    PostgresMessages,
    PostgresQueues,
    PostgresRoomQueries,
    PostgresRooms,
    PostgresRoomUpkeep,
)
from application.gauges import figure
from application.ports import Deadlines, Due, RoomQueries, RoomUpkeep
from application.ports.observer import Gauge
from application.ports.presence import Attended
from application.quotas import Quota
from application.reactions import name_of
from application.retention import Aging, Expiring
from application.rooms import (
    DRIFT,
    FIGURES,
    HAPPENINGS,
    NOTICES,
    POLICIES,
    ROOMS_PLAY,
    ROOMS_READ,
    ROOMS_WRITE,
    Chat,
    Entrance,
    Keeping,
    RollCall,
    RoomFeeds,
    RoomLeads,
    RoomQueues,
    RoomReports,
    Rooms,
    RoomSteps,
    closing,
    erasing,
    exported_messages,
    exported_rooms,
    leaving,
)
from domain.rooms import ROOM, Message, Queue, Room
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.rooms import room_routes
from entrypoints.lifetimes import Loop
from entrypoints.websocket.rooms import room_methods


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(rooms=PostgresRooms, queues=PostgresQueues, messages=PostgresMessages)
    house.figures.add_kwargs(
        rooms=tables.rooms, rooms_open=tables.open_rooms, room_participants=tables.present_participants
    )
    database = house.database
    return _with_rooms(
        house,
        Singleton(PostgresRoomQueries, database),
        Singleton(PostgresRoomUpkeep, database),
        Singleton(PostgresDeadlines, database, tables.rooms),
    )


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(rooms=MemoryRooms, queues=MemoryQueues, messages=MemoryMessages)
    house.figures.add_kwargs(rooms=ROOMS, rooms_open=Weighed(ROOMS, is_open), room_participants=Weighed(ROOMS, here))
    database = house.database
    return _with_rooms(
        house,
        Singleton(MemoryRoomQueries, database),
        Singleton(MemoryRoomUpkeep, database),
        Singleton(MemoryDeadlines, database, ROOMS, attrgetter("due_at")),
    )


def _with_rooms(
    house: Container, queries: Provider[RoomQueries], upkeep: Provider[RoomUpkeep], deadlines: Provider[Deadlines]
) -> Container:
    given, clock, ids, observer = house.settings.provided, house.clock, house.ids, house.observer
    keeping = Singleton(Keeping, house.guests, clock)
    steps = Singleton(RoomSteps, house.work, keeping, Singleton(RoomLeads, house.newest), clock, observer)
    limits, hasher, named = house.limits, house.hasher, Object(name_of)
    rooms = watched(
        observer,
        Rooms,
        steps,
        queries,
        named,
        hasher,
        house.secrets,
        house.presence,
        limits,
        observer,
        ids,
        given.max_participants_per_room,
        given.room_lifetime_seconds,
    )
    entrance = watched(observer, Entrance, steps, queries, named, hasher, limits, observer, ids)
    queues = watched(observer, RoomQueues, house.work, queries, clock, ids)
    chat = watched(observer, Chat, house.work, queries, house.journal, limits, clock, ids)
    reports = watched(observer, RoomReports, steps, queries, house.newest, limits, observer)
    house.set_providers(
        rooms=rooms,
        entrance=entrance,
        room_queues=queues,
        chat=chat,
        room_reports=reports,
        room_queries=queries,
        room_upkeep=upkeep,
    )
    house.aggregates.add_args(Room, Queue, Message)
    house.scopes.add_args(ROOMS_READ, ROOMS_PLAY, ROOMS_WRITE)
    house.policies.add_args(*POLICIES)
    house.happenings.add_args(*HAPPENINGS)
    house.measures.add_args(DRIFT)
    house.gauges.add_args(
        *(Singleton(Gauge, name, text, Singleton(partial, figure, house.store, name)) for name, text in FIGURES.items())
    )
    house.quotas.add_args(
        Singleton(Quota, "rooms", "account", given.quota_rooms),
        Singleton(Quota, "workspace_rooms", "workspace", given.quota_workspace_rooms),
    )
    house.exported.add_args(
        Singleton(exported_rooms, queries, False),
        Singleton(exported_rooms, queries, True),
        Singleton(exported_messages, queries),
    )
    house.consumers.add_args(
        Singleton(closing, keeping), Singleton(leaving, keeping), Singleton(erasing, keeping, upkeep)
    )
    house.notices.add_args(*NOTICES)
    house.attendances.add_args(Singleton(Attended, ROOM, rooms.provided.attended))
    house.feeds.add_args(Singleton(RoomFeeds, queries, house.newest, limits))
    house.calls.add_args(Singleton(room_methods, rooms, entrance, queues, chat, reports))
    house.due.add_args(Singleton(Due, "rooms", deadlines, rooms.provided.elapse))
    house.routes.add_args(Singleton(room_routes, rooms, entrance, queues, chat, reports))
    house.loops.add_args(Singleton(Loop, "rooms", "working", Singleton(RollCall, queries, rooms, clock).provided.run))
    house.retention.add_args(
        Singleton(Aging, "rooms", given.room_retention_days, upkeep.provided.forget, clock),
        Singleton(Expiring, "messages", upkeep.provided.forget_messages),
    )
    return house
