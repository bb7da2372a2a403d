"""What the players of a room tell: kept for some seconds, and brought to the room only if it says something new."""

from operator import attrgetter
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from cachetools import TTLCache
from msgspec import Meta, Raw, Struct

from application.limits import Limits
from application.ports.newest import Newest
from application.ports.observer import Observer
from application.ports.rooms import RoomQueries
from application.principal import Principal
from application.rooms.measures import DRIFT, REPORTS_PER_PARTICIPANT
from application.rooms.messages import Epoch, Position
from application.rooms.news import RoomNews
from application.rooms.scopes import ROOMS_PLAY
from application.rooms.steps import RoomSteps, require_within
from domain.channels import Channel
from domain.errors import Gone, NotFound
from domain.ids import AccountId, QueueItemId, RoomId
from domain.rooms import DURATION_MAX_MS, ROOM, STATUS, Report, lead_ms, refuse_closed

# A player reports every 5 s. One that has not for this long is not shown any more.
STATUS_SECONDS = 15.0
# Of more players than this, some reports are brought again.
HEARD_MAX = 20_000
RTT_MAX_MS = 60_000
RATE_REPORTED_MAX = 4.0


class RoomReport(Struct, frozen=True, forbid_unknown_fields=True):
    """How a player does: of which epoch and item, where it is, and whether it is ready, stands still or is at the end.

    `ready` means that it has loaded enough to play from where the room is. `rate` is how fast it plays now, `drift_ms`
    how far it is behind the room, `rtt_ms` the way to the server and back. `sync` is how closely it follows the room.
    """

    epoch: Epoch
    item_id: UUID | None
    position_ms: Position
    ready: bool = False
    buffering: bool = False
    ended: bool = False
    duration_ms: Annotated[int, Meta(ge=0, le=DURATION_MAX_MS)] | None = None
    rate: Annotated[float, Meta(ge=0, le=RATE_REPORTED_MAX)] | None = None
    drift_ms: Annotated[int, Meta(ge=-DURATION_MAX_MS, le=DURATION_MAX_MS)] | None = None
    rtt_ms: Annotated[int, Meta(ge=0, le=RTT_MAX_MS)] | None = None
    sync: Literal["strict", "relaxed", "free", "lagging"] = "strict"


class _Kept(Struct, frozen=True):
    """What matters of the report before."""

    epoch: int
    item_id: UUID | None
    ready: bool
    buffering: bool
    ended: bool
    duration_ms: int | None
    rtt_ms: int | None = None
    rate: float | None = None

    def says(self, report: RoomReport) -> bool:
        """Whether it tells the room the same as this report."""
        return _told(self) == _told(report)


_told = attrgetter("epoch", "item_id", "ready", "buffering", "ended", "duration_ms")
_decode = msgspec.json.Decoder(_Kept).decode
_FIELDS = RoomReport.__struct_fields__
_values = attrgetter(*_FIELDS)


class RoomLeads:
    """How far ahead a start of a room has to lie, so that the command has reached every player by then."""

    def __init__(self, values: Newest) -> None:
        self._values = values

    async def __call__(self, id: RoomId) -> int:
        """In milliseconds, from the slowest way that a player of the room has reported."""
        reports = [_decode(value.data) for value in await self._values.of([_status(id)])]
        return lead_ms([report.rtt_ms for report in reports if report.rtt_ms is not None])


class RoomReports:
    """Hears the players of rooms.

    Reports are values of `status:room:{id}`, by account. One that repeats what its player has told before asks the
    store nothing. This process remembers what rooms have heard through it, so a report that was lost on its way to the
    room is brought with the next one, and none is brought again because Redis has forgotten it.
    """

    def __init__(
        self, steps: RoomSteps, queries: RoomQueries, values: Newest, limits: Limits, observer: Observer
    ) -> None:
        self._news = RoomNews(steps)
        self._heard: TTLCache[tuple[RoomId, AccountId], _Kept] = TTLCache(
            HEARD_MAX, STATUS_SECONDS, lambda: steps.clock.now().timestamp()
        )
        self._queries = queries
        self._values = values
        self._limits = limits
        self._observer = observer

    async def report(self, actor: Principal, id: RoomId, report: RoomReport) -> None:
        """Hear the player of somebody who is in the room. NotFound for others, RoomClosed if it is over."""
        actor.require(ROOMS_PLAY)
        await require_within(actor, self._queries, id)
        asked = (id, actor.account_id)
        if asked not in await self._queries.participating({asked}):
            last = await self._queries.view(id, actor.account_id)
            refuse_closed(last.closed_at, last.close_reason)
            raise NotFound
        await self.told(actor, id, report)

    async def told(self, actor: Principal, id: RoomId, report: RoomReport) -> None:
        """Hear the player of somebody who follows the room, and so is in it."""
        actor.require(ROOMS_PLAY)
        place, key = _status(id), str(actor.account_id)
        if report.drift_ms is not None and report.sync != "free":
            self._observer.measured(DRIFT.name, abs(report.drift_ms) / 1_000)
        # Not with the fields that a subclass adds.
        data = Raw(msgspec.json.encode(dict(zip(_FIELDS, _values(report), strict=True))))
        told = await self._values.tell(place, key, data, STATUS_SECONDS)
        before = None if told is None else _decode(told)
        self._observer.happened("room_reported", _outcome(before, report))
        who = id, actor.account_id
        heard = self._heard.get(who)
        if heard is None or not heard.says(report) or not (before is None or before.says(report)):
            # What an attempt of before has told is no longer what the player says.
            self._heard.pop(who, None)
            await self._limits.require(REPORTS_PER_PARTICIPANT, f"{id}:{key}")
            try:
                await self._news.bring(id, actor, _news_of(report))
            except (NotFound, Gone):
                await self._values.tell(place, key, None, STATUS_SECONDS)
                raise
        self._heard[who] = _decode(data)


def _news_of(report: RoomReport) -> Report:
    return Report(
        report.epoch,
        None if report.item_id is None else QueueItemId(report.item_id),
        report.position_ms,
        report.ready,
        report.buffering,
        report.ended,
        report.duration_ms or None,
    )


def _outcome(before: _Kept | None, report: RoomReport) -> str:
    """How a report is counted. In one epoch the rate of the room stays, so another rate is a correction."""
    if report.sync == "lagging":
        return "lagging"
    if before is None or before.epoch != report.epoch or None in (before.rate, report.rate):
        return "steady"
    return "steady" if before.rate == report.rate else "corrected"


def _status(id: RoomId) -> Channel:
    return Channel(STATUS, Channel(ROOM, id))
