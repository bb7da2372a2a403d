"""What people can do with Signalbox: the use cases, their messages, and their ports to the world."""
