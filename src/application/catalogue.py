"""The catalogue of events: every type that an aggregate announces, as readers of the journal and documents see it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from domain.kernel import Aggregate


class EventTypeView(Struct, frozen=True):
    """A type of event. `version` is that of its schema, `stream` the kind of stream that it is in.

    `resource` is the type of the resource that it happens to. `changes` names what `changes` of an event can hold, and
    `data` maps each field that its `data` can hold to what that is.
    """

    type: str
    version: int
    stream: str
    resource: str
    description: str
    changes: Sequence[str]
    data: Mapping[str, str]


class Catalogue:
    """All types of events, in the order of the aggregates that announce them; `types` maps their names to them."""

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
