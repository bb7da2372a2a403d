"""The news of one durable channel as an iterator, for protocols that follow a single channel, such as SSE."""

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
    """The entries that come next follow this offset."""

    offset: int


class BegunAgain(Struct, frozen=True):
    """Entries may be missing: it goes on after this offset, and the state has to be read anew."""

    offset: int
    reason: Reason


class Quiet(Struct, frozen=True):
    """Nothing happened for 15 s. A proxy may close a response that stays silent for longer."""


class RightLost(Struct, frozen=True):
    """The account has lost the right to follow the channel. This is the last news."""


FeedNews = Begun | Entry | BegunAgain | Quiet | RightLost


async def follow(
    hub: Hub,
    authentication: Authentication,
    actor: Principal,
    feed: Feed,
    since: int | None,
    rights_seconds: float = RIGHTS_SECONDS,
) -> AsyncIterator[FeedNews]:
    """The entries that a durable feed shows after offset `since`, or from now on, in order and without a hole.

    It ends when the actor's session, token or right to follow ends. The right is asked for again when an entry tells
    that it was lost, and every `rights_seconds`.
    """
    assert feed.stream is not None

    async def may_follow() -> bool:
        # Nothing is shown until there is an answer. A store that cannot answer is no reason to end.
        while authentication.is_live(actor):
            try:
                await hub.channels.feed(actor, str(feed.channel))
            except NotFound:
                return False
            except Unavailable:
                await asyncio.sleep(RECHECK_SECONDS)
            else:
                return True
        return True  # the session has ended: the caller stops without a RightLost

    async with hub.reader(feed.stream, since) as reader:
        yield Begun(reader.position)
        # Asked again now that the stream is followed: a right that was lost just before would stay unnoticed.
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
                # The entry that took the right away may be among the entries that were skipped.
                is_lost = not await may_follow()
                continue
            quiet = 0.0 if entries else quiet + RECHECK_SECONDS
            if quiet >= KEEP_ALIVE_SECONDS:
                quiet = 0.0
                yield Quiet()
            for entry in entries:
                if not hub.lease.is_held:  # it was lost while a slow consumer took the entries before this one
                    await hub.lease.held()
                    if not authentication.is_live(actor):
                        return
                if feed.shows(entry):
                    yield entry
                # A replay also contains losses of long ago. The present right counts.
                if hub.channels.loser_of(entry) in (EVERYBODY, actor.account_id) and not await may_follow():
                    is_lost = True
                    break
        if is_lost:
            yield RightLost()


async def _next(reader: JournalReader) -> Sequence[Entry]:
    """The entries that come within half a second. Empty if none come, or if the journal cannot be read now."""
    try:
        async with asyncio.timeout(RECHECK_SECONDS):
            return await reader.read()
    except TimeoutError:
        return ()
    except Unavailable:
        await asyncio.sleep(RECHECK_SECONDS)
        return ()
