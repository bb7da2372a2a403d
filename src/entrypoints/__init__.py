"""The ways into Signalbox: settings, assembly, HTTP, WebSocket and the command line."""

VERSION = "0.1.0"
