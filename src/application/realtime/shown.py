"""What a connection was shown of a stream by one of its channels."""

from application.feeds import Feed
from application.realtime.intervals import NO_OFFSETS, Intervals


class Shown:
    """A channel of a connection: the offset that it begins after, and the one up to which it has shown its stream.

    `earlier` is what it had shown before it was asked to begin further back.
    """

    __slots__ = ("begins_after", "earlier", "feed", "shown_to")

    def __init__(self, feed: Feed, begins_after: int, earlier: Intervals = NO_OFFSETS) -> None:
        self.feed = feed
        self.begins_after = begins_after
        self.shown_to = begins_after
        self.earlier = earlier

    def from_further_back(self, begins_after: int) -> "Shown":
        """The same channel from this offset on, which knows what was shown already."""
        return Shown(self.feed, begins_after, self.earlier.including(self.begins_after, self.shown_to))

    def has_all_to(self, position: int) -> None:
        """Take it that everything up to this offset was shown, or need not be."""
        self.shown_to = position
        self.earlier = NO_OFFSETS  # which this includes

    def has_shown(self, offset: int) -> bool:
        return self.begins_after < offset <= self.shown_to or offset in self.earlier
