"""The catalogue of events: every type that an aggregate announces, for readers of the journal and for documents."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from domain.kernel import Aggregate


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
        self.types: Mapping[str, EventTypeView] = {
            kind.name: EventTypeView(
                kind.name,
                kind.version,
                kind.stream,
                aggregate.resource_type,
                kind.sentence,
                list(kind.changes),
                dict(kind.data),
            )
            for aggregate in aggregates
            for kind in aggregate.announces.values()
        }
