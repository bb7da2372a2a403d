"""Finds what is wrong with a deployment, before its first start or later, and says what to do about it."""

import asyncio
import errno
import json
import resource
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from domain.errors import DomainError
from entrypoints.container import Container, assembled
from entrypoints.http.health import Checkable
from entrypoints.lifetimes import opened
from entrypoints.settings import InvalidSettings, Settings

ANSWER_SECONDS = 5.0
FAR_MS = 20.0
ASTRAY_SECONDS = 2.0  # access tokens are read within 5 s
# Files that a process opens besides connections. Connection pools are counted separately.
OWN_FILES = 100
SOCKETS_NEEDED = 500
SOCKETS_WANTED = 10_000

_CLOCKS = "Synchronise the clocks of all machines, with NTP for example."


class Diagnosis(Struct, frozen=True):
    """The result of one check: its name, a verdict and what was found. `advice` says what to do if it is not well."""

    check: str
    verdict: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""


class Service(Protocol):
    """An external service that has a version and a clock."""

    async def identify(self) -> tuple[str, datetime]: ...


async def examine(environ: Mapping[str, str]) -> list[Diagnosis]:
    """Check everything that this environment describes. A check that fails does not hide the others."""
    try:
        settings = Settings.read(environ)
    except InvalidSettings as invalid:
        parts = (problem.partition(": ") for problem in invalid.problems)
        return [
            Diagnosis("settings", "wrong", f"{name} will not do.", f"{what[:1].upper()}{what[1:]}.")
            for name, _, what in parts
        ]
    house = assembled(settings)
    own = house.own()
    async with asynccontextmanager(opened)(house.database(), house.numbers_database()):
        found = await asyncio.gather(
            _database(house),
            _redis(house),
            _thing("memory", own["memory"], "Grant more memory, or serve fewer connections with one process."),
            _thing("mail", house.mailer(), "Name a mail server in SMTP_URL; `signalbox trial-mail ADDRESS` tries it."),
            _thing("disk", own["disk"], f"Make room where {settings.data_dir} is."),
            asyncio.to_thread(_port, settings),
        )
    return [*_settings(settings), *(diagnosis for some in found for diagnosis in some), _files(settings)]


def is_well(diagnoses: Iterable[Diagnosis]) -> bool:
    """Whether no verdict is `wrong`. A `note` is allowed."""
    return all(diagnosis.verdict != "wrong" for diagnosis in diagnoses)


def _settings(settings: Settings) -> Iterable[Diagnosis]:
    yield Diagnosis("settings", "ok", f"They describe a server for {settings.environment}.")
    if settings.in_production and not settings.redis_url:
        yield Diagnosis(
            "settings",
            "note",
            "Without REDIS_URL a process knows nothing of others.",
            "Run one process, or set REDIS_URL.",
        )
    redis = urlsplit(settings.redis_url)
    if settings.in_production and redis.hostname and not redis.password:
        yield Diagnosis(
            "settings",
            "note",
            "REDIS_URL has no password.",
            "Give Redis one: whoever can write there can set limits back and show anybody as present.",
        )
    if settings.in_production and not settings.trusted_proxies:
        yield Diagnosis(
            "settings",
            "note",
            "Without TRUSTED_PROXIES all who come through a proxy share its limits.",
            "If there is a proxy in front, name its network.",
        )


async def _service(name: str, service: Service, oldest: tuple[int, ...], advice: str) -> list[Diagnosis]:
    """Whether the service answers quickly, has a supported version, and its clock agrees with ours."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await service.identify()  # connects, so that the next call measures the answer alone
            began, asked_at = time.perf_counter(), datetime.now(UTC)
            version, clock = await service.identify()
    except Exception as error:  # noqa: BLE001  # any error is a diagnosis
        return [Diagnosis(name, "wrong", _reason(error), advice)]
    took_ms = 1000 * (time.perf_counter() - began)
    found = f"Version {version} answers in {took_ms:.1f} ms."
    number = tuple(int(part) for part in version.split(".") if part.isdecimal())
    if number < oldest:
        least = ".".join(map(str, oldest))
        diagnosis = Diagnosis(name, "wrong", found, f"Version {least} or newer is needed.")
    elif took_ms > FAR_MS:
        diagnosis = Diagnosis(name, "note", found, "Bring it nearer: every request waits for it.")
    else:
        diagnosis = Diagnosis(name, "ok", found)
    astray = (clock - asked_at).total_seconds()
    is_right = abs(astray) < ASTRAY_SECONDS + took_ms / 1000
    found = f"That of the {name} differs from ours by {abs(astray):.3f} s."
    return [diagnosis, Diagnosis("clock", "ok", found) if is_right else Diagnosis("clock", "wrong", found, _CLOCKS)]


async def _database(house: Container) -> list[Diagnosis]:
    found = await _service("database", house.database(), (15,), "Start PostgreSQL, or correct DATABASE_URL.")
    if is_well(found):
        found += await _thing("migrations", house.needed()["migrations"], "Run `signalbox migrate`.")
        if house.settings().in_production:
            found += await _thing("role", house.rights(), "Give the processes the one of deploy/postgres/roles.sql.")
    return found


async def _redis(house: Container) -> list[Diagnosis]:
    if house.redis() is None:
        return []
    found = await _service("redis", house.redis(), (6, 2), "Start Redis, or correct REDIS_URL.")
    if is_well(found):
        found += [d for d in await _thing("redis", house.redis(), "Change it in its settings.") if d.verdict != "ok"]
    return found


async def _thing(name: str, thing: Checkable, advice: str) -> list[Diagnosis]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            remark = await thing.check()
    except Exception as error:  # noqa: BLE001  # any error is a diagnosis
        return [Diagnosis(name, "wrong", _reason(error), advice)]
    return [Diagnosis(name, "note", remark, advice) if remark else Diagnosis(name, "ok", "All is well.")]


def _port(settings: Settings) -> list[Diagnosis]:
    address = f"{settings.host}:{settings.port}"
    try:
        with socket.create_server(
            (settings.host, settings.port), family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        ):
            return [Diagnosis("port", "ok", f"{address} is free.")]
    except OSError as error:
        if error.errno == errno.EADDRINUSE and (found := _served(settings)):
            return [Diagnosis("port", "ok", f"{address} is served: {found}.")]
        return [Diagnosis("port", "wrong", f"{address}: {error.strerror}.", "End what has it, or set HOST and PORT.")]


def _served(settings: Settings) -> str | None:
    """What serves at the configured port, if it is Signalbox."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # a wildcard
    host = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{host}:{settings.port}/health", timeout=ANSWER_SECONDS) as answer:
            health = json.load(answer)
    except urllib.error.HTTPError as error:  # 503 has a body too
        try:
            health = json.load(error)
        except ValueError:
            return None
    except (OSError, ValueError):
        return None
    if not isinstance(health, dict) or not {"version", "status"} <= health.keys():
        return None
    return f"Signalbox {health['version']}, {health['status']}"


def _files(settings: Settings) -> Diagnosis:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = limit - settings.database_pool_size - OWN_FILES
    found = f"The limit of {limit:,} open files leaves room for {max(room, 0):,} connections."
    if room >= SOCKETS_WANTED or limit == resource.RLIM_INFINITY:
        return Diagnosis("files", "ok", found)
    advice = "Raise it: `ulimit -n 65536`, LimitNOFILE= of systemd, or the ulimits of the container."
    return Diagnosis("files", "note" if room >= SOCKETS_NEEDED else "wrong", found, advice)


def _reason(error: Exception) -> str:
    """What an operator can act upon: our own detail, or the kind and message of the error that caused this one."""
    behind = error.__cause__ or error
    if isinstance(behind, DomainError):
        return behind.detail
    return f"{type(behind).__name__}: {behind}" if str(behind) else f"{type(behind).__name__}."
