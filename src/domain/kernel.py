"""What every context shares: the aggregate, which keeps its rules in its verbs, and the event it announces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.ids import AccountId

Changes = Mapping[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event: the kind of stream that it is in, and what happened in a sentence.

    `data` maps each field that an event can have there to what it is, `changes` names the fields that can be in that.
    `version` is that of all this; it grows when something that a reader may rely on becomes otherwise.
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

    `stream` is the sequence it belongs to (`workspace:…`, `account:…`), `version` the version that the resource has
    after it, `actor` the account that did it or None for the system itself. `changes` maps a field to its old and
    new value; `data` is what a reader needs besides. `schema_version` is that of its type.
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


@dataclass(slots=True, kw_only=True)
class Aggregate:
    """A thing with an identity and invariants; its verbs change it and announce what they did.

    `version` counts what was announced: 0 is a thing that was never saved, and each event raises it by one. A verb that
    changes nothing announces nothing, and saving an aggregate without news writes nothing. What is not among the types
    that it `announces` is a defect, and a KeyError.
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
    ) -> None:
        schema = self.announces[type].version
        self.version += 1
        self._news.append(
            Event(type, stream, self.resource_type, id, self.version, at, by, changes or {}, data or {}, schema)
        )

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    @property
    def kept_version(self) -> int:
        """The version without what is still to be saved."""
        return self.version - len(self._news)

    def take_news(self) -> Sequence[Event]:
        """Hand over what was announced since the last call."""
        news, self._news = self._news, []
        return news
