"""How Signalbox is started and spoken to: settings, assembly, HTTP, WebSocket and the command line."""

VERSION = "0.1.0"
