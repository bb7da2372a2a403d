"""Which entries of a stream one channel of a connection has shown."""

from application.feeds import Feed
from application.realtime.intervals import NO_OFFSETS, Intervals


class Shown:
    """A channel of a connection: it has shown its stream after the offset `begins_after` up to `shown_to`.

    `earlier` are the offsets that it had shown before the peer asked to begin further back.
    """

    __slots__ = ("begins_after", "earlier", "feed", "shown_to")

    def __init__(self, feed: Feed, begins_after: int, earlier: Intervals = NO_OFFSETS) -> None:
        self.feed = feed
        self.begins_after = begins_after
        self.shown_to = begins_after
        self.earlier = earlier

    def from_further_back(self, begins_after: int) -> "Shown":
        """The same channel, beginning after an earlier offset; it remembers what was shown already."""
        return Shown(self.feed, begins_after, self.earlier.including(self.begins_after, self.shown_to))

    def has_all_to(self, position: int) -> None:
        """Regard everything up to this offset as shown."""
        self.shown_to = position
        self.earlier = NO_OFFSETS  # because all of them are at or before `shown_to`

    def has_shown(self, offset: int) -> bool:
        return self.begins_after < offset <= self.shown_to or offset in self.earlier
