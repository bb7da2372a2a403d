"""The write path, from `async with work()` to COMMIT: one module for each step, in this order.

1. `opened`: a unit of work begins, by itself or within the transaction of a request that has an idempotency key.
2. `noted`: its repositories read what they need, and note the changes. Nothing is written yet.
3. `changed`: on leaving, the notes become one change: parts, counts and the records of the journal.
4. `queued`: the change is applied at once if its stream is idle. Otherwise it waits, and shares the next statement.
5. `applied`: the changes become one statement that verifies and writes everything, or a transaction if it is too long.
6. COMMIT. Back in `opened`, the events are published as hints.
"""

from adapters.postgres.unit_of_work.noted import PostgresUnit
from adapters.postgres.unit_of_work.opened import Enclosing, PostgresUnitOfWork, Repository, enclosing

__all__ = ["Enclosing", "PostgresUnit", "PostgresUnitOfWork", "Repository", "enclosing"]
