"""Origins, hosts and addresses: each is read into its one form, so that none is ever compared as text."""

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

IpAddress = IPv4Address | IPv6Address

_USUAL_PORTS = {"http": 80, "https": 443}
_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(\d{1,5}))?"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://{_HOST}/?")
_AUTHORITY = re.compile(_HOST)
_HOP = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def origin(text: str) -> str:
    """An origin as browsers write it: in lower case, without the usual port of its scheme; ValueError if it is none."""
    found = _ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(
            f"an origin like https://app.example.org is needed, not {text!r}: a scheme, a host as browsers send it "
            "(xn--… for other than ASCII), perhaps a port, and no path"
        )
    scheme, host, port = found.groups()
    if port is None or int(port) == _USUAL_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}"


def host(text: str) -> str:
    """A host or address to listen on; ValueError if it is none."""
    if not re.fullmatch(r"[0-9A-Za-z_.:%-]+", text):
        raise ValueError(f"a host or an address is needed, not {text!r}")
    return text


def may_send(page: str, host: str, allowed: Collection[str]) -> bool:
    """Whether a page of this origin may send to this server: it is one of `allowed`, or of the host that it asks."""
    try:
        page = origin(page)
    except ValueError:
        return False
    return page in allowed or _authority(page.partition("://")[2], page) == _authority(host, page)


def _authority(text: str, page: str) -> tuple[str, int | None] | None:
    """Host and port, which is the usual one of the page's scheme if there is none."""
    found = _AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    return found[1], int(found[2]) if found[2] else _USUAL_PORTS.get(page.partition("://")[0])


# The same few proxies and clients send request after request.
@lru_cache(maxsize=4_096)
def address(text: str) -> IpAddress:
    """An address, alone or as proxies forward it: with a port, in brackets, IPv4 inside of IPv6.

    ValueError if it is none.
    """
    found = _HOP.fullmatch(text) if text.count(":") == 1 or text.startswith("[") else None
    parsed = ip_address(text if found is None else found[1] or found[2])
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
