"""The WebSocket surface: it carries frames, and leaves every decision to the application."""

from entrypoints.websocket.calls import Calls
from entrypoints.websocket.gateway import gateway
from entrypoints.websocket.tasks import task_methods

__all__ = ["Calls", "gateway", "task_methods"]
