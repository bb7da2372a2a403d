"""The channels of all contexts: what their names mean, which accounts may follow them, and when they lose the right."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Raw

from application.ports.events import Entry, JournalQueries, Signal
from application.ports.feeds import Asked, Feeds, Ground
from application.principal import Principal
from application.scopes import ScopeMissing, missing
from domain.channels import PRESENCE, TYPING, Channel, ChannelClass, Grammar, account_stream
from domain.errors import NotFound
from domain.ids import AccountId

Everybody = Literal["everybody"]
EVERYBODY: Everybody = "everybody"


@dataclass(frozen=True, slots=True)
class Feed:
    """A channel that the caller may follow, and the part of the journal that belongs to it.

    `stream` is None for a channel that every account may follow. A durable channel shows all entries of its stream, or
    those of one resource. Other channels show no entries; their stream only tells who loses the right to follow them.
    """

    channel: Channel
    stream: str | None
    resource_id: UUID | None = None

    @property
    def shows_any(self) -> bool:
        return self.channel.kind.promises is ChannelClass.DURABLE

    @property
    def shows_all(self) -> bool:
        return self.resource_id is None and self.shows_any

    def shows(self, entry: Entry) -> bool:
        return self.shows_any if self.resource_id is None else self.resource_id == entry.resource_id


class _Told(msgspec.Struct):
    data: Mapping[str, object]


_decode = msgspec.json.Decoder(_Told).decode


class Channels:
    """The channels of all contexts as one."""

    def __init__(self, feeds: Sequence[Feeds], journal: JournalQueries) -> None:
        """ValueError if two contexts define the same kind of channel or the same type of loss."""
        self.grammar = Grammar([PRESENCE, TYPING, *(kind for each in feeds for kind in each.kinds)])
        self._feeds = feeds
        self._journal = journal
        self._of = {kind: each for each in feeds for kind in each.kinds}
        self.values = {kind: told for each in feeds for kind, told in each.values.items()}
        self._losses: dict[str, str | None] = {}
        for loss in (loss for each in feeds for loss in each.losses):
            if loss.type in self._losses:
                raise ValueError(f"two contexts lose rights by {loss.type}")
            self._losses[loss.type] = loss.account

    def refusal(self, actor: Principal, name: str, *, to_say: bool = False) -> ScopeMissing | None:
        """The error if the actor's credential lacks the scope to follow a channel, or `to_say` something on it.

        Whether the account may follow the channel is not checked.
        """
        if actor.scopes is None:
            return None
        try:
            context = self._of[self.grammar.parse(name).place.kind]
        except NotFound:
            return None
        scope = (to_say and context.saying) or context.scope
        return None if scope.name in actor.scopes else missing(scope.name, actor.scopes)

    async def feed(self, caller: Principal, name: str) -> Feed:
        """The feed of a channel name; NotFound unless the caller may follow it. Scopes are not checked."""
        feeds = await self.feeds(caller, [name])
        if name not in feeds:
            raise NotFound
        return feeds[name]

    async def feeds(self, caller: Principal, names: Iterable[str], entitled: Iterable[str] = ()) -> dict[str, Feed]:
        """The feeds of those channel names that the caller may follow, with one query for each context.

        It is known already that the account may follow the streams in `entitled`. Contexts are asked in their
        order, and never about a stream for which an earlier one has answered. Scopes are not checked.
        """
        found = await self._open_to(caller.account_id, names, entitled)
        return found if caller.within is None else await self._inside(caller.within, found)

    async def _inside(self, place: str, found: Mapping[str, Feed]) -> dict[str, Feed]:
        """Those of these feeds that belong to a place, by their streams; and those that every account may follow."""
        others = {feed.stream for feed in found.values() if feed.stream not in {None, place}}
        within = await self._journal.within([stream for stream in others if stream]) if others else {}
        inside = {None, place, *(stream for stream, outer in within.items() if outer == place)}
        return {name: feed for name, feed in found.items() if feed.stream in inside}

    async def _open_to(self, account: AccountId, names: Iterable[str], entitled: Iterable[str]) -> dict[str, Feed]:
        found: dict[str, Feed] = {}
        known: set[str | None] = {None, account_stream(account), *entitled}
        named: dict[Feeds, dict[str, Channel]] = {}
        for name in names:
            try:
                channel = self.grammar.parse(name)
            except NotFound:
                continue
            named.setdefault(self._of[channel.place.kind], {})[name] = channel
        for context in self._feeds:
            unsure: dict[str, Channel] = {}
            for name, channel in named.get(context, {}).items():
                ground = context.ground(channel.place, account)
                if ground is None or ground.stream not in known:
                    unsure[name] = channel
                else:
                    found[name] = _feed(channel, ground)
            if unsure:
                grounds = await context.allowed({(channel.place, account) for channel in unsure.values()})
                for name, channel in unsure.items():
                    ground = grounds.get((channel.place, account))
                    if ground is not None:
                        found[name] = _feed(channel, ground)
                        known.add(ground.stream)
        return found

    async def lost(self, followed: Collection[tuple[AccountId, Feed]]) -> set[tuple[AccountId, Feed]]:
        """Those of these feeds that their account may no longer follow, with one query for each context."""
        asked: dict[Feeds, dict[Asked, tuple[AccountId, Feed]]] = {}
        for account, feed in followed:
            if feed.stream not in {None, account_stream(account)}:
                place = feed.channel.place
                asked.setdefault(self._of[place.kind], {})[place, account] = account, feed
        lost = set()
        for context, pairs in asked.items():
            kept = await context.allowed(pairs)
            lost |= {pairs[pair] for pair in pairs if pair not in kept}
        return lost

    async def said(self, account: AccountId, name: str, word: Raw) -> None:
        """Let the context of a channel check a message before it is published; a DomainError refuses it."""
        channel = self.grammar.parse(name)
        await self._of[channel.place.kind].said(account, channel, word)

    def loser_of(self, entry: Entry) -> AccountId | Everybody | None:
        """The account that loses the right to follow its stream by this entry, or EVERYBODY; None if it is no loss."""
        if entry.type not in self._losses:
            return None
        field = self._losses[entry.type]
        return EVERYBODY if field is None else AccountId(UUID(str(_decode(entry.body).data[field])))

    async def newest(self, channels: Collection[Channel]) -> Sequence[Signal]:
        """The newest value of every key of these keyed channels, if their contexts keep them.

        Unavailable if a context cannot answer now.
        """
        asked: dict[Feeds, list[Channel]] = {}
        for channel in channels:
            asked.setdefault(self._of[channel.kind], []).append(channel)
        return [signal for context, theirs in asked.items() for signal in await context.newest(theirs)]


def _feed(channel: Channel, ground: Ground) -> Feed:
    return Feed(channel, ground.stream, ground.resource_id if channel.promises is ChannelClass.DURABLE else None)
