"""Settings of what a process takes."""

from typing import Annotated

from entrypoints.settings.reach import Reach
from entrypoints.settings.setting import Setting, number, switch


class Bounds(Reach, frozen=True, kw_only=True):
    """How much anybody may ask of a process."""

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
