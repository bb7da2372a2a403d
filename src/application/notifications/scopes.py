"""What a credential can be allowed to do with notifications."""

from application.scopes import Scope

NOTIFICATIONS_READ = Scope("notifications:read", "Read notifications, and of what the account wants to be told.")
NOTIFICATIONS_WRITE = Scope(
    "notifications:write", "Mark notifications as read, remove them, and change of what the account wants to be told."
)
