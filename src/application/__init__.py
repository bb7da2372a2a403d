"""What people can do with Signalbox: use cases, their messages, and the ports they ask the world through."""
