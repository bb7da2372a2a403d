"""The grammar of live channels, what each class of them promises, and the streams that the durable ones filter."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from uuid import UUID

from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId


class ChannelClass(Enum):
    """What a channel promises, and what becomes of it when a connection cannot keep up.

    Durable: in order, nothing missing; the connection falls back to reading the journal. Keyed: converges to the newest
    value of each key; older ones are left out. Ephemeral: at most once; dropped first.
    """

    DURABLE = "durable"
    KEYED = "keyed"
    EPHEMERAL = "ephemeral"


class ChannelKind(StrEnum):
    """What a channel is about; `presence` and `typing` are about another channel."""

    WORKSPACE = "workspace"
    TASK = "task"
    ME = "me"
    MARKET = "market"
    PRESENCE = "presence"
    TYPING = "typing"


CLASSES: Mapping[ChannelKind, ChannelClass] = {
    ChannelKind.WORKSPACE: ChannelClass.DURABLE,
    ChannelKind.TASK: ChannelClass.DURABLE,
    ChannelKind.ME: ChannelClass.DURABLE,
    ChannelKind.MARKET: ChannelClass.KEYED,
    ChannelKind.PRESENCE: ChannelClass.KEYED,
    ChannelKind.TYPING: ChannelClass.EPHEMERAL,
}
_PLACES = frozenset({ChannelKind.WORKSPACE, ChannelKind.TASK})
_SYMBOL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
SYMBOL_MAX = 20


@dataclass(frozen=True, slots=True)
class Channel:
    """A parsed channel name.

    `workspace:{id}`, `task:{id}` and `me` (the caller's own account); `market:{SYMBOL}`; and `presence:` or `typing:`
    before a workspace or task, which is then the `place`.
    """

    kind: ChannelKind
    id: UUID | None = None
    symbol: str | None = None
    place: "Channel | None" = None

    @property
    def promises(self) -> ChannelClass:
        return CLASSES[self.kind]

    def __str__(self) -> str:
        subject = self.place or self.id or self.symbol
        return self.kind.value if subject is None else f"{self.kind.value}:{subject}"


# Connections name the same channels again whenever they come back, and all at once after a restart.
@lru_cache(maxsize=8_192)
def parse_channel(name: str) -> Channel:
    """Read a channel name; NotFound for anything else, as for a channel that the caller may not see.

    An id may be spelled in any way that a UUID can be; the name of the channel is what `str` makes of it.
    """
    kind, colon, subject = name.partition(":")
    try:
        return _parsed(ChannelKind(kind), subject if colon else None)
    except ValueError:
        raise NotFound from None


def canonical(name: str) -> str:
    """The one spelling of a channel's name; a name of none stays as it is."""
    try:
        return str(parse_channel(name))
    except NotFound:
        return name


def _parsed(kind: ChannelKind, subject: str | None) -> Channel:
    match kind:
        case ChannelKind.ME:
            if subject is not None:
                raise ValueError(subject)
            return Channel(kind)
        case _ if subject is None:
            raise ValueError(subject)
        case ChannelKind.MARKET:
            if not 0 < len(subject) <= SYMBOL_MAX or not _SYMBOL.issuperset(subject):
                raise ValueError(subject)
            return Channel(kind, symbol=subject)
        case ChannelKind.PRESENCE | ChannelKind.TYPING:
            place = parse_channel(subject)
            if place.kind not in _PLACES:
                raise ValueError(subject)
            return Channel(kind, place=place)
        case _:
            return Channel(kind, UUID(subject))


def workspace_stream(id: WorkspaceId) -> str:
    return f"workspace:{id}"


def account_stream(id: AccountId) -> str:
    return f"account:{id}"
