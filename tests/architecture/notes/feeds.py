"""What can be followed of a note, and by whom: participants, in place of members."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from msgspec import Raw

from application.ports.events import Signal
from application.ports.feeds import Asked, Feeds, Ground
from domain.channels import Channel, ChannelKind, Loss
from domain.ids import AccountId
from tests.architecture.notes.domain import LOSSES, NOTE, STATUS, WAVES, note_stream


class NoteFeeds(Feeds):
    """`note:{id}`, and `status:`, `waves:`, `presence:` and `typing:` of it, for those who take part."""

    kinds: Sequence[ChannelKind] = (NOTE, STATUS, WAVES)
    losses: Sequence[Loss] = LOSSES

    def __init__(self) -> None:
        self.participants: dict[UUID, set[AccountId]] = {}
        self.status: dict[UUID, tuple[int, bytes]] = {}

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return Ground(note_stream(place.id))

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        return {
            (place, account): Ground(note_stream(place.id))
            for place, account in asked
            if account in self.participants.get(place.id, ())
        }

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        kept = {channel: self.status.get(channel.place.id) for channel in channels}
        return [Signal(str(channel), "page", known[0], Raw(known[1])) for channel, known in kept.items() if known]
