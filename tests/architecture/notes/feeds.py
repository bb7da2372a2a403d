"""What can be followed of a note, and by whom: participants, in place of members."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec import Raw

from application.limits import Limits
from application.ports.events import Signal
from application.ports.feeds import Asked, Feeds, Ground
from application.ports.newest import Newest
from application.reading import Reader
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId
from tests.architecture.notes.domain import CURSORS, LOSSES, NOTE, PULSE, WAVES, note_stream
from tests.architecture.notes.measures import WAVES_PER_ACCOUNT
from tests.architecture.notes.ports import NoteQueries
from tests.architecture.notes.scopes import NOTES_READ, NOTES_WRITE
from tests.architecture.notes.use_cases import Cursor, Wave

_wave: Reader[Wave] = Reader(Wave)


class NoteFeeds(Feeds):
    """`note:{id}`, and `pulse:`, `cursors:`, `waves:`, `presence:` and `typing:` of it, for those who take part."""

    kinds: Sequence[ChannelKind] = (NOTE, PULSE, CURSORS, WAVES)
    losses: Sequence[Loss] = LOSSES
    values: Mapping[ChannelKind, type] = {CURSORS: Cursor, WAVES: Wave}
    scope = NOTES_READ
    saying = NOTES_WRITE

    def __init__(self, queries: NoteQueries, values: Newest, limits: Limits) -> None:
        self._queries = queries
        self._values = values
        self._limits = limits

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
        """The pulse of a note: how many words there are, since this version of it. Its cursors are in no table."""
        cursors = await self._values.of([channel for channel in channels if channel.kind is CURSORS])
        counted = {channel.place.id: channel for channel in channels if channel.kind is PULSE}
        texts = await self._queries.texts(counted) if counted else {}
        words = [
            Signal(str(counted[id]), "words", version, Raw(msgspec.json.encode(len(text.split()))))
            for id, (version, text) in texts.items()
        ]
        return [*cursors, *words]

    async def said(self, account: AccountId, channel: Channel, word: Raw) -> None:
        """A wave has one or two hands, and an account waves five times in five seconds at most."""
        if channel.kind is not WAVES:
            return
        _wave.part(bytes(word))
        await self._limits.require(WAVES_PER_ACCOUNT, str(account))
