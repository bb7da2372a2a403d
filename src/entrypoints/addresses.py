"""Reads origins, hosts and addresses into one canonical form each, so that spellings are never compared."""

import re
from collections.abc import Collection
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

IpAddress = IPv4Address | IPv6Address

_USUAL_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::([0-9]{1,5}))?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOP = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def origin(text: str) -> str:
    """An origin as browsers write it: lower case, no default port. ValueError if the text is not an origin."""
    scheme, _, rest = text.strip().lower().partition("://")
    parsed = _authority(rest.removesuffix("/"), scheme) if _SCHEME.fullmatch(scheme) else None
    if parsed is None:
        raise ValueError(
            f"an origin like https://app.example.org is needed, not {text!r}: a scheme, a host as browsers send it "
            "(xn--… for other than ASCII), perhaps a port, and no path"
        )
    host, port = parsed
    return f"{scheme}://{host}" if port == _USUAL_PORTS.get(scheme) else f"{scheme}://{host}:{port}"


def host(text: str) -> str:
    """A host or address to listen on. ValueError if the text is neither."""
    if not re.fullmatch(r"[0-9A-Za-z_.:%-]+", text):
        raise ValueError(f"a host or an address is needed, not {text!r}")
    return text


def mailbox(text: str) -> str:
    """A sender of mail, as `Signalbox <signalbox@example.org>` or without a name. ValueError if the text is neither."""
    message = EmailMessage(SMTP)
    try:
        message["From"] = text
        found: tuple[Address, ...] = message["From"].addresses
        is_one = len(found) == 1 and bool(found[0].username and found[0].domain) and found[0].addr_spec.isascii()
    except (ValueError, IndexError):
        is_one = False
    # An encoded word would be decoded to whatever it holds.
    if not is_one or "=?" in text or message["From"].defects:
        raise ValueError("a sender like Signalbox <signalbox@example.org> is needed, with an address in ASCII")
    return text


def may_send(page: str, host: str, allowed: Collection[str]) -> bool:
    """Whether the origin `page` may send to this server: it is in `allowed`, or it has the same host as the request."""
    try:
        page = origin(page)
    except ValueError:
        return False
    scheme, _, rest = page.partition("://")
    return page in allowed or _authority(rest, scheme) == _authority(host.lower(), scheme)


def _authority(text: str, scheme: str) -> tuple[str, int | None] | None:
    """Host and port, by default the port of the scheme. None if the text is not a host with an optional port."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    host, port = found[1], int(found[2]) if found[2] else _USUAL_PORTS.get(scheme)
    if port is not None and not 0 < port < 65_536:
        return None
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return host, port


# A few proxies and clients send most requests.
@lru_cache(maxsize=4_096)
def address(text: str) -> IpAddress:
    """An IP address, alone or as proxies forward it: with a port, in brackets, or IPv4 mapped into IPv6.

    ValueError if the text is not an address.
    """
    found = _HOP.fullmatch(text) if text.count(":") == 1 or text.startswith("[") else None
    parsed = ip_address(text if found is None else found[1] or found[2])
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
