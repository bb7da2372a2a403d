"""One setting: its meaning, how its text is parsed, and how it may be shown."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from entrypoints import addresses

T = TypeVar("T")

# Secrets that appear in examples, so attackers know them.
_KNOWN = ("secret", "changeme", "change-me", "example", "password", "default", "your-")
# A password in a URL: before the last @ of the host, or in the query.
_PASSWORD = re.compile(r"(?P<before>://[^:/?#]*:|[?&](?:ssl)?password=)(?:(?<=:)[^/?#]*(?=@)|(?<==)[^&#]*)")


def text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def hidden(value: object) -> str:
    return "***" if value else ""


def without_password(value: object) -> str:
    return _PASSWORD.sub(r"\g<before>***", str(value))


class Setting(NamedTuple):
    """One setting: its meaning, how its text is parsed, and how it may be shown.

    `parse` raises ValueError that says what is needed, and never repeats a possible secret. `production` is the
    default in production if it differs.
    """

    meaning: str
    parse: Callable[[str], Any]
    unit: str = ""
    production: object = None
    show: Callable[[object], str] = text


def number(least: float, most: float, kind: type[T]) -> Callable[[str], T]:
    def parse(raw: str) -> T:
        try:
            value = kind(raw)  # type: ignore[call-arg]
        except ValueError:
            raise ValueError(f"a number is needed, not {raw!r}") from None
        if not least <= value <= most:  # type: ignore[operator]
            raise ValueError(f"a number from {least:g} to {most:g} is needed, not {raw}")
        return value

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is needed, not {raw!r}")
        return raw.lower()

    return parse


def switch(raw: str) -> bool:
    if raw.lower() in {"1", "true", "yes", "on"}:
        return True
    if raw.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"true or false is needed, not {raw!r}")


def listed(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def origins(raw: str) -> tuple[str, ...]:
    return tuple(part if part == "*" else addresses.origin(part) for part in listed(raw))


def networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part, strict=False) for part in listed(raw))


def address(like: str, *schemes: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        try:
            parts = urlsplit(raw)
        except ValueError:
            raise ValueError(f"an address like {like} is needed") from None
        if parts.scheme not in schemes:
            raise ValueError(f"an address like {like} is needed")
        # A client's error would quote an invalid port, and that may be half of a password.
        for authority in parts.netloc.rpartition("@")[2].split(","):
            if not re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", authority):
                raise ValueError(
                    f"an address like {like} is needed; write / ? # @ : in a password as %2F %3F %23 %40 %3A"
                )
        return raw

    return parse


def database(raw: str) -> str:
    for prefix in ("postgres://", "postgresql+asyncpg://"):
        if raw.startswith(prefix):
            raw = "postgresql://" + raw.removeprefix(prefix)
    return address("postgresql://user:password@host/database", "postgresql")(raw)


def page(raw: str) -> str:
    found = addresses.origin(raw)
    if not found.startswith(("http://", "https://")):
        raise ValueError("an origin like https://app.example.org is needed, which begins with https:// or http://")
    return found


def mail_server(raw: str) -> str:
    checked = address("smtp://user:password@host:587", "smtp", "smtps")(raw)
    try:
        parts = urlsplit(checked)
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError:
        has_host = False
    if not has_host or parts.path.strip("/") or parts.query:
        raise ValueError("an address like smtp://user:password@host:587 is needed, with nothing behind it")
    if "@" in parts.netloc and not (parts.username and parts.password):
        raise ValueError("a user and a password are needed before the @, or neither and no @")
    for part in (parts.username or "", parts.password or ""):
        if re.search("%(?![0-9A-Fa-f]{2})", part) or not _is_utf8(part):
            raise ValueError(
                "in the user and the password, % stands before two hexadecimal digits of UTF-8; write % as %25"
            )
    return checked


def _is_utf8(part: str) -> bool:
    try:
        unquote(part, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


redis = address("redis://host:6379/0", "redis", "rediss", "unix")
http = address("http://host:4318", "http", "https")
port_number = number(0, 65_535, int)
quota = number(1, 1_000_000_000, int)


def is_guessable(secret: str) -> bool:
    """Whether the secret has few distinct characters, repeats a piece, runs along the alphabet or is an example."""
    repeats = any(secret.startswith(secret[length:]) for length in range(1, len(secret) // 2 + 1))
    neighbours = sum(abs(ord(one) - ord(next)) <= 1 for one, next in pairwise(secret))
    return (
        len(set(secret)) < 10
        or repeats
        or neighbours > len(secret) / 2
        or any(known in secret.casefold() for known in _KNOWN)
    )
