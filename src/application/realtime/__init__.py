"""Live delivery without a socket in sight: followers of the journal, and the session of a live connection."""
