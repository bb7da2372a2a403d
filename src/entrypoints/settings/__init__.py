"""Settings, read from the environment once. They are validated at start, and all problems are reported together.

Each module holds a group of them. A struct with fields has one parent, so each group goes on from the one before, and
`Settings`, in `all`, has every field.
"""

from entrypoints.settings.all import InvalidSettings, Settings, table

__all__ = ["InvalidSettings", "Settings", "table"]
