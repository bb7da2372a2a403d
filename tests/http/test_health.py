"""What a process says about itself: to probes, to whoever is on call, and to admins."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import httpx
import pytest
from dependency_injector import providers

from domain.errors import Unavailable
from entrypoints.container import Container
from entrypoints.http.health import MISSES_MAX, HealthChecks
from tests.http.house import house_in_memory, visited
from tests.http.test_problems import problem
from tests.support.clients import Person, done, log_in, sign_up


class Thing:
    """Something that is as it is told to be: well, strained with a remark, or failing with an error."""

    def __init__(self, state: str | Exception | None = None) -> None:
        self.state = state
        self.asked = 0

    async def check(self) -> str | None:
        self.asked += 1
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


class Silent:
    """Something that never answers."""

    async def check(self) -> str | None:
        await asyncio.Event().wait()
        return None


class Stubborn(Thing):
    """Something that hangs, and goes on hanging when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def check(self) -> str | None:
        self.asked += 1
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        return None


class Together:
    """Something that answers only while all of its kind are being asked."""

    def __init__(self, everybody: asyncio.Barrier) -> None:
        self._everybody = everybody

    async def check(self) -> str | None:
        await self._everybody.wait()
        return None


class Leaving:
    draining = False


DOWN = Unavailable("It does not answer.")


def checks(
    needed: Mapping[str, object] | None = None,
    own: Mapping[str, object] | None = None,
    optional: Mapping[str, object] | None = None,
    fresh_seconds: float = 0.0,
) -> HealthChecks:
    """Checks that ask anew each time, unless they are told not to."""
    return HealthChecks(needed or {}, own or {}, optional or {}, Leaving(), "1.2.3", fresh_seconds)  # type: ignore[arg-type]


async def test_a_process_is_not_ready_before_what_it_needs_has_answered_once() -> None:
    thing = Thing(DOWN)
    asked = checks({"database": thing})
    first = await asked.ready()
    assert (first.ready, first.reason) == (False, "database: It does not answer.")
    thing.state = None
    assert (await asked.ready()).ready


async def test_three_misses_in_a_row_end_readiness_and_one_answer_brings_it_back() -> None:
    thing = Thing()
    asked = checks({"database": thing})
    assert (await asked.ready()).ready
    for _ in range(2):  # a hit between the misses begins the count anew
        thing.state = DOWN
        assert [(await asked.ready()).ready for _ in range(MISSES_MAX - 1)] == [True] * (MISSES_MAX - 1)
        thing.state = None
        assert (await asked.ready()).ready
    thing.state = DOWN
    assert [(await asked.ready()).ready for _ in range(MISSES_MAX)] == [True, True, False]
    thing.state = None
    assert (await asked.ready()).ready


async def test_traffic_comes_whatever_is_optional_or_strained() -> None:
    asked = checks({"database": Thing("It is slow.")}, {"memory": Thing(DOWN)}, {"redis": Thing(DOWN)})
    assert (await asked.ready()).ready


@pytest.mark.parametrize(
    ("needed", "own", "optional", "whole"),
    [
        (None, None, None, "healthy"),
        (None, None, DOWN, "degraded"),
        (None, None, "a remark", "degraded"),
        (None, "a remark", None, "degraded"),
        (None, DOWN, None, "unhealthy"),
        ("a remark", None, DOWN, "degraded"),
        (DOWN, None, None, "unhealthy"),
        (DOWN, "a remark", DOWN, "unhealthy"),
    ],
)
async def test_only_what_is_not_optional_makes_the_whole_unhealthy(
    needed: str | Exception | None, own: str | Exception | None, optional: str | Exception | None, whole: str
) -> None:
    asked = checks({"database": Thing(needed)}, {"memory": Thing(own)}, {"redis": Thing(optional), "replica": None})
    health = await asked.health()
    assert health.status == whole
    assert list(health.checks) == ["database", "memory", "redis"]
    for name, state in (("database", needed), ("memory", own), ("redis", optional)):
        status = "healthy" if state is None else "degraded" if isinstance(state, str) else "unhealthy"
        assert health.checks[name].status == status
        assert health.checks[name].detail == str(state or "")


async def test_everything_is_asked_at_the_same_time() -> None:
    everybody = asyncio.Barrier(6)
    needed, own, optional = (
        {f"{kind} {n}": Together(everybody) for n in range(2)} for kind in ("needed", "own", "optional")
    )
    assert (await checks(needed, own, optional).health()).status == "healthy"


async def test_each_thing_has_a_deadline_of_its_own() -> None:
    health = await checks({"database": Thing(), "broker": Silent()}).health()
    assert health.checks["database"].status == "healthy"
    assert health.checks["database"].latency_ms < 900
    assert health.checks["broker"].status == "unhealthy"
    assert health.checks["broker"].latency_ms > 900
    assert health.checks["broker"].detail == "There was no answer within 1 s."


async def test_what_hangs_even_when_it_is_cancelled_holds_nobody_up_and_is_not_asked_twice_at_a_time() -> None:
    thing = Stubborn()
    asked = checks({"database": thing})
    async with asyncio.timeout(20):
        assert not (await asked.ready()).ready
        assert not (await asked.ready()).ready
        assert thing.asked == 1
        thing.released.set()
        while not (await asked.ready()).ready:
            pass


async def test_however_many_ask_a_thing_is_asked_once_while_the_answer_is_fresh() -> None:
    thing = Thing()
    asked = checks({"database": thing}, fresh_seconds=3600)
    await asyncio.gather(*(asked.ready() for _ in range(50)), *(asked.health() for _ in range(50)))
    assert thing.asked == 1


async def test_whoever_gives_up_waiting_spoils_nothing_for_the_others() -> None:
    everybody = asyncio.Barrier(2)
    asked = checks({"database": Together(everybody)})
    impatient, patient = (asyncio.create_task(asked.ready()) for _ in range(2))
    async with asyncio.timeout(20):
        while not everybody.n_waiting:
            await asyncio.sleep(0)
        impatient.cancel()
        await everybody.wait()
        assert (await patient).ready


async def test_nobody_is_told_what_an_unexpected_error_says() -> None:
    health = await checks({"database": Thing(OSError("connect to 10.0.0.7 as ada: hunter2"))}).health()
    assert health.checks["database"].detail == "OSError"


def house_of(**things: Mapping[str, object]) -> Container:
    return house_in_memory(**{kind: providers.Dict({**some}) for kind, some in things.items()})


async def test_probes_tell_by_their_status_how_it_is() -> None:
    thing, redis = Thing(), Thing(DOWN)
    async with visited(house_of(needed={"database": thing}, own={}, optional={"redis": redis})) as http:
        assert (await http.get("/live")).status_code == 200
        assert (await http.get("/ready")).status_code == 200
        degraded = await http.get("/health")
        assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
        assert set(degraded.json()) == {"status", "version", "uptime_seconds", "checks"}
    thing.state = DOWN
    async with visited(house_of(needed={"database": thing}, own={}, optional={})) as http:
        assert (await http.get("/live")).status_code == 200
        assert (await http.get("/ready")).status_code == 503
        unhealthy = await http.get("/health")
        assert (unhealthy.status_code, unhealthy.json()["status"]) == (503, "unhealthy")


async def test_a_process_that_drains_gets_no_more_traffic_but_lives() -> None:
    house = house_in_memory()
    async with visited(house) as http:
        assert (await http.get("/ready")).status_code == 200
        await house.live().drain(0)
        ready = await http.get("/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
        assert (await http.get("/live")).status_code == 200
        assert (await http.get("/health")).status_code == 200


async def test_statistics_are_for_admins_of_the_installation(house: Container, http: httpx.AsyncClient) -> None:
    assert problem(await http.get("/stats"), 401, "token_missing")
    assert problem(await http.get("/stats", headers={"Authorization": "Bearer no"}), 401, "token_invalid")
    ada = await sign_up(http, "Ada")
    assert problem(await http.get("/stats", headers=ada.authorization), 403, "permission_denied")
    await house.administration().make_admin(ada.email)
    admin: Person = await log_in(http, ada.email)
    figures = done(await http.get("/stats", headers=admin.authorization))
    assert set(figures) == {"instance", "connections", "streams_followed", "pool", "stored"}
    assert list(figures["stored"]) == [
        *("mails_waiting", "accounts", "workspaces", "tasks", "comments"),
        *("rooms", "rooms_open", "room_participants", "notifications"),
        *("streams", "events"),
    ]
    assert figures["stored"]["accounts"] >= 1
