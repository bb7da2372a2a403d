"""The grammar of live channels: a row for each kind, which says what its channels promise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from uuid import UUID

from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId

NAMES_REMEMBERED = 8_192
SYMBOL_MAX = 20
_SYMBOL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")


class ChannelClass(Enum):
    """What a channel promises, and what happens to its messages when a connection cannot keep up.

    Durable: in order, nothing missing; the connection falls back to reading the journal. Keyed: converges to the newest
    value of each key; older values are left out. Ephemeral: at most once; dropped first.
    """

    DURABLE = "durable"
    KEYED = "keyed"
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True, slots=True, eq=False)
class ChannelKind:
    """A row of the grammar: a kind of channels, whose names are `name` or `name:subject`.

    `read` reads the subject, the text after the colon. It raises ValueError or NotFound for text that cannot be a
    subject; without a `read`, a name has no colon and no subject. A channel of a kind that `is_place` can itself be a
    subject: for example, people are present and type in a place.
    """

    name: str
    promises: ChannelClass
    read: "Callable[[str, Grammar], Subject] | None" = None
    is_place: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: its kind and its subject. `str` gives its one name."""

    kind: ChannelKind
    subject: "Subject | None" = None

    @property
    def promises(self) -> ChannelClass:
        return self.kind.promises

    @property
    def place(self) -> "Channel":
        """The channel on which the right to follow this one depends: its subject if that is a channel, else itself."""
        return self.subject if isinstance(self.subject, Channel) else self

    @property
    def id(self) -> UUID:
        """The id that is its subject. Only for kinds whose subject is an id: anything else is a defect."""
        assert isinstance(self.subject, UUID)
        return self.subject

    def __str__(self) -> str:
        return self.kind.name if self.subject is None else f"{self.kind.name}:{self.subject}"


Subject = UUID | str | Channel


class Grammar:
    """Reads the names of channels."""

    def __init__(self, kinds: Iterable[ChannelKind]) -> None:
        """ValueError if two kinds have the same name."""
        self.kinds: dict[str, ChannelKind] = {}
        for kind in kinds:
            if kind.name in self.kinds:
                raise ValueError(f"two kinds of channels are named {kind.name}")
            self.kinds[kind.name] = kind
        # Connections name the same channels each time they reconnect, which all do at once after a restart.
        self.parse = lru_cache(NAMES_REMEMBERED)(self._parse)

    def canonical(self, name: str) -> str:
        """The one spelling of a channel's name. Text that names no channel stays as it is."""
        try:
            return str(self.parse(name))
        except NotFound:
            return name

    def _parse(self, name: str) -> Channel:
        """The channel of this name; NotFound if there is none, the same answer as for one that the caller may not see.

        An id may have any spelling of a UUID; `str` of the channel gives the one name.
        """
        word, colon, subject = name.partition(":")
        kind = self.kinds.get(word)
        if kind is None or (kind.read is None) == bool(colon):
            raise NotFound
        try:
            return Channel(kind, None if kind.read is None else kind.read(subject, self))
        except ValueError:
            raise NotFound from None


def by_id(text: str, _: Grammar) -> UUID:
    return UUID(text)


def by_symbol(text: str, _: Grammar) -> str:
    if not 0 < len(text) <= SYMBOL_MAX or not _SYMBOL.issuperset(text):
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True)
class About:
    """Reads a subject that is itself a channel: a place, of `kind` if it is given."""

    kind: ChannelKind | None = None

    def __call__(self, text: str, grammar: Grammar) -> Channel:
        place = grammar.parse(text)
        if not place.kind.is_place or self.kind not in {None, place.kind}:
            raise NotFound
        return place


# Every place has these.
PRESENCE = ChannelKind("presence", ChannelClass.KEYED, About())
TYPING = ChannelKind("typing", ChannelClass.EPHEMERAL, About())


@dataclass(frozen=True, slots=True)
class Loss:
    """A row: journal entries of `type` end the right to follow their stream.

    They end it for the account whose id is in the field `account` of their `data`. If `account` is None, they end it
    for every follower.
    """

    type: str
    account: str | None = None


def workspace_stream(id: WorkspaceId) -> str:
    return f"workspace:{id}"


def account_stream(id: AccountId) -> str:
    return f"account:{id}"
