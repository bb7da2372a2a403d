"""Tells each context which accounts come to its places and leave them, without letting presence wait for it."""

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context
from datetime import datetime
from itertools import islice

from application.feeds import Channels
from application.ports.presence import Attended
from application.ports.system import Clock
from application.ports.unit_of_work import Stale
from application.principal import correlation, new_correlation
from application.realtime.topic import Here
from domain.channels import Channel
from domain.errors import DomainError, NotFound, Unavailable
from domain.ids import AccountId

WAITING_MAX = 10_000
AT_ONCE = 16
DEADLINE_SECONDS = 5.0
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Attendances:
    """The changes that contexts are still to be told. Of each account at a place only the newest is kept."""

    def __init__(self, attended: Sequence[Attended], channels: Channels, clock: Clock) -> None:
        self._changed = {row.kind: row.changed for row in attended}
        self._grammar = channels.grammar
        self._clock = clock
        self._waiting: dict[tuple[Channel, AccountId], tuple[Here, datetime]] = {}
        self._telling: asyncio.Task[None] | None = None

    def tell(self, channel: str, account: AccountId, here: Here) -> None:
        """Tell the context of a presence channel, soon. Beyond 10,000 changes that wait, further ones are dropped."""
        if not self._changed:
            return
        try:
            place = self._grammar.parse(channel).place
        except NotFound:
            return  # a process of another version has such places
        if place.kind not in self._changed:
            return
        key = place, account
        if key not in self._waiting and len(self._waiting) >= WAITING_MAX:
            log.warning("a context is not told of a change at %s, because too many wait", place)
            return
        self._waiting[key] = here, self._clock.now()
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), context=Context())

    async def _tell_all(self) -> None:
        while self._waiting:
            keys = list(islice(self._waiting, AT_ONCE))
            told = await asyncio.gather(*(self._tell(*key, *self._waiting.pop(key)) for key in keys))
            if not all(told):
                await asyncio.sleep(RETRY_SECONDS)

    async def _tell(self, place: Channel, account: AccountId, here: Here, at: datetime) -> bool:
        """Tell one change. Returns False if it has to be told again."""
        correlation.set(new_correlation())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._changed[place.kind](place, account, here.present, here.why, at)
        except (Unavailable, TimeoutError, Stale) as problem:
            log.debug("a change at %s is told again: %s", place, problem)
            self._waiting.setdefault((place, account), (here, at))
            return False
        except DomainError as refusal:
            log.debug("a change at %s means nothing to its context: %s", place, refusal)
        except Exception:
            log.exception("a context cannot take a change at %s", place)
        return True
