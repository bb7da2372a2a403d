"""Settings of logs and traces."""

from typing import Annotated, Literal

from entrypoints.settings.contexts import Contexts
from entrypoints.settings.setting import Setting, choice, http, number, without_password


class Sight(Contexts, frozen=True, kw_only=True):
    """What a process tells about its work."""

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
