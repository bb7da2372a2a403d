"""Settings, read from the environment once. They are validated at start, and all problems are reported together."""

import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from application.ports.idempotency import ANSWERS_KEPT
from entrypoints.settings.setting import Setting, is_guessable, text
from entrypoints.settings.sight import Sight

SECRET_MIN = 32
# Answers to others that name somebody are gone by the time at which the account is deleted.
GRACE_MIN = int(ANSWERS_KEPT.total_seconds())
# Variables that hosting platforms set.
_HOSTED = ("RAILWAY_ENVIRONMENT", "RAILWAY_ENVIRONMENT_NAME", "RENDER")
_REPLICAS = ("RAILWAY_REPLICA_ID", "RENDER_INSTANCE_ID")
_ADDRESSES = ("RAILWAY_PUBLIC_DOMAIN", "RENDER_EXTERNAL_HOSTNAME")


class InvalidSettings(Exception):
    """The environment describes no server that may start. `problems` holds one text for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(Sight, frozen=True, kw_only=True):
    """All settings with their defaults. Each is read from the variable that has its name in upper case."""

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
    host = next((described[name] for name in _ADDRESSES if name in described), None)
    if host:
        described.setdefault("PUBLIC_URL", f"https://{host}")
    elif (port := described.get("PORT", "")).isdecimal() and 0 < int(port) < 65_536:
        described.setdefault("PUBLIC_URL", f"http://127.0.0.1:{port}")
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
        yield from _weaknesses_in_production(settings)


def _weaknesses_in_production(settings: Settings) -> Iterator[str]:
    if settings.email_verification == "required" and not settings.smtp_url:
        yield "EMAIL_VERIFICATION: with `required` and without SMTP_URL nobody gets a link, and so nobody in"
    if settings.smtp_url and settings.public_url == f"http://127.0.0.1:{settings.port}":
        yield "PUBLIC_URL: say where people reach this server, because links in mails lead there"
    if settings.smtp_url and settings.mail_from == Settings().mail_from:
        yield "MAIL_FROM: say who writes, under an address for which your mail server may send"
    if "*" in settings.cors_origin:
        yield "CORS_ORIGIN: name the origins; `*` lets any page act for a signed-in user"
    if settings.deletion_grace_seconds < GRACE_MIN:
        yield f"DELETION_GRACE_SECONDS: at least {GRACE_MIN}, because answers that name somebody are kept so long"
    if not settings.rate_limit_enabled:
        yield "RATE_LIMIT_ENABLED: limits can be switched off for load tests only, not in production"
