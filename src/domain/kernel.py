"""The base of every context: the aggregate, whose methods hold its rules, and the events that it announces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.ids import AccountId

Changes = Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    `stream` is the kind of stream that holds such events, `sentence` says what happened. `data` maps each field that
    the event's `data` can have to its description. `changes` names the fields that the event's `changes` can have.
    `version` grows when something that a reader may rely on changes.
    """

    name: str
    stream: str
    sentence: str
    data: Mapping[str, str] = field(default_factory=dict)
    changes: Sequence[str] = ()
    version: int = 1


def declared(*types: EventType) -> Mapping[str, EventType]:
    """The kinds of events of an aggregate, by name."""
    return {type.name: type for type in types}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one resource, in the past tense.

    `stream` is the sequence it belongs to (`workspace:…`, `account:…`). `version` is the version of the resource after
    the event. `actor` is the account that caused it, or None for the system. `changes` maps a field to its old and new
    value; `data` holds further fields that a reader needs. `schema_version` is the version of its type. `within` is the
    stream of the place that the stream belongs to, such as its workspace. The first event of a stream decides on it.
    """

    type: str
    stream: str
    resource_type: str
    resource_id: UUID
    version: int
    at: datetime
    actor: AccountId | None
    changes: Changes = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    schema_version: int = 1
    within: str | None = None


@dataclass(slots=True, kw_only=True)
class Aggregate:
    """An object with an identity and invariants. Its methods change it, and announce each change as an event.

    Each event raises `version` by one; 0 means that nothing was announced yet. A method that changes nothing announces
    nothing, and saving an aggregate without news writes nothing. An event whose type is not in `announces` is a defect
    and raises KeyError.
    """

    resource_type: ClassVar[str]
    announces: ClassVar[Mapping[str, EventType]]

    version: int = 0
    _news: list[Event] = field(default_factory=list, init=False, repr=False, compare=False)

    def _announce(
        self,
        type: str,
        stream: str,
        id: UUID,
        at: datetime,
        by: AccountId | None,
        changes: Changes | None = None,
        data: Mapping[str, object] | None = None,
        within: str | None = None,
    ) -> None:
        schema = self.announces[type].version
        self.version += 1
        self._news.append(
            Event(type, stream, self.resource_type, id, self.version, at, by, changes or {}, data or {}, schema, within)
        )

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    @property
    def kept_version(self) -> int:
        """The stored version: the one before the events that are not saved yet."""
        return self.version - len(self._news)

    def take_news(self) -> Sequence[Event]:
        """The events announced since the last call, oldest first."""
        news, self._news = self._news, []
        return news
