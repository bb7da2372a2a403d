"""Whether the process lives, may get traffic, and what of it is well; for probes, outside the versioned API."""

import asyncio
import time
from collections.abc import Mapping
from typing import Literal, Protocol

from litestar import Response, Router, get
from msgspec import Struct

CHECK_SECONDS = 1.0


class Check(Struct, frozen=True):
    """One dependency: whether it answers, and how long that took."""

    status: Literal["up", "down"]
    latency_ms: float
    detail: str = ""


class Health(Struct, frozen=True):
    """The whole: `degraded` when only something dispensable is down, `unhealthy` when nothing useful can be done."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    uptime_seconds: float
    checks: Mapping[str, Check]


class Ready(Struct, frozen=True):
    """Whether this process should get traffic."""

    ready: bool
    reason: str = ""


class Checkable(Protocol):
    """Something whose `check` returns if it is well and raises with the reason if it is not."""

    async def check(self) -> None: ...


class HealthChecks:
    """Asks what the process depends on, each under its own deadline.

    `required` has to answer for traffic to come, `optional` need not.
    """

    def __init__(
        self,
        required: Mapping[str, Checkable],
        optional: Mapping[str, Checkable],
        version: str,
    ) -> None:
        self._required = required
        self._optional = optional
        self._version = version
        self._started = time.monotonic()
        self.draining = False

    async def ready(self) -> Ready:
        if self.draining:
            return Ready(False, "draining")
        for name, thing in self._required.items():
            result = await _ask(thing)
            if result.status == "down":
                return Ready(False, f"{name}: {result.detail}")
        return Ready(True)

    async def health(self) -> Health:
        checks = {name: await _ask(thing) for name, thing in (*self._required.items(), *self._optional.items())}
        status: Literal["healthy", "degraded", "unhealthy"] = "healthy"
        if any(checks[name].status == "down" for name in self._optional):
            status = "degraded"
        if any(checks[name].status == "down" for name in self._required):
            status = "unhealthy"
        return Health(status, self._version, round(time.monotonic() - self._started, 3), checks)


async def _ask(thing: Checkable) -> Check:
    began = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await thing.check()
    except Exception as error:  # noqa: BLE001  # whatever a dependency raises, the answer is that it is down
        return Check("down", _since(began), str(error) or type(error).__name__)
    return Check("up", _since(began))


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)


def health_routes(checks: HealthChecks) -> Router:
    """Routes for probes."""

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

    return Router("/", route_handlers=[live, ready, health])
