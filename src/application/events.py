"""Reading the journal: page by page for audits and histories, and as feeds that live connections follow."""

from dataclasses import dataclass
from uuid import UUID

import msgspec

from application.paging import Page
from application.ports.access import AccessQueries
from application.ports.events import Entry, EventFilter, EventView, JournalQueries
from application.principal import Principal
from domain.channels import Channel, ChannelKind, account_stream, parse_channel, workspace_stream
from domain.errors import Invalid
from domain.ids import AccountId, TaskId, WorkspaceId


@dataclass(frozen=True, slots=True)
class Feed:
    """A channel that its caller may follow: a stream of the journal and, for a task, which of its events matter."""

    channel: Channel
    stream: str
    resource_id: UUID | None = None

    def shows(self, entry: Entry) -> bool:
        return self.resource_id is None or entry.resource_id == self.resource_id

    def is_lost_by(self, account: AccountId, entry: Entry) -> bool:
        """Whether this entry of the stream takes the right to follow it away from `account`."""
        if self.channel.kind is ChannelKind.ME:
            return False
        if entry.type == "workspace.deleted":
            return True
        return (
            entry.type == "member.removed" and msgspec.json.decode(entry.body, type=_Removal).data.account_id == account
        )


class _Removed(msgspec.Struct):
    account_id: UUID


class _Removal(msgspec.Struct):
    data: _Removed


class Events:
    """What a member can read of the journal: the stream of a workspace, of a task in it, and of one's own account."""

    def __init__(self, journal: JournalQueries, access: AccessQueries) -> None:
        self._journal = journal
        self._access = access

    async def feed(self, actor: Principal, channel: str | None) -> Feed:
        """The feed behind a channel name, the personal workspace without one; NotFound unless the caller may see it."""
        wanted = Channel(ChannelKind.WORKSPACE, actor.account_id) if channel is None else parse_channel(channel)
        if wanted.id is None:
            return Feed(wanted, account_stream(actor.account_id))
        if wanted.kind is ChannelKind.TASK:
            workspace = await self._access.workspace_of_task(TaskId(wanted.id), actor.account_id)
            return Feed(wanted, workspace_stream(workspace), wanted.id)
        workspace = await self._access.workspace_of(WorkspaceId(wanted.id), actor.account_id)
        return Feed(wanted, workspace_stream(workspace))

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
        feed = await self.feed(actor, channel)
        if feed.resource_id is not None:
            wanted = msgspec.structs.replace(wanted, resource_id=feed.resource_id)
        return await self._journal.page(feed.stream, wanted, newest_first, cursor, limit)
