"""Settings of trust."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from entrypoints.settings.setting import Setting, choice, hidden, listed, networks, origins
from entrypoints.settings.stores import Stores


class Trust(Stores, frozen=True, kw_only=True):
    """Whom a process trusts: secrets, pages of other sites, proxies."""

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
    mfa_required: Annotated[
        Literal["off", "admins", "all"],
        Setting(
            "Whose accounts may do nothing before they have a second factor: nobody's, those of admins, or all.",
            choice("off", "admins", "all"),
        ),
    ] = "off"
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Setting("Networks of proxies whose X-Forwarded-For counts, comma-separated.", networks),
    ] = ()
