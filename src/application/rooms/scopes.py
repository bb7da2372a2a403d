"""What a credential can be allowed to do with rooms."""

from application.scopes import Scope

ROOMS_READ = Scope("rooms:read", "Read and follow the rooms that the account is in.")
ROOMS_PLAY = Scope(
    "rooms:play", "Control what plays, speak, vote and arrange the queue in those rooms, come back to and leave them."
)
ROOMS_WRITE = Scope("rooms:write", "Open, join, change and close rooms, and say who is in them.")
