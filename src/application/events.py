"""Reading the journal: page by page for audits and histories, and as feeds that live connections follow."""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec

from application.paging import Page
from application.ports.access import AccessQueries
from application.ports.events import Entry, EventFilter, EventView, JournalQueries
from application.principal import Principal
from domain.channels import Channel, ChannelClass, ChannelKind, account_stream, parse_channel, workspace_stream
from domain.errors import Invalid, NotFound
from domain.ids import AccountId, TaskId, WorkspaceId

REMEMBERED_MAX = 50_000

Everybody = Literal["everybody"]
EVERYBODY: Everybody = "everybody"


@dataclass(frozen=True, slots=True)
class Feed:
    """A channel that its caller may follow, and what of the journal belongs to it.

    `stream` is None for a channel that anybody may follow. A durable channel shows all of its stream, or the entries of
    one resource. The others show none of them: of the stream that they depend on, only who loses the right to follow
    it matters to them.
    """

    channel: Channel
    stream: str | None
    resource_id: UUID | None = None

    @property
    def shows_any(self) -> bool:
        return self.channel.promises is ChannelClass.DURABLE

    @property
    def shows_all(self) -> bool:
        return self.resource_id is None and self.shows_any

    def shows(self, entry: Entry) -> bool:
        return self.shows_any if self.resource_id is None else self.resource_id == entry.resource_id

    def is_lost_by(self, account: AccountId, entry: Entry) -> bool:
        """Whether this entry of the stream takes the right to follow it away from `account`."""
        return self.channel.kind is not ChannelKind.ME and loser_of(entry) in (EVERYBODY, account)


class _Removal(msgspec.Struct):
    account_id: UUID


class _Removed(msgspec.Struct):
    data: _Removal


_decode_removed = msgspec.json.Decoder(_Removed).decode


def loser_of(entry: Entry) -> AccountId | Everybody | None:
    """Who loses the right to follow its stream by this entry."""
    match entry.type:
        case "member.removed":
            return AccountId(_decode_removed(entry.body).data.account_id)
        case "workspace.deleted":
            return EVERYBODY
        case _:
            return None


class Events:
    """What a member can read of the journal: the stream of a workspace, of a task in it, and of one's own account."""

    def __init__(self, journal: JournalQueries, access: AccessQueries) -> None:
        self._journal = journal
        self._access = access
        # Of which workspace a task is, which never changes.
        self._workspaces: dict[TaskId, WorkspaceId] = {}

    async def feed(self, actor: Principal, channel: str | None) -> Feed:
        """The feed behind a channel name, the personal workspace without one; NotFound unless the caller may see it."""
        name = str(Channel(ChannelKind.WORKSPACE, actor.account_id)) if channel is None else channel
        feeds = await self.feeds(actor, [name])
        if name not in feeds:
            raise NotFound
        return feeds[name]

    async def feeds(self, actor: Principal, channels: Iterable[str], entitled: Container[str] = ()) -> dict[str, Feed]:
        """The feeds behind those channel names that the caller may see, with one question to the store for all.

        Of the streams in `entitled` the caller knows already that the actor may follow them.
        """
        found: dict[str, Feed] = {}
        unsure: dict[str, Channel] = {}
        for name in channels:
            try:
                channel = parse_channel(name)
            except NotFound:
                continue
            match channel.kind:
                case ChannelKind.ME:
                    found[name] = Feed(channel, account_stream(actor.account_id))
                case ChannelKind.MARKET:
                    found[name] = Feed(channel, None)
                case _:
                    home = self._known_home(channel)
                    if home is not None and workspace_stream(home) in entitled:
                        found[name] = _feed_of(channel, home)
                    else:
                        unsure[name] = channel
        if unsure:
            homes = await self._access.workspaces_of({_place(c) for c in unsure.values()}, actor.account_id)
            for name, channel in unsure.items():
                home = homes.get(_place(channel))
                # Neither is a task's id the name of a workspace, nor the other way round.
                if home is not None and _is_of_task(channel) == (home != _place(channel)):
                    if _is_of_task(channel):
                        self._remember(TaskId(_place(channel)), home)
                    found[name] = _feed_of(channel, home)
        return found

    async def lost(self, followed: Collection[tuple[AccountId, Feed]]) -> set[tuple[AccountId, Feed]]:
        """Those of these feeds that their account may not follow any more, with one question to the store for all."""
        asked = {
            (_place(feed.channel), account): (account, feed)
            for account, feed in followed
            if feed.stream is not None and feed.channel.kind is not ChannelKind.ME
        }
        return {asked[pair] for pair in await self._access.strangers(asked)} if asked else set()

    async def journaled(self, actor: Principal, channel: str | None) -> tuple[Feed, str]:
        """The feed of a durable channel and its stream; NotFound for any other."""
        feed = await self.feed(actor, channel)
        if feed.stream is None or not feed.shows_any:
            raise NotFound
        return feed, feed.stream

    async def page(
        self,
        actor: Principal,
        channel: str | None,
        wanted: EventFilter,
        newest_first: bool,
        cursor: str | None,
        limit: int,
    ) -> Page[EventView]:
        """The events of a channel that meet `wanted`, newest first or in the order in which they happened."""
        for name, bound in (("after", wanted.after), ("before", wanted.before)):
            if bound is not None and bound.tzinfo is None:
                raise Invalid("An instant needs its offset from UTC.", pointer=f"?{name}")
        feed, stream = await self.journaled(actor, channel)
        if feed.resource_id is not None:
            wanted = msgspec.structs.replace(wanted, resource_id=feed.resource_id)
        return await self._journal.page(stream, wanted, newest_first, cursor, limit)

    def _known_home(self, channel: Channel) -> WorkspaceId | None:
        place = _place(channel)
        return self._workspaces.get(TaskId(place)) if _is_of_task(channel) else WorkspaceId(place)

    def _remember(self, task: TaskId, workspace: WorkspaceId) -> None:
        if len(self._workspaces) >= REMEMBERED_MAX:
            self._workspaces.pop(next(iter(self._workspaces)))
        self._workspaces[task] = workspace


def _place(channel: Channel) -> UUID:
    """The workspace or task that the right to follow a channel depends on."""
    place = (channel.place or channel).id
    assert place is not None
    return place


def _is_of_task(channel: Channel) -> bool:
    return (channel.place or channel).kind is ChannelKind.TASK


def _feed_of(channel: Channel, home: WorkspaceId) -> Feed:
    return Feed(channel, workspace_stream(home), channel.id if channel.kind is ChannelKind.TASK else None)
