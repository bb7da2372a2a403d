"""Settings, read from the environment once. They are validated at start, and all problems are reported together."""

import os
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from msgspec import Struct

from entrypoints import addresses
from entrypoints.setting import (
    Setting,
    choice,
    database,
    hidden,
    http,
    is_guessable,
    listed,
    networks,
    number,
    origins,
    port_number,
    quota,
    redis,
    switch,
    text,
    without_password,
)

T = TypeVar("T")

SECRET_MIN = 32
# Variables that hosting platforms set.
_HOSTED = ("RAILWAY_ENVIRONMENT", "RAILWAY_ENVIRONMENT_NAME", "RENDER")
_REPLICAS = ("RAILWAY_REPLICA_ID", "RENDER_INSTANCE_ID")


class InvalidSettings(Exception):
    """The environment describes no server that may start. `problems` holds one text for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(Struct, frozen=True, kw_only=True):
    """All settings with their defaults. Each is read from the variable that has its name in upper case."""

    environment: Annotated[
        Literal["development", "production"],
        Setting(
            "`production` refuses weak settings; on Railway and Render it is the default.",
            choice("development", "production"),
        ),
    ] = "development"
    instance: Annotated[
        str,
        Setting(
            "Name of this process in logs, metrics and traces; empty: the platform's, or the host's with the pid.", str
        ),
    ] = ""

    host: Annotated[str, Setting("Address to listen on.", addresses.host, production="0.0.0.0")] = "127.0.0.1"  # noqa: S104  # a container is reached from outside itself
    port: Annotated[int, Setting("Port to listen on.", port_number)] = 8000
    probe_port: Annotated[
        int,
        Setting("Port on which a thread of its own answers `/live` and `/metrics`, unguarded; 0: none.", port_number),
    ] = 0
    metrics_token: Annotated[
        str,
        Setting(
            "Bearer token for `/metrics`, 32 characters or more; in production it is shut without one.",
            str,
            show=hidden,
        ),
    ] = ""

    database_url: Annotated[
        str, Setting("PostgreSQL 15 or newer; `postgres://` is understood too.", database, show=without_password)
    ] = ""
    database_read_replica_url: Annotated[
        str,
        Setting("A replica of it, for pages of the past of `/events`; empty: none.", database, show=without_password),
    ] = ""
    database_pool_size: Annotated[
        int,
        Setting("Connections of one process at most, and two more for numbers.", number(2, 200, int), "connections"),
    ] = 20
    database_pool_wait_seconds: Annotated[
        float,
        Setting("How long a request waits for a connection, then gets 503.", number(0.01, 30, float), "seconds"),
    ] = 2.0
    database_pool_idle_seconds: Annotated[
        float,
        Setting("A connection that nobody needs is closed within that time.", number(1, 86_400, float), "seconds"),
    ] = 300.0
    long_list_seconds: Annotated[
        float,
        Setting(
            "How long a list may be looked for if no index has it in its order.", number(0.01, 5, float), "seconds"
        ),
    ] = 2.0
    redis_url: Annotated[
        str,
        Setting("Redis 6.2 or newer; empty: one process uses its own broker and limits.", redis, show=without_password),
    ] = ""
    data_dir: Annotated[Path, Setting("Where the embedded mode keeps its database.", Path)] = Path("var")

    jwt_secret: Annotated[str, Setting("Signs the access tokens; at least 32 characters.", str, show=hidden)] = ""
    jwt_previous_secrets: Annotated[
        tuple[str, ...],
        Setting("Earlier secrets, whose tokens stay valid until they expire; comma-separated.", listed, show=hidden),
    ] = ()
    cors_origin: Annotated[tuple[str, ...], Setting("Origins whose pages may call, comma-separated.", origins)] = ()
    cookie_samesite: Annotated[
        Literal["strict", "none"],
        Setting(
            "Whether pages of another site that stand in CORS_ORIGIN get the refresh cookie (`none`) or not.",
            choice("strict", "none"),
        ),
    ] = "strict"
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Setting("Networks of proxies whose X-Forwarded-For counts, comma-separated.", networks),
    ] = ()

    cache_max_bytes: Annotated[
        int,
        Setting(
            "What a process keeps of lists that were asked for, and puts into Redis in a minute; 0: no cache.",
            number(0, 100_000_000_000, int),
            "bytes",
        ),
    ] = 33_554_432

    rate_limit_enabled: Annotated[
        bool, Setting("`false` switches every limit off, for load tests on loopback.", switch)
    ] = True
    rate_limit_window_ms: Annotated[
        int, Setting("The window of the general limit.", number(100, 86_400_000, int), "milliseconds")
    ] = 60_000
    rate_limit_max_requests: Annotated[
        int,
        Setting("Requests of a user, or an address, in one window.", number(1, 1_000_000_000, int), "requests"),
    ] = 600
    rate_limit_in_hand: Annotated[
        int,
        Setting(
            "How many of a user's requests one process answers at a time, streams and commands included.",
            number(1, 100_000, int),
            "requests",
        ),
    ] = 64
    unconnected_per_address: Annotated[
        int,
        Setting(
            "Live connections of one address that may wait for their `connect`; more are refused with 429.",
            number(1, 1_000_000, int),
            "connections",
        ),
    ] = 100
    unconnected_max: Annotated[
        int,
        Setting(
            "The same of all addresses at one process; more are refused with 503.",
            number(1, 1_000_000, int),
            "connections",
        ),
    ] = 5_000
    quota_tasks: Annotated[int, Setting("Tasks of a workspace that are not deleted.", quota, "tasks")] = 200_000
    quota_open_tasks: Annotated[int, Setting("Open tasks of one member of a workspace.", quota, "tasks")] = 10_000
    quota_comments: Annotated[int, Setting("Comments on those tasks of a workspace.", quota, "comments")] = 1_000_000
    quota_members: Annotated[int, Setting("Members of a workspace.", number(1, 10_000, int), "members")] = 500
    quota_invitations: Annotated[
        int, Setting("Invitations into a workspace that still admit somebody.", number(1, 200, int), "invitations")
    ] = 200
    quota_workspaces: Annotated[int, Setting("Workspaces that an account is in.", quota, "workspaces")] = 50
    quota_sessions: Annotated[
        int, Setting("Sessions of an account; one more ends the oldest.", number(1, 1_000, int), "sessions")
    ] = 100
    quota_tickets: Annotated[
        int, Setting("Tickets of an account; one more replaces the oldest.", number(1, 1_000, int), "tickets")
    ] = 10
    max_body_bytes: Annotated[
        int, Setting("The largest request body, at most 10,000,000.", number(1_024, 10_000_000, int), "bytes")
    ] = 1_048_576
    request_deadline_seconds: Annotated[
        float,
        Setting(
            "The longest that a request may take, and an answer of which nobody takes anything.",
            number(0.1, 600, float),
            "seconds",
        ),
    ] = 30.0
    drain_seconds: Annotated[
        float,
        Setting("How long live connections are sent away before a stop, in waves.", number(0, 25, float), "seconds"),
    ] = 5.0
    event_retention_days: Annotated[
        int,
        Setting("How long events are kept, and with them histories; 0: for ever.", number(0, 36_500, int), "days"),
    ] = 0
    session_retention_days: Annotated[
        int,
        Setting(
            "How long a session that is over is kept, with its address; 0: for ever.", number(0, 3_650, int), "days"
        ),
    ] = 30
    invitation_retention_days: Annotated[
        int,
        Setting("How long an invitation that ran out is kept; 0: for ever.", number(0, 3_650, int), "days"),
    ] = 30
    memory_degraded_percent: Annotated[
        int,
        Setting(
            "Of the container's limit, or of the machine: from here `/health` says so.", number(1, 100, int), "percent"
        ),
    ] = 80
    memory_unhealthy_percent: Annotated[
        int, Setting("From here `/health` answers 503.", number(1, 100, int), "percent")
    ] = 95

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Setting("The least that is logged.", choice("debug", "info", "warning", "error")),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        Setting("Lines for people or for machines.", choice("text", "json"), production="json"),
    ] = "text"
    slow_request_ms: Annotated[
        float, Setting("A request from here on is logged as slow.", number(0, 600_000, float), "milliseconds")
    ] = 1000.0
    slow_query_ms: Annotated[
        float, Setting("A query from here on is logged as slow.", number(0, 600_000, float), "milliseconds")
    ] = 200.0
    otel_exporter_otlp_endpoint: Annotated[
        str,
        Setting("Where traces go, over OTLP/HTTP; empty: nowhere.", http, show=without_password),
    ] = ""
    otel_service_name: Annotated[str, Setting("The service that traces are of.", str)] = "signalbox"
    otel_traces_sampler_arg: Annotated[
        float,
        Setting(
            "The share of requests and commands whose traces are recorded, whatever callers say.",
            number(0, 1, float),
            "ratio",
            production=0.01,
        ),
    ] = 1.0

    @property
    def in_production(self) -> bool:
        return self.environment == "production"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that the environment describes. InvalidSettings with all problems."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        described = _described(environ)
        for name, setting in _SETTINGS.items():
            if raw := described.get(name.upper()):
                try:
                    values[name] = setting.parse(raw)
                except ValueError as error:
                    problems.append(f"{name.upper()}: {error}")
        if values.get("environment") == "production":
            for name, setting in _SETTINGS.items():
                if setting.production is not None:
                    values.setdefault(name, setting.production)
        settings = cls(**values)
        said = {problem.partition(":")[0] for problem in problems}
        problems += [weakness for weakness in _weaknesses(settings) if weakness.partition(":")[0] not in said]
        if problems:
            raise InvalidSettings(problems)
        return settings

    def shown(self) -> Iterator[tuple[str, str]]:
        """Each variable with its value. Secrets and passwords in addresses are hidden."""
        for name, setting in _SETTINGS.items():
            yield name.upper(), setting.show(getattr(self, name))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value in self.shown())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.shown())


_SETTINGS: Mapping[str, Setting] = {
    name: setting
    for name, hint in get_type_hints(Settings, include_extras=True).items()
    for setting in get_args(hint)
    if isinstance(setting, Setting)
}


def table() -> str:
    """A table in Markdown with a row for each setting."""
    defaults = Settings()
    rows = ["| variable | default | unit | meaning |", "|---|---|---|---|"]
    for name, setting in _SETTINGS.items():
        usual = text(getattr(defaults, name))
        default = f"`{usual}`" if usual else ""
        if setting.production is not None:
            default += f"; in production `{text(setting.production)}`"
        rows.append(f"| `{name.upper()}` | {default} | {setting.unit} | {setting.meaning} |")
    return "\n".join(rows)


def _described(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, completed by the variables of hosting platforms where ours are missing."""
    described = {name: value.strip() for name, value in environ.items() if value.strip()}
    if any(described.get(name) for name in _HOSTED):
        described.setdefault("ENVIRONMENT", "production")
    replica = next((described[name] for name in _REPLICAS if name in described), None)
    described.setdefault("INSTANCE", replica or f"{socket.gethostname()}-{os.getpid()}")
    return described


def _weaknesses(settings: Settings) -> Iterator[str]:
    for name, secrets in (
        ("JWT_SECRET", (settings.jwt_secret,)),
        ("JWT_PREVIOUS_SECRETS", settings.jwt_previous_secrets),
        ("METRICS_TOKEN", (settings.metrics_token,) if settings.metrics_token else ()),
    ):
        for secret in secrets:
            if len(secret) < SECRET_MIN:
                yield f"{name}: at least {SECRET_MIN} characters are needed, from a random source"
            elif settings.in_production and is_guessable(secret):
                yield f"{name}: this is a weak or well-known secret; make one with `openssl rand -base64 48`"
    if not settings.database_url:
        yield "DATABASE_URL: it is missing; `make run` brings a PostgreSQL of its own"
    ports = [port for port in (settings.port, settings.probe_port) if port]
    if len(set(ports)) < len(ports):
        yield "PORT and PROBE_PORT: each needs a port of its own"
    if settings.memory_degraded_percent > settings.memory_unhealthy_percent:
        yield "MEMORY_DEGRADED_PERCENT: it cannot be more than MEMORY_UNHEALTHY_PERCENT"
    if settings.cookie_samesite == "none" and not set(settings.cors_origin) - {"*"}:
        yield "COOKIE_SAMESITE: `none` is for pages of other sites; name their origins in CORS_ORIGIN"
    if settings.in_production:
        if "*" in settings.cors_origin:
            yield "CORS_ORIGIN: name the origins; `*` lets any page act for a signed-in user"
        if not settings.rate_limit_enabled:
            yield "RATE_LIMIT_ENABLED: limits can be switched off for load tests only, not in production"
