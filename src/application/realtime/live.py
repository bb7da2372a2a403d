"""All live connections of this process: how they begin, what is due for them in time, and how they are drained."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from application.authentication import Authentication
from application.ports.system import Clock
from application.principal import Principal
from application.realtime.commands import Commands
from application.realtime.connection import Connection
from application.realtime.conversation import Conversation
from application.realtime.doorstep import Doorstep
from application.realtime.frames import CloseCode
from application.realtime.surroundings import Surroundings
from application.realtime.wire import Wire

TICK_SECONDS = 0.5
AT_ONCE = 500
CONGESTED_SECONDS = 30.0
BACKLOG_MAX_BYTES = 1024 * 1024
BACKLOGS_MAX_BYTES = 256 * 1024 * 1024
RENEW_JITTER_SECONDS = 15.0
WAVES_A_SECOND = 4
RETURN_SPREAD_MS = 2_000

log = logging.getLogger(__name__)


class Live:
    """The connections of this process.

    Every connection is examined twice a second. It is closed if its peer has not kept up for 30 s, has taken nothing of
    what waits for it for 30 s, or has more than 1 MiB waiting. If more than 256 MiB wait for all connections together,
    those with the most waiting bytes are closed.

    The last examination left three numbers: `backlog` is how many bytes waited for all connections, `backlog_max` how
    many waited for one of them, and `congested` how many connections did not keep up.
    """

    def __init__(
        self,
        shared: Surroundings,
        authentication: Authentication,
        clock: Clock,
        connect_seconds: float,
        doorstep: Doorstep,
        congested_seconds: float = CONGESTED_SECONDS,
    ) -> None:
        self._shared = shared
        self._commands = Commands(shared)
        self._authentication = authentication
        self._clock = clock
        self._connect_seconds = connect_seconds
        self.doorstep = doorstep
        self._congested_seconds = congested_seconds
        self._connections: set[Connection] = set()
        self.draining = False
        self.backlog = self.backlog_max = self.congested = 0
        authentication.listen(self._revoke)

    @property
    def is_held_back(self) -> bool:
        """Whether nothing is delivered, because the store could not be reached for 5 s."""
        return not self._shared.hub.lease.is_held

    def __len__(self) -> int:
        return len(self._connections)

    def begin(
        self,
        wire: Wire,
        offered: str | Principal | None,
        known: Callable[[], None] = lambda: None,
        address: str = "",
    ) -> Connection:
        """A connection on this wire. `offered` is the credential of the upgrade or the principal of a ticket, if any.

        `known` is called once, when the connection is authenticated or gone. `address` is the peer's, whole.
        """
        now = asyncio.get_running_loop().time()
        early = random.uniform(0, RENEW_JITTER_SECONDS)  # noqa: S311  # to spread load, not a secret
        conversation = Conversation(
            self._authentication,
            self._clock,
            self._shared.hub.channels.grammar,
            now,
            offered,
            self._connect_seconds,
            early,
            address,
        )
        connection = Connection(wire, conversation, self._shared, self._commands, known, self._connections.discard)
        self._connections.add(connection)
        return connection

    async def run(self) -> None:
        """Look after every connection until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            waiting: list[tuple[int, Connection]] = []
            now, instant = loop.time(), self._clock.now()
            for index, connection in enumerate(list(self._connections), 1):
                try:
                    backlog = self._look_after(connection, now, instant)
                except Exception:  # one failure must not stop the examination of the others
                    log.exception("a live connection could not be looked after")
                else:
                    if backlog:
                        waiting.append((backlog, connection))
                if index % AT_ONCE == 0:
                    await asyncio.sleep(0)
                    now, instant = loop.time(), self._clock.now()
            self._keep_within_budget(waiting)
            await asyncio.sleep(TICK_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Send all connections away within `seconds`, in waves. Each is told its own random time to come back."""
        self.draining = True
        leaving = list(self._connections)
        waves = max(1, int(seconds * WAVES_A_SECOND))
        pause_ms = int(1000 * seconds / waves)
        for wave in range(waves):
            for connection in leaving[wave::waves]:
                retry_ms = random.randrange(pause_ms, pause_ms + RETURN_SPREAD_MS)  # noqa: S311
                connection.send_away(retry_ms)
            if not self._connections:
                return
            await asyncio.sleep(seconds / waves)
        for connection in list(self._connections):
            connection.close(CloseCode.DRAINING, "draining")

    def _revoke(self, ended: Collection[UUID]) -> None:
        credentials = frozenset(ended)
        for connection in list(self._connections):
            principal = connection.conversation.principal
            if principal is not None and principal.credential_id in credentials:
                connection.do(connection.conversation.revoked())

    def _look_after(self, connection: Connection, now: float, instant: datetime) -> int:
        """Do what is due for a connection; returns how many bytes wait for its peer, or 0 if it was closed."""
        if connection.is_closed:
            return 0
        backlog = connection.wire.backlog()
        late = max(connection.congested_for(now), connection.stalled_for(now) if backlog else 0.0)
        if backlog > BACKLOG_MAX_BYTES or late > self._congested_seconds:
            connection.close(CloseCode.SLOW_CONSUMER, "slow_consumer")
            return 0
        connection.pass_on_held()
        conversation = connection.conversation
        if now >= conversation.due_at or instant >= conversation.due_by:
            connection.do(conversation.elapsed(now))
        return backlog

    def _keep_within_budget(self, waiting: list[tuple[int, Connection]]) -> None:
        total = self.backlog = sum(backlog for backlog, _ in waiting)
        self.backlog_max = max((backlog for backlog, _ in waiting), default=0)
        self.congested = sum(not connection.keeps_up for _, connection in waiting)
        if total > BACKLOGS_MAX_BYTES:
            for backlog, connection in sorted(waiting, key=lambda each: each[0], reverse=True):
                connection.close(CloseCode.SLOW_CONSUMER, "slow_consumer")
                total -= backlog
                if total <= BACKLOGS_MAX_BYTES:
                    return
