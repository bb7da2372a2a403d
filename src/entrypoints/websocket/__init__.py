"""The WebSocket surface: a loop that reads frames, and nothing that decides."""

from entrypoints.websocket.calls import Calls
from entrypoints.websocket.gateway import gateway
from entrypoints.websocket.tasks import task_methods

__all__ = ["Calls", "gateway", "task_methods"]
