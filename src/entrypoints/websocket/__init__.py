"""The WebSocket surface: a loop that reads frames, and nothing that decides."""
