"""Rooms, their queues and messages in PostgreSQL."""

from adapters.postgres.rooms.queries import PostgresRoomQueries
from adapters.postgres.rooms.repository import PostgresMessages, PostgresQueues, PostgresRooms
from adapters.postgres.rooms.upkeep import PostgresRoomUpkeep

__all__ = ["PostgresMessages", "PostgresQueues", "PostgresRoomQueries", "PostgresRoomUpkeep", "PostgresRooms"]
