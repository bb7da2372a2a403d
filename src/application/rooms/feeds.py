"""What can be followed of a room, and by whom: those who are in it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Raw, Struct

from application.limits import Limits
from application.ports.events import Signal
from application.ports.feeds import Asked, Feeds, Ground
from application.ports.newest import Newest
from application.ports.rooms import RoomQueries
from application.reading import Reader
from application.rooms.measures import REACTIONS_PER_PARTICIPANT
from application.rooms.reports import RoomReport
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId, RoomId
from domain.rooms import LOSSES, REACTIONS, ROOM, STATUS, Muted, room_stream
from domain.text import clean

EMOJI_MAX = 16


class Reaction(Struct, frozen=True, forbid_unknown_fields=True):
    """An emoji, which everybody in the room sees for a moment."""

    emoji: Annotated[str, Meta(min_length=1, max_length=EMOJI_MAX)]


_reaction: Reader[Reaction] = Reader(Reaction)


class RoomFeeds(Feeds):
    """`room:{id}`, and `status:`, `reactions:`, `presence:` and `typing:` of it, for those who are in the room."""

    kinds: Sequence[ChannelKind] = (ROOM, STATUS, REACTIONS)
    losses: Sequence[Loss] = LOSSES
    values: Mapping[ChannelKind, type] = {STATUS: RoomReport, REACTIONS: Reaction}
    scope = ROOMS_READ
    saying = ROOMS_PLAY

    def __init__(self, queries: RoomQueries, values: Newest, limits: Limits) -> None:
        self._queries = queries
        self._values = values
        self._limits = limits

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return _ground(place)

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        inside = await self._queries.participating({(place.id, account) for place, account in asked})
        return {(place, account): _ground(place) for place, account in asked if (place.id, account) in inside}

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The reports of the players, by account."""
        return await self._values.of(channels)

    async def said(self, account: AccountId, channel: Channel, word: Raw) -> None:
        """A reaction is an emoji, ten in five seconds at most, of somebody who is not muted."""
        if channel.kind is not REACTIONS:
            return
        clean(_reaction.part(bytes(word)).emoji, pointer="/emoji", longest=EMOJI_MAX, shortest=1)
        await self._limits.require(REACTIONS_PER_PARTICIPANT, f"{channel.place.id}:{account}")
        asked = (channel.place.id, account)
        if asked not in await self._queries.speaking({asked}):
            raise Muted("You are muted in this room.")


def _ground(place: Channel) -> Ground:
    return Ground(room_stream(RoomId(place.id)))
