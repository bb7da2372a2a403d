"""What the settings choose of what the container offers."""

from application.quotas import Quotas
from entrypoints.settings import Settings


def quotas_of(settings: Settings) -> Quotas:
    """How many of each kind a workspace and an account may have."""

    def limits(*kinds: str) -> dict[str, int]:
        return {kind: getattr(settings, f"quota_{kind}") for kind in kinds}

    return Quotas(
        of_workspaces=limits("tasks", "open_tasks", "comments", "members", "invitations"),
        of_accounts=limits("workspaces", "sessions", "tickets"),
    )


def sharing_by(settings: Settings) -> str:
    """Several processes share their broker and limits over Redis; without one there is one process."""
    return "redis" if settings.redis_url else "process"


def caching_by(settings: Settings) -> str:
    """Lists are kept if there is room for any."""
    return "on" if settings.cache_max_bytes else "off"
