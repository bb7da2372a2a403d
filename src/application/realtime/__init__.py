"""Live delivery, independent of any socket: followers of the journal, and the conversation of a live connection."""

from application.realtime.attendances import Attendances
from application.realtime.doorstep import Doorstep
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.realtime.lobby import Lobby
from application.realtime.patrol import Patrol
from application.realtime.surroundings import Surroundings
from application.realtime.tickets import Tickets

__all__ = [
    "Attendances",
    "Doorstep",
    "Hub",
    "Live",
    "Lobby",
    "Patrol",
    "Surroundings",
    "Tickets",
]
