"""The catalogue of events: every type that an aggregate announces, for readers of the journal and for documents."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from domain.kernel import Aggregate, EventType


class EventTypeView(Struct, frozen=True):
    """A type of event. `version` is the version of its schema, `stream` the kind of stream that holds such events.

    `resource` is the type of the resource that it happens to. `changes` names the fields that the event's `changes` can
    hold. `data` maps each field that the event's `data` can hold to its description.
    """

    type: str
    version: int
    stream: str
    resource: str
    description: str
    changes: Sequence[str]
    data: Mapping[str, str]


class Catalogue:
    """All types of events by name, in `types`, in the order of the aggregates that announce them."""

    def __init__(self, aggregates: Sequence[type[Aggregate]]) -> None:
        """ValueError if two aggregates announce the same type: the schema of one would be taken for the other's."""
        self.types: dict[str, EventTypeView] = {}
        for aggregate in aggregates:
            for kind in aggregate.announces.values():
                if kind.name in self.types:
                    raise ValueError(f"two aggregates announce {kind.name}")
                self.types[kind.name] = _view(kind, aggregate.resource_type)


def _view(kind: EventType, resource: str) -> EventTypeView:
    return EventTypeView(
        kind.name, kind.version, kind.stream, resource, kind.sentence, list(kind.changes), dict(kind.data)
    )
