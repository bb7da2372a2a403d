"""Everything the use cases ask of the world, one file per context; each docstring is a contract for every adapter."""
