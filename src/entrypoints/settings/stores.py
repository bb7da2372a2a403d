"""Settings of the stores."""

from pathlib import Path
from typing import Annotated

from entrypoints.settings.process import Process
from entrypoints.settings.setting import Setting, database, number, redis, without_password


class Stores(Process, frozen=True, kw_only=True):
    """Where everything is kept: PostgreSQL, Redis, and the memory of the process."""

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
    cache_max_bytes: Annotated[
        int,
        Setting(
            "What a process keeps of lists that were asked for, and puts into Redis in a minute; 0: no cache.",
            number(0, 100_000_000_000, int),
            "bytes",
        ),
    ] = 33_554_432
    data_dir: Annotated[
        Path, Setting("Where the embedded mode keeps its database, and mails are without SMTP_URL.", Path)
    ] = Path("var")
