"""Dependency injection: the table of all parts, the parts for operators, and the assemblies made from them."""

from entrypoints.container.assemblies import assembled, in_memory, offline, without_postgres, without_redis
from entrypoints.container.table import Container

__all__ = ["Container", "assembled", "in_memory", "offline", "without_postgres", "without_redis"]
