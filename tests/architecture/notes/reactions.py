"""What follows from what happened to a note."""

from datetime import datetime

from application.ports.consumers import Consumer
from application.ports.events import Broker, EventView
from application.ports.feeds import Feeds
from domain.channels import Channel
from tests.architecture.notes.domain import NOTE, PULSE


def counting(feeds: Feeds, broker: Broker) -> Consumer[object]:
    """Tells those who follow the pulse of a note how many words it has now.

    It is told after the fact, so never of a change that was not committed; twice is harmless, as its version tells.
    """

    async def count(work: object, event: EventView, now: datetime) -> bool:
        broker.publish(await feeds.newest([Channel(PULSE, Channel(NOTE, event.resource.id))]))
        return True

    return Consumer("notes_count", frozenset({"note.opened", "note.written"}), count)
