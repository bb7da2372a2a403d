"""The grammar of live channels, and the streams of the journal that they are filters on."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId


class ChannelKind(StrEnum):
    """What a channel follows: everything in a workspace, one task of it, or the caller's own account."""

    WORKSPACE = "workspace"
    TASK = "task"
    ME = "me"


@dataclass(frozen=True, slots=True)
class Channel:
    """A parsed channel name: `workspace:{id}`, `task:{id}` or `me`; only `me` has no id."""

    kind: ChannelKind
    id: UUID | None = None

    def __str__(self) -> str:
        return self.kind.value if self.id is None else f"{self.kind.value}:{self.id}"


def parse_channel(name: str) -> Channel:
    """Read a channel name; NotFound for anything else, as for a channel that the caller may not see."""
    if name == ChannelKind.ME:
        return Channel(ChannelKind.ME)
    kind, _, id = name.partition(":")
    try:
        channel = Channel(ChannelKind(kind), UUID(id))
    except ValueError:
        raise NotFound from None
    if str(channel) != name or channel.kind is ChannelKind.ME:
        raise NotFound
    return channel


def workspace_stream(id: WorkspaceId) -> str:
    return f"workspace:{id}"


def account_stream(id: AccountId) -> str:
    return f"account:{id}"
