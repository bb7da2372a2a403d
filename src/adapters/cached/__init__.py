"""Adapters that cache the answers of another adapter of the same port, invisibly to the caller."""
