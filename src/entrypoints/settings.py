"""Settings: read from the environment once, validated at start, every problem reported at the same time."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from msgspec import Meta, Struct

T = TypeVar("T")

SECRET_MIN = 32
# Secrets that stand in examples somewhere, so that everybody knows them.
_KNOWN = ("secret", "changeme", "change-me", "example", "password", "default", "your-")


class InvalidSettings(Exception):
    """The environment does not describe a server that may start; `problems` says everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set, with its default; each is read from the variable of its name in upper case."""

    environment: Annotated[
        Literal["development", "production"], Meta(description="`production` refuses weak settings.")
    ] = "development"
    host: Annotated[str, Meta(description="Address to listen on; 0.0.0.0 in production.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.")] = 8000
    database_url: Annotated[str, Meta(description="PostgreSQL 15 or newer; `postgres://` is understood too.")] = ""
    database_pool_size: Annotated[
        int, Meta(description="Connections of one process at most, and two more for numbers.")
    ] = 20
    redis_url: Annotated[
        str, Meta(description="Redis 6.2 or newer; empty: one process uses its own broker and limits.")
    ] = ""
    jwt_secret: Annotated[str, Meta(description="Signs the access tokens; at least 32 characters.")] = ""
    jwt_previous_secrets: Annotated[
        tuple[str, ...],
        Meta(description="Earlier secrets, whose tokens stay valid until they expire; comma-separated."),
    ] = ()
    cors_origin: Annotated[tuple[str, ...], Meta(description="Origins whose pages may call, comma-separated.")] = ()
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Meta(description="Networks of proxies whose X-Forwarded-For counts, comma-separated."),
    ] = ()
    rate_limit_enabled: Annotated[
        bool, Meta(description="false switches every limit off, for load tests on loopback.")
    ] = True
    rate_limit_window_ms: Annotated[int, Meta(description="The window of the general limit, in milliseconds.")] = 60_000
    rate_limit_max_requests: Annotated[int, Meta(description="Requests of a user, or an address, in one window.")] = 600
    max_body_bytes: Annotated[int, Meta(description="The largest request body, at most 10,000,000.")] = 1_048_576
    request_deadline_seconds: Annotated[float, Meta(description="The longest that a request may take.")] = 30.0
    drain_seconds: Annotated[
        float, Meta(description="How long live connections are sent away before a stop, in waves.")
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")
    ] = "info"
    data_dir: Annotated[Path, Meta(description="Where the embedded mode keeps its database.")] = Path("var")

    @property
    def in_production(self) -> bool:
        return self.environment == "production"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """The settings that the environment describes; InvalidSettings with every problem at once."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        production = environ.get("ENVIRONMENT", "").strip() == "production"
        for name in cls.__struct_fields__:
            raw = environ.get(name.upper(), "").strip()
            if not raw:
                continue
            try:
                values[name] = _PARSERS[name](raw)
            except ValueError as error:
                problems.append(f"{name.upper()}: {error}")
        if production:
            values.setdefault("host", "0.0.0.0")  # noqa: S104  # a container is reached from outside itself
        settings = cls(**values)
        problems += _weaknesses(settings)
        if problems:
            raise InvalidSettings(problems)
        return settings


def _weaknesses(settings: Settings) -> list[str]:
    problems = []
    for name, secrets in (
        ("JWT_SECRET", (settings.jwt_secret,)),
        ("JWT_PREVIOUS_SECRETS", settings.jwt_previous_secrets),
    ):
        for secret in secrets:
            if len(secret) < SECRET_MIN:
                problems.append(f"{name}: at least {SECRET_MIN} characters are needed, from a random source")
            elif settings.in_production and (
                len(set(secret)) < 10 or any(known in secret.casefold() for known in _KNOWN)
            ):
                problems.append(f"{name}: this is a weak or well-known secret; make one with `openssl rand -base64 48`")
    if not settings.database_url:
        problems.append("DATABASE_URL: it is missing; `make run` brings a PostgreSQL of its own")
    if settings.in_production:
        if "*" in settings.cors_origin:
            problems.append("CORS_ORIGIN: name the origins; `*` lets any page act for a signed-in user")
        if not settings.rate_limit_enabled:
            problems.append("RATE_LIMIT_ENABLED: limits can be switched off for load tests only, not in production")
    return problems


def _number(least: float, most: float, kind: type[T]) -> Callable[[str], T]:
    def parse(raw: str) -> T:
        try:
            value = kind(raw)  # type: ignore[call-arg]
        except ValueError:
            raise ValueError(f"a number is needed, not {raw!r}") from None
        if not least <= value <= most:  # type: ignore[operator]
            raise ValueError(f"a number from {least:g} to {most:g} is needed, not {raw}")
        return value

    return parse


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is needed, not {raw!r}")
        return raw.lower()

    return parse


def _switch(raw: str) -> bool:
    if raw.lower() in {"1", "true", "yes", "on"}:
        return True
    if raw.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"true or false is needed, not {raw!r}")


def _listed(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def _networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part, strict=False) for part in _listed(raw))


def _database_url(raw: str) -> str:
    for prefix in ("postgres://", "postgresql+asyncpg://"):
        if raw.startswith(prefix):
            raw = "postgresql://" + raw.removeprefix(prefix)
    if not raw.startswith("postgresql://"):
        raise ValueError("an address like postgresql://user:password@host/database is needed")
    return raw


def _redis_url(raw: str) -> str:
    if urlsplit(raw).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("an address like redis://host:6379/0 is needed")
    return raw


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "environment": _choice("development", "production"),
    "host": str,
    "port": _number(0, 65_535, int),
    "database_url": _database_url,
    "database_pool_size": _number(2, 200, int),
    "redis_url": _redis_url,
    "jwt_secret": str,
    "jwt_previous_secrets": _listed,
    "cors_origin": _listed,
    "trusted_proxies": _networks,
    "rate_limit_enabled": _switch,
    "rate_limit_window_ms": _number(100, 86_400_000, int),
    "rate_limit_max_requests": _number(1, 1_000_000_000, int),
    "max_body_bytes": _number(1_024, 10_000_000, int),
    "request_deadline_seconds": _number(0.1, 600, float),
    "drain_seconds": _number(0, 25, float),
    "log_level": _choice("debug", "info", "warning", "error"),
    "data_dir": Path,
}
