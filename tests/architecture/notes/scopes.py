"""What a credential can be allowed to do with notes."""

from application.scopes import Scope

NOTES_READ = Scope("notes:read", "Read and follow notes.")
NOTES_WRITE = Scope("notes:write", "Write notes, and say who takes part in them.")
