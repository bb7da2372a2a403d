"""The store: tables and statements in SQLAlchemy Core, executed on asyncpg's own pool."""
