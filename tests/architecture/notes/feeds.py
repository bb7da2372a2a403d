"""What can be followed of a note, and by whom: participants, in place of members."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import Raw

from application.ports.events import Signal
from application.ports.feeds import Asked, Feeds, Ground
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId
from tests.architecture.notes.domain import LOSSES, NOTE, STATUS, WAVES, note_stream
from tests.architecture.notes.ports import NoteQueries
from tests.architecture.notes.scopes import NOTES_READ


class NoteFeeds(Feeds):
    """`note:{id}`, and `status:`, `waves:`, `presence:` and `typing:` of it, for those who take part."""

    kinds: Sequence[ChannelKind] = (NOTE, STATUS, WAVES)
    losses: Sequence[Loss] = LOSSES
    scope = NOTES_READ

    def __init__(self, queries: NoteQueries) -> None:
        self._queries = queries

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(note_stream(place.id))

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        taking_part = await self._queries.participating({(place.id, account) for place, account in asked})
        return {
            (place, account): Ground(note_stream(place.id))
            for place, account in asked
            if (place.id, account) in taking_part
        }

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The status of a note: how many words there are, since this version of it."""
        texts = await self._queries.texts({channel.place.id for channel in channels})
        return [
            Signal(str(channel), "words", version, Raw(msgspec.json.encode(len(text.split()))))
            for channel in channels
            for version, text in [texts.get(channel.place.id, (0, ""))]
            if version
        ]
