"""One durable channel for a door that has no connection to keep: its news one after the other, on whatever wire."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic

from msgspec import Struct

from application.authentication import Authentication
from application.feeds import EVERYBODY, Feed
from application.ports.events import Entry
from application.principal import Principal
from application.realtime.frames import Reason
from application.realtime.hub import Hub
from application.realtime.reader import JournalReader, StartedOver
from domain.errors import NotFound, Unavailable

KEEP_ALIVE_SECONDS = 15.0
RECHECK_SECONDS = 0.5
RIGHTS_SECONDS = 30.0


class Begun(Struct, frozen=True):
    """Everything from here on follows this offset."""

    offset: int


class BegunAgain(Struct, frozen=True):
    """Nothing leads to what follows this offset, with which it goes on: the state has to be read anew."""

    offset: int
    reason: Reason


class Quiet(Struct, frozen=True):
    """Nothing happened for 15 s; somebody on the way may have to see that there is still something here."""


class RightLost(Struct, frozen=True):
    """The account may not follow this any more; nothing comes after it."""


FeedNews = Begun | Entry | BegunAgain | Quiet | RightLost


async def follow(
    hub: Hub,
    authentication: Authentication,
    actor: Principal,
    feed: Feed,
    since: int | None,
    rights_seconds: float = RIGHTS_SECONDS,
) -> AsyncIterator[FeedNews]:
    """What a durable feed shows after offset `since`, or from now on; in order, and with nothing missing.

    It ends with the session of the actor, with their token, or with the right to follow. That is asked for again
    whenever an entry tells that it was lost, and every `rights_seconds`.
    """
    assert feed.stream is not None

    async def may_follow() -> bool:
        # Until there is an answer nothing is shown; that nobody can tell is no reason to hang up.
        while authentication.is_live(actor):
            try:
                await hub.channels.feed(actor.account_id, str(feed.channel))
            except NotFound:
                return False
            except Unavailable:
                await asyncio.sleep(RECHECK_SECONDS)
            else:
                return True
        return True  # the end of the session is told by the end of the news alone

    async with hub.reader(feed.stream, since) as reader:
        yield Begun(reader.position)
        # Asked again now that the stream is heard: a right that was lost before would be lost unnoticed.
        is_lost = not await may_follow()
        quiet, checked_at = 0.0, monotonic()
        while not is_lost and authentication.is_live(actor):
            if monotonic() - checked_at > rights_seconds:
                is_lost = not await may_follow()
                checked_at = monotonic()
                if is_lost:
                    break
            try:
                entries = await _next(reader)
            except StartedOver as restart:
                yield BegunAgain(reader.position, restart.reason)
                # Who lost the right in what nobody saw would go on unnoticed.
                is_lost = not await may_follow()
                continue
            quiet = 0.0 if entries else quiet + RECHECK_SECONDS
            if quiet >= KEEP_ALIVE_SECONDS:
                quiet = 0.0
                yield Quiet()
            for entry in entries:
                if not hub.lease.is_held:  # lost while a slow reader took what was before this
                    await hub.lease.held()
                    if not authentication.is_live(actor):
                        return
                if feed.shows(entry):
                    yield entry
                # A replay passes by losses of long ago; what counts are the rights of now.
                if hub.channels.loser_of(entry) in (EVERYBODY, actor.account_id) and not await may_follow():
                    is_lost = True
                    break
        if is_lost:
            yield RightLost()


async def _next(reader: JournalReader) -> Sequence[Entry]:
    """What comes within half a second; nothing if nothing does, or if the journal cannot be read just now."""
    try:
        async with asyncio.timeout(RECHECK_SECONDS):
            return await reader.read()
    except TimeoutError:
        return ()
    except Unavailable:
        await asyncio.sleep(RECHECK_SECONDS)
        return ()
