"""Ports that are kept behind the same port, so that nobody who asks knows of it."""
