"""Figures about the store and this process, for admins of the installation."""

from collections.abc import Mapping

from msgspec import Struct

from application.ports.store import Pool, StoreQueries
from application.principal import Principal
from application.realtime.hub import Hub
from application.realtime.live import Live
from application.scopes import SESSION
from domain.errors import Forbidden


class Summary(Struct, frozen=True):
    """The name of this process, its live connections, the streams they follow, its pool, and figures of the store."""

    instance: str
    connections: int
    streams_followed: int
    pool: Pool
    stored: Mapping[str, int]


class Statistics:
    """The figures that an admin may see about the whole installation."""

    def __init__(self, store: StoreQueries, live: Live, hub: Hub, instance: str) -> None:
        self._store = store
        self._live = live
        self._hub = hub
        self._instance = instance

    async def summary(self, actor: Principal) -> Summary:
        """The present figures. Forbidden for a caller who is no admin, Unavailable if the store does not answer."""
        actor.require(SESSION)
        if not actor.is_admin:
            raise Forbidden("This is for admins of the installation.")
        stored = await self._store.stored()
        return Summary(self._instance, len(self._live), self._hub.followed, self._store.pool(), stored)
