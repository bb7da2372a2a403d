"""Reads the journal page by page, for audits and histories."""

import msgspec

from application.feeds import Channels, Feed
from application.paging import Page
from application.ports.events import EventFilter, EventView, JournalQueries
from application.principal import Principal
from domain.errors import Invalid, NotFound


class Events:
    """The part of the journal that an account may read: the streams of the durable channels that it may follow."""

    def __init__(self, journal: JournalQueries, channels: Channels) -> None:
        self._journal = journal
        self._channels = channels

    async def journaled(self, actor: Principal, channel: str) -> tuple[Feed, str]:
        """The feed of a durable channel and its stream. NotFound if it is not durable or the actor may not see it.

        ScopeMissing if the credential of the actor lacks the scope of such channels.
        """
        if (refusal := self._channels.refusal(actor, channel)) is not None:
            raise refusal
        feed = await self._channels.feed(actor, channel)
        if feed.stream is None or not feed.shows_any:
            raise NotFound
        return feed, feed.stream

    async def page(
        self,
        actor: Principal,
        channel: str,
        wanted: EventFilter,
        newest_first: bool,
        cursor: str | None,
        limit: int,
    ) -> Page[EventView]:
        """The events of a channel that meet `wanted`, newest first or in the order in which they happened."""
        feed, stream = await self.journaled(actor, channel)
        for name, bound in (("after", wanted.after), ("before", wanted.before)):
            if bound is not None and bound.tzinfo is None:
                raise Invalid("An instant needs its offset from UTC.", pointer=f"?{name}")
        if feed.resource_id is not None:
            wanted = msgspec.structs.replace(wanted, resource_id=feed.resource_id)
        return await self._journal.page(stream, wanted, newest_first, cursor, limit)
