"""The grammar of live channels: rows of kinds, each of which says what its channels promise."""

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
    """What a channel promises, and what becomes of it when a connection cannot keep up.

    Durable: in order, nothing missing; the connection falls back to reading the journal. Keyed: converges to the newest
    value of each key; older ones are left out. Ephemeral: at most once; dropped first.
    """

    DURABLE = "durable"
    KEYED = "keyed"
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True, slots=True, eq=False)
class ChannelKind:
    """A row: the word that names of such channels begin with, their class, and how what follows the colon is read.

    Nothing follows where there is no `read`, which raises ValueError or NotFound for what cannot follow. A channel of a
    kind that `is_place` can be the subject of another one: people are present there and type there, for example.
    """

    name: str
    promises: ChannelClass
    read: "Callable[[str, Grammar], Subject] | None" = None
    is_place: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel by its kind and its subject; `str` is its one name."""

    kind: ChannelKind
    subject: "Subject | None" = None

    @property
    def promises(self) -> ChannelClass:
        return self.kind.promises

    @property
    def place(self) -> "Channel":
        """The channel that the right to follow this one depends on: its subject, or else itself."""
        return self.subject if isinstance(self.subject, Channel) else self

    @property
    def id(self) -> UUID:
        """The id that it is named by; a mistake of ours where it is named by something else."""
        assert isinstance(self.subject, UUID)
        return self.subject

    def __str__(self) -> str:
        return self.kind.name if self.subject is None else f"{self.kind.name}:{self.subject}"


Subject = UUID | str | Channel


class Grammar:
    """Reads names of channels, of the kinds there are."""

    def __init__(self, kinds: Iterable[ChannelKind]) -> None:
        """ValueError if two kinds have the same name."""
        self.kinds: dict[str, ChannelKind] = {}
        for kind in kinds:
            if kind.name in self.kinds:
                raise ValueError(f"two kinds of channels are named {kind.name}")
            self.kinds[kind.name] = kind
        # Connections name the same channels again whenever they come back, and all at once after a restart.
        self.parse = lru_cache(NAMES_REMEMBERED)(self._parse)

    def canonical(self, name: str) -> str:
        """The one spelling of a channel's name; a name of none stays as it is."""
        try:
            return str(self.parse(name))
        except NotFound:
            return name

    def _parse(self, name: str) -> Channel:
        """The channel of this name; NotFound if there is none, as for a channel that the caller may not see.

        An id may be spelled in any way that a UUID can be; the name of the channel is what `str` makes of it.
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
    """Reads a subject that is itself a channel: a place, of this kind if one is named."""

    kind: ChannelKind | None = None

    def __call__(self, text: str, grammar: Grammar) -> Channel:
        place = grammar.parse(text)
        if not place.kind.is_place or self.kind not in {None, place.kind}:
            raise NotFound
        return place


# What there is in every place.
PRESENCE = ChannelKind("presence", ChannelClass.KEYED, About())
TYPING = ChannelKind("typing", ChannelClass.EPHEMERAL, About())


@dataclass(frozen=True, slots=True)
class Loss:
    """A row: entries of this type take the right to follow their stream away.

    They take it from the account whose id is this field of their `data`; without one, from everybody.
    """

    type: str
    account: str | None = None


def workspace_stream(id: WorkspaceId) -> str:
    return f"workspace:{id}"


def account_stream(id: AccountId) -> str:
    return f"account:{id}"
