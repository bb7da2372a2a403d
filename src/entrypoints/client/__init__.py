"""A client of live connections for Python programs: it reconnects by itself, and resumes where it was interrupted."""

from entrypoints.client.client import Client
from entrypoints.client.errors import CommandRefused, Stopped
from entrypoints.client.following import MediaPlayer
from entrypoints.client.rooms import RoomPlayer
from entrypoints.client.subscription import Frame, Subscription

__all__ = ["Client", "CommandRefused", "Frame", "MediaPlayer", "RoomPlayer", "Stopped", "Subscription"]
