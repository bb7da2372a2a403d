"""Liveness, readiness and health of the process, for probes. They are outside the versioned API."""

import asyncio
import time
from collections.abc import Mapping
from typing import Literal, Protocol

from litestar import Response, Router, get
from msgspec import Struct

from application.statistics import Statistics, Summary
from domain.errors import DomainError
from entrypoints.http.request import ApiRequest

CHECK_SECONDS = 1.0
# Each dependency is checked once in this time at most, however many callers ask.
FRESH_SECONDS = 1.0
# After this many misses in a row a needed dependency makes the process unready.
MISSES_MAX = 3

Status = Literal["healthy", "degraded", "unhealthy"]
_FROM_BEST_TO_WORST: tuple[Status, ...] = ("healthy", "degraded", "unhealthy")


class Check(Struct, frozen=True):
    """The result of one check, and how long it took."""

    status: Status
    latency_ms: float
    detail: str = ""


class Health(Struct, frozen=True):
    """All checks: `degraded` if something optional is down, `unhealthy` if requests cannot be answered."""

    status: Status
    version: str
    uptime_seconds: int
    checks: Mapping[str, Check]


class Ready(Struct, frozen=True):
    """Whether this process should get traffic."""

    ready: bool
    reason: str = ""


class Checkable(Protocol):
    """Something whose health can be checked."""

    async def check(self) -> str | None:
        """None if it is well, a remark if it works but not as it should. Raises, with the reason, if it does not work.

        The remark and the detail of a DomainError are public.
        """
        ...


class Stopping(Protocol):
    """Knows whether this process is about to end."""

    @property
    def draining(self) -> bool: ...


class HealthChecks:
    """Checks all dependencies of the process at the same time, each with its own deadline.

    No request can be answered without the `needed` ones, so without them the process is not ready. A dependency that
    has answered once counts as gone after three misses in a row. `own` are resources of this process, of which
    another process may have more. An `optional` one only degrades. None stands for one that is not configured.
    """

    def __init__(
        self,
        needed: Mapping[str, Checkable | None],
        own: Mapping[str, Checkable | None],
        optional: Mapping[str, Checkable | None],
        stopping: Stopping,
        version: str,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._needed = _watched(needed, fresh_seconds)
        self._optional = _watched(optional, fresh_seconds)
        self._all = {**self._needed, **_watched(own, fresh_seconds), **self._optional}
        self._stopping = stopping
        self._version = version
        self._started = time.monotonic()
        # The last answer of /ready, or None if there was none.
        self.was_ready: bool | None = None

    async def ready(self) -> Ready:
        ready = await self._ready()
        self.was_ready = ready.ready
        return ready

    async def _ready(self) -> Ready:
        if self._stopping.draining:
            return Ready(False, "draining")
        checks = await _looked_at(self._needed)
        for name, check in checks.items():
            if self._needed[name].is_missing:
                return Ready(False, f"{name}: {check.detail}")
        return Ready(True)

    async def health(self) -> Health:
        checks = await _looked_at(self._all)
        found: set[Status] = {
            "degraded" if name in self._optional and check.status != "healthy" else check.status
            for name, check in checks.items()
        }
        status = max(found, key=_FROM_BEST_TO_WORST.index, default=_FROM_BEST_TO_WORST[0])
        return Health(status, self._version, int(time.monotonic() - self._started), checks)


class _Watched:
    """A dependency that is not checked again while its result is fresh. Counts its misses in a row."""

    def __init__(self, thing: Checkable, fresh_seconds: float) -> None:
        self._thing = thing
        self._fresh_seconds = fresh_seconds
        self._looking: asyncio.Task[Check] | None = None
        self._asking: asyncio.Task[tuple[Status, str]] | None = None
        self._began = 0.0
        self._misses = MISSES_MAX  # it has never been well

    @property
    def is_missing(self) -> bool:
        return self._misses >= MISSES_MAX

    async def look(self) -> Check:
        stale = time.monotonic() - self._began >= self._fresh_seconds
        if self._looking is None or (self._looking.done() and stale):
            self._began = time.monotonic()
            self._looking = asyncio.create_task(self._look())
        # Several callers share one check, and one that is cancelled must not cancel it.
        return await asyncio.shield(self._looking)

    async def _look(self) -> Check:
        # A check that hangs may ignore its cancellation. We do not wait for it, and start no second one beside it.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(_ask(self._thing))
        answered, _ = await asyncio.wait({self._asking}, timeout=CHECK_SECONDS)
        status: Status = "unhealthy"
        detail = f"There was no answer within {CHECK_SECONDS:g} s."
        if not answered:
            self._asking.cancel()
        elif not self._asking.cancelled():
            status, detail = self._asking.result()
        self._misses = self._misses + 1 if status == "unhealthy" else 0
        return Check(status, round(1000 * (time.monotonic() - self._began), 2), detail)


async def _ask(thing: Checkable) -> tuple[Status, str]:
    try:
        remark = await thing.check()
    except DomainError as error:
        return "unhealthy", error.detail
    except Exception as error:  # noqa: BLE001  # any error means that it is not well
        # Only the type, because the message may hold an address.
        return "unhealthy", type(error).__name__
    return ("degraded", remark) if remark else ("healthy", "")


def _watched(things: Mapping[str, Checkable | None], fresh_seconds: float) -> Mapping[str, _Watched]:
    return {name: _Watched(thing, fresh_seconds) for name, thing in things.items() if thing is not None}


async def _looked_at(things: Mapping[str, _Watched]) -> Mapping[str, Check]:
    checks = await asyncio.gather(*(thing.look() for thing in things.values()))
    return dict(zip(things, checks, strict=True))


def health_routes(checks: HealthChecks, statistics: Statistics) -> Router:
    """Routes for probes, and statistics for admins."""

    @get("/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @get("/ready", include_in_schema=False)
    async def ready() -> Response[Ready]:
        result = await checks.ready()
        return Response(result, status_code=200 if result.ready else 503)

    @get("/health", include_in_schema=False)
    async def health() -> Response[Health]:
        result = await checks.health()
        return Response(result, status_code=503 if result.status == "unhealthy" else 200)

    @get("/stats", include_in_schema=False)
    async def stats(request: ApiRequest) -> Summary:
        return await statistics.summary(request.actor)

    return Router("/", route_handlers=[live, ready, health, stats])
