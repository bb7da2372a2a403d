"""The HTTP surface: one edge that every request passes once, and one thin set of routes per context."""
