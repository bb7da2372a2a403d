"""The WebSocket surface: it carries frames, and leaves every decision to the application."""

from entrypoints.websocket.calls import Calls
from entrypoints.websocket.gateway import gateway

__all__ = ["Calls", "gateway"]
