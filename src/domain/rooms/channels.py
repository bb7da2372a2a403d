"""The channels of a room, the stream of its events, and what ends the right to follow them."""

from domain.channels import About, ChannelClass, ChannelKind, Loss, by_id
from domain.ids import RoomId

ROOM = ChannelKind("room", ChannelClass.DURABLE, by_id, is_place=True)
STATUS = ChannelKind("status", ChannelClass.KEYED, About(ROOM))
REACTIONS = ChannelKind("reactions", ChannelClass.EPHEMERAL, About(ROOM))
LOSSES = (
    Loss("participant.left", "account_id"),
    Loss("participant.removed", "account_id"),
    Loss("room.closed"),
    Loss("room.expired"),
)


def room_stream(id: RoomId) -> str:
    return f"room:{id}"
