"""How the parts come together: the table, the parts for operators beside it, and the assemblies made from it."""

from entrypoints.container.assemblies import assembled, in_memory, offline, without_postgres, without_redis
from entrypoints.container.table import Container

__all__ = ["Container", "assembled", "in_memory", "offline", "without_postgres", "without_redis"]
