"""A client of live connections for Python programs: it stays connected, and goes on where it was cut off."""

from entrypoints.client.client import Client
from entrypoints.client.errors import CommandRefused, Stopped
from entrypoints.client.subscription import Frame, Subscription

__all__ = ["Client", "CommandRefused", "Frame", "Stopped", "Subscription"]
