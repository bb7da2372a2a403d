"""How often a note may be opened, and what is counted and measured of notes."""

from application.ports.limits import Policy
from application.ports.observer import Happening, Measure

OPENED_PER_ACCOUNT = Policy("notes_opened", 5, 60_000, "Those are notes enough for a minute.")
WAVES_PER_ACCOUNT = Policy("waves", 5, 5_000, "Wave a little less.")
BURNT = Happening("note_burnt", "notes_burnt", "length", "Notes that were burnt, by their length.", ("short", "long"))
LATE = Measure("note_late_seconds", "How late a note did what it was due for.", (0.1, 1, 10, 60))
