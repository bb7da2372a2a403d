"""What rooms bring to the assembly."""

from domain.rooms import Message, Queue, Room
from entrypoints.container.table import Container


def _with_rooms(house: Container) -> Container:
    house.aggregates.add_args(Room, Queue, Message)
    return house


on_postgres = in_memory = _with_rooms
