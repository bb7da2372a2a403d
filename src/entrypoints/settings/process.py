"""Settings of the process itself."""

from typing import Annotated, Literal

from msgspec import Struct

from entrypoints import addresses
from entrypoints.settings.setting import Setting, choice, hidden, number, port_number


class Process(Struct, frozen=True, kw_only=True):
    """What a process is called, where it listens, and how it is watched."""

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
    drain_seconds: Annotated[
        float,
        Setting("How long live connections are sent away before a stop, in waves.", number(0, 25, float), "seconds"),
    ] = 5.0
    memory_degraded_percent: Annotated[
        int,
        Setting(
            "Of the container's limit, or of the machine: from here `/health` says so.", number(1, 100, int), "percent"
        ),
    ] = 80
    memory_unhealthy_percent: Annotated[
        int, Setting("From here `/health` answers 503.", number(1, 100, int), "percent")
    ] = 95
