"""Assemblies for tests of the HTTP surface: in memory or on PostgreSQL, called in process or over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from dependency_injector import providers
from litestar.types import ASGIApp

from adapters.mail import KeptMailer, Letters
from adapters.memory.system import MovableClock
from adapters.security.passwords import Argon2Hasher
from adapters.telemetry.metrics import Metrics
from adapters.telemetry.observer import TelemetryObserver
from entrypoints.container import Container, assembled, in_memory, offline
from entrypoints.lifetimes import furnished
from entrypoints.server import Server, configuration
from entrypoints.settings import Settings
from tests.support.clients import client


def cheap_hasher() -> providers.Provider[Argon2Hasher]:
    """Hashing as cheap as argon2 allows; one for each assembly, which closes it at its end."""
    return providers.Singleton(Argon2Hasher, memory_kib=8, passes=1)


def set_to(**changes: Any) -> providers.Object[Settings]:
    """The settings of an assembly in memory with no rate limit, or with these changes to them."""
    return providers.Object(msgspec.structs.replace(offline(), **({"rate_limit_enabled": False} | changes)))


def house_in_memory(**changes: Any) -> Container:
    """The assembly in memory with no rate limit, and with these providers in place of others."""
    return in_memory(**({"settings": set_to()} | changes))


def watched_house(**settings: Any) -> Container:
    """An assembly in memory that is watched as one in production is."""
    return observed(house_in_memory(settings=set_to(**settings)))


def observed(house: Container, traces: Any = None, ratio: float = 1.0) -> Container:
    """The assembly, watched as one in production is."""
    metrics = providers.Singleton(Metrics, "1.2.3", "web-1", house.counted, house.measures)
    observer = providers.Singleton(TelemetryObserver, metrics, traces, ratio, 1_000.0, 200.0)
    house.override_providers(metrics=metrics, observer=observer)
    return house


def house_on_postgres(database_url: str, **changes: Any) -> Container:
    """The assembly on PostgreSQL with no rate limit, cheap hashing, a clock to move and mail that stays in memory."""
    clock = providers.Singleton(MovableClock)
    mailer = providers.Singleton(KeptMailer, Letters("post@example.org", "https://signalbox.test"))
    own = {"clock": clock, "hasher": cheap_hasher(), "mailer": mailer}
    return assembled(**{"settings": set_to(database_url=database_url), **own, **changes})


@asynccontextmanager
async def opened(house: Container) -> AsyncIterator[None]:
    """The assembly with everything open that it holds, and its loops running."""
    async with furnished(house), house.running()():
        yield


@asynccontextmanager
async def visited(house: Container, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the assembly in process, from this network address."""
    transport = httpx.ASGITransport(house.app(), client=(address, 50_000))  # type: ignore[arg-type]
    async with opened(house), client(transport=transport) as http:
        yield http


@asynccontextmanager
async def serving(app: ASGIApp, settings: Settings | None = None) -> AsyncIterator[tuple[Server, int]]:
    """A server of an application over real sockets in this process, and its port."""
    config = configuration(app, msgspec.structs.replace(settings or offline(), port=0))
    config.timeout_graceful_shutdown = 1
    server = Server(config, lambda: None)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    (socket,) = server.servers[0].sockets
    try:
        yield server, socket.getsockname()[1]
    finally:
        await server.shutdown()


@asynccontextmanager
async def served(house: Container) -> AsyncIterator[str]:
    """The address of an assembly that this process serves over real sockets."""
    async with opened(house), serving(house.app(), house.settings()) as (_, port):
        yield f"http://127.0.0.1:{port}"
