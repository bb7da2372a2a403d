"""What every table is made with: the metadata, and how columns of a kind look."""

from sqlalchemy import CheckConstraint, DateTime, Index, MetaData, Table

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A quiet table changes without events: it keeps positions of readers, or numbers of attempts.
QUIET = {"is_quiet": True}

Instant = DateTime(timezone=True)


def one_of(column: str, values: type) -> CheckConstraint:
    """A check that a text column has one of these values. Each new connection would have to look up a native enum."""
    listed = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def due_index(table: Table, column: str = "due_at") -> Index:
    """An index over the rows of a table that have a `due_at`, or this column. All other rows cost it nothing."""
    return Index(f"{table.name}_due", table.c[column], postgresql_where=table.c[column].is_not(None))
