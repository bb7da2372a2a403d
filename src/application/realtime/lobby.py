"""Presence: kept in the store, announced through the broker, and corrected by asking the store every 5 s."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Raw

from application.ports.events import Broker, Signal
from application.ports.presence import Attendance, Presence
from application.realtime.attendances import Attendances
from application.realtime.hub import Hub
from application.realtime.topic import ABSENT, Here, Topic
from domain.channels import PRESENCE
from domain.errors import Unavailable
from domain.ids import AccountId

# A lost connection stays present for this long, so that a reconnection in time is not shown as leaving and joining.
GRACE_SECONDS = 10.0
REAP_SECONDS = 1.0
REAPINGS_MAX = 40
REFRESH_EVERY = 2  # reapings
CORRECT_EVERY = 5  # reapings
CONNECTIONS_MAX = 10
# How long a process waits for the others to tell how long their connections of an account were silent.
ASKED_SECONDS = 0.3
# At most this many questions to the store run at once, however many connections end in one moment.
AT_ONCE = 64

log = logging.getLogger(__name__)


class Guest(Protocol):
    """A connection as the lobby sees it."""

    id: str

    @property
    def silent_seconds(self) -> float:
        """How long ago its peer last sent anything."""
        ...

    def give_way(self) -> None:
        """End, because the account has too many connections for now."""
        ...


class Lobby:
    """Keeps the attendances of this process, and announces which accounts join and leave.

    An account joins with its first connection and leaves with its last, counted over all instances. The broker may lose
    an announcement, so every 5 s each process asks the store who is present on the channels that are followed here.

    An account may have 10 connections on all instances together. If it has more, every process tells how long its own
    connections of the account were silent, and those that were silent for the longest give way. A change of network
    leaves connections behind that are never closed, and the connections that replace them were heard more recently.
    """

    def __init__(
        self,
        presence: Presence,
        broker: Broker,
        hub: Hub,
        attendances: Attendances,
        is_limited: bool = True,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """Without `is_limited` an account may have any number of connections."""
        self._presence = presence
        self._is_limited = is_limited
        self._grace_seconds = grace_seconds
        self._broker = broker
        self._hub = hub
        self._attendances = attendances
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._leaving: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._guests: dict[AccountId, dict[str, Guest]] = {}
        self._silences: dict[AccountId, dict[str, float]] = {}
        self._deciding: set[asyncio.Task[None]] = set()
        hub.watch(_CROWDED, self._heard_of_a_crowd)

    async def admit(self, account: AccountId, guest: Guest) -> bool:
        """Count a connection of an account until it is dismissed; returns whether it may stay.

        Beyond 10 it may stay too, and others give way; beyond 20 it may not. It may stay if the store does not answer,
        so that an outage of the store locks no account out.
        """
        if not self._is_limited:
            return True
        self._guests.setdefault(account, {})[guest.id] = guest
        try:
            attendance = await self._presence.enter(_door(account), account, guest.id)
        except Unavailable:
            return True
        is_let_in = attendance.connections <= 2 * CONNECTIONS_MAX
        if not is_let_in:
            self._forget(account, guest.id)  # otherwise another connection would give way to it
        if attendance.connections > CONNECTIONS_MAX:
            self._broker.publish([_crowd(account, {})])
        return is_let_in

    def dismiss(self, account: AccountId, connection: str) -> None:
        """Stop counting a connection, soon."""
        if self._is_limited:
            self._forget(account, connection)
            self._leave_soon(_door(account), connection, "bye")

    def _forget(self, account: AccountId, connection: str) -> None:
        guests = self._guests.get(account, {})
        guests.pop(connection, None)
        if not guests:
            self._guests.pop(account, None)

    def _heard_of_a_crowd(self, signal: Signal) -> None:
        """A process asks about the connections of an account, or tells how long its own were silent."""
        account = AccountId(UUID(signal.key))
        if account not in self._guests:
            return
        told = _decode_silences(signal.data)
        if account in self._silences:
            self._silences[account].update(told)
        else:
            self._silences[account] = told
            deciding = asyncio.create_task(self._decide(account), context=Context())
            self._deciding.add(deciding)
            deciding.add_done_callback(self._deciding.discard)
        if not told:
            own = {id: guest.silent_seconds for id, guest in self._guests[account].items()}
            self._broker.publish([_crowd(account, own)])

    async def _decide(self, account: AccountId) -> None:
        """End the connections here that are among the longest silent of the account on all processes."""
        await asyncio.sleep(ASKED_SECONDS)
        silences = self._silences.pop(account)
        surplus = max(0, len(silences) - CONNECTIONS_MAX)
        for _, id in sorted(((seconds, id) for id, seconds in silences.items()), reverse=True)[:surplus]:
            if guest := self._guests.get(account, {}).get(id):
                guest.give_way()

    async def enter(self, topic: Topic, account: AccountId, connection: str) -> None:
        """Be present on a channel. Unavailable, and not present, if the store does not answer."""
        if leaving := self._leaving.get((topic.name, connection)):
            await asyncio.wait([leaving])  # otherwise it would end the presence that begins here
        try:
            attendance = await self._presence.enter(topic.name, account, connection)
        except Unavailable:
            self.leave(topic.name, connection)
            raise
        if attendance.connections == 1:
            self._tell([attendance], Here(True))

    def leave(self, channel: str, connection: str) -> None:
        """Stop being present, soon."""
        self._leave_soon(channel, connection, "bye")

    def linger(self, channel: str, connection: str) -> None:
        """Stop being present after 10 s. An account that is back by then never left."""
        self._leave_soon(channel, connection, "lost", self._grace_seconds)

    async def correct(self, topic: Topic) -> None:
        """Ask the store who is present; Unavailable if it does not answer. Who may just be missing there stays."""
        found = await self._presence.present(topic.name)
        kept = () if found.is_complete else topic.present()
        for account in topic.correct(found.version, {*found.accounts, *kept}):
            self._attendances.tell(topic.name, account, ABSENT)

    async def run(self) -> None:
        """Renew the lease of this process, end the attendances of dead processes, and correct the followed channels."""
        turn = 0
        while True:
            try:
                if turn % REFRESH_EVERY == 0:
                    self._tell(await self._presence.refresh(), Here(True))
                for _ in range(REAPINGS_MAX):  # a dead process may have left more attendances than one call ends
                    gone = await self._presence.reap()
                    self._tell(gone, Here(False, "lost"))
                    if not gone:
                        break
                if turn % CORRECT_EVERY == 0:
                    await self._correct_all()
            except Unavailable as problem:
                log.debug("presence stands still: %s", problem)
            turn += 1
            await asyncio.sleep(REAP_SECONDS)

    async def _correct_all(self) -> None:
        topics = [topic for topic in self._hub.topics() if topic.channel.kind is PRESENCE]
        for start in range(0, len(topics), AT_ONCE):
            await asyncio.gather(*(self.correct(topic) for topic in topics[start : start + AT_ONCE]))

    def _leave_soon(self, channel: str, connection: str, why: Literal["bye", "lost"], seconds: float = 0.0) -> None:
        leaving = self._leaving[channel, connection] = asyncio.create_task(
            self._leave(channel, connection, why, seconds)
        )
        leaving.add_done_callback(lambda _: self._leaving.pop((channel, connection), None))

    async def _leave(self, channel: str, connection: str, why: Literal["bye", "lost"], seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            async with self._turns:
                attendance = await self._presence.leave(channel, connection)
        except Unavailable:
            return  # the next `refresh` tells the store
        if attendance is not None and attendance.connections == 0:
            self._tell([attendance], Here(False, why))

    def _tell(self, attendances: Iterable[Attendance], here: Here) -> None:
        changes = [each for each in attendances if not each.channel.startswith(_DOOR)]
        if changes:
            data = Raw(msgspec.json.encode(here))
            self._broker.publish([Signal(each.channel, str(each.account), each.version, data) for each in changes])
            for each in changes:
                self._attendances.tell(each.channel, each.account, here)


_DOOR = "connections:"
_CROWDED = "crowded"
_decode_silences = msgspec.json.Decoder(dict[str, float]).decode


def _crowd(account: AccountId, silences: Mapping[str, float]) -> Signal:
    """Tells for how many seconds connections of an account were silent; an empty mapping asks the processes for it."""
    return Signal(_CROWDED, str(account), 0, Raw(msgspec.json.encode(silences)))


def _door(account: AccountId) -> str:
    """The place where an account's connections are counted. It is not a channel, so it cannot be followed."""
    return f"{_DOOR}{account}"
