"""The scopes of tasks."""

from application.scopes import Scope

TASKS_READ = Scope("tasks:read", "Read tasks, their comments and their history, and follow a task.")
TASKS_WRITE = Scope("tasks:write", "Change tasks and comments in every way that the account may.")
