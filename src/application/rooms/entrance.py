"""How somebody comes into a room: by its id or its code, with its password, as an account or as a guest."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from application.limits import Limits
from application.ports.identity import PasswordHasher
from application.ports.limits import Policy
from application.ports.observer import Observer
from application.ports.rooms import RoomQueries, RoomWork
from application.ports.system import Ids
from application.ports.unit_of_work import retried
from application.principal import Principal
from application.rooms.codes import normal_code
from application.rooms.measures import CODES_PER_ADDRESS, PASSWORDS_PER_ROOM
from application.rooms.messages import GuestToken, JoinByCode, JoinRoom, RoomJoined
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ, ROOMS_WRITE
from application.rooms.steps import RoomSteps
from application.turns import OneByOne
from domain.errors import DomainError, Invalid, NotFound
from domain.ids import AccountId, ParticipantId, RoomId
from domain.rooms import Room, Visibility, WrongRoomPassword
from domain.text import normal_password

# Thirty passwords take about that long, if all come at once.
PATIENCE_SECONDS = 5.0

Find = Callable[[RoomWork], Awaitable[Room]]
NameOf = Callable[[Any, AccountId], Awaitable[str]]
"""The name of an account, asked in a unit of work."""


@dataclass(frozen=True, slots=True)
class _Comer:
    """Somebody at the door: an account, or None with the name that a guest wants. `key` counts their attempts."""

    account: AccountId | None
    display_name: str
    key: str


class Entrance:
    """Lets people into rooms. A room that somebody may not know of is NotFound to them."""

    def __init__(
        self,
        steps: RoomSteps,
        queries: RoomQueries,
        name_of: NameOf,
        hasher: PasswordHasher,
        limits: Limits,
        observer: Observer,
        ids: Ids,
    ) -> None:
        self._steps = steps
        self._queries = queries
        self._name_of = name_of
        self._hasher = hasher
        self._limits = limits
        self._observer = observer
        self._ids = ids
        self._trying = OneByOne(PATIENCE_SECONDS)

    async def join(self, actor: Principal, id: RoomId, join: JoinRoom) -> RoomJoined:
        """Come in by the id, or come back. NotFound for a private room, unless the caller is in it or opened it.

        Who is in it already needs no more than to play, so a guest comes back into its room and into no other.
        RoomFull, Banned, WrongRoomPassword, RoomClosed, Exhausted.
        """
        actor.require(ROOMS_PLAY)
        account = actor.account_id
        if (id, account) not in await self._queries.participating({(id, account)}):
            actor.require(ROOMS_WRITE)

        async def find(work: RoomWork) -> Room:
            room = await work.rooms.get(id)
            actor.require_within(id, room.workspace_id)
            knows = room.created_by == account or room.participant_of(account) is not None
            if room.visibility is Visibility.PRIVATE and not knows:
                raise NotFound
            return room

        return await self._come(_Comer(account, "", str(account)), find, join.password)

    async def enter(self, actor: Principal | None, join: JoinByCode, address: str) -> RoomJoined:
        """Come in by the code, from this network address. A caller without a token comes as a guest.

        NotFound if no room has the code. RoomClosed, RoomFull, Banned, GuestsNotAllowed, WrongRoomPassword, Exhausted.
        """
        if actor is None:
            if join.display_name is None:
                raise Invalid("Give a name to join as a guest, or sign in.", pointer="/display_name")
            comer = _Comer(None, join.display_name, address)
        else:
            actor.require(ROOMS_WRITE)
            comer = _Comer(actor.account_id, "", str(actor.account_id))

        async def find(work: RoomWork) -> Room:
            room = await work.rooms.by_code(normal_code(join.join_code))
            if actor is not None:
                actor.require_within(room.id, room.workspace_id)
            return room

        return await self._come(comer, find, join.password, address)

    async def _come(self, comer: _Comer, find: Find, password: str | None, address: str | None = None) -> RoomJoined:
        try:
            if address is not None:
                await self._try(comer, find, address)
            joined = await self._join(comer, find, await self._compared(comer, find, password))
        except DomainError as refusal:
            self._observer.happened("room_joined", refusal.code)
            raise
        self._observer.happened("room_joined", "guest" if joined.guest else "account")
        return joined

    async def _try(self, comer: _Comer, find: Find, address: str) -> None:
        """NotFound if the code finds no room, which counts against the address."""
        async with self._attempt(CODES_PER_ADDRESS, address), self._steps.work() as work:
            await self._found(work, comer, find)

    @asynccontextmanager
    async def _attempt(self, policy: Policy, key: str) -> AsyncIterator[None]:
        """Count what fails in the block, and nothing else: all people of a school, who share an address, may come in.

        An attempt counts until it has succeeded, so of many wrong ones at once no more pass than the limit says. Those
        of one key have turns, so that many right ones at once all pass.
        """
        async with self._trying.turn((policy.name, key)):
            await self._limits.require(policy, key)
            yield
            await self._limits.give_back(policy, key)

    @retried
    async def _join(self, comer: _Comer, find: Find, compared: str | None) -> RoomJoined:
        now, token = self._steps.clock.now(), None
        async with self._steps.work() as work:
            room = await self._found(work, comer, find)
            room.check_entry(comer.account, now)
            if self._asks(room, comer) and room.password_hash != compared:
                raise WrongRoomPassword("The password of the room has just changed. Try again.")
            before, account, name = replace(room), comer.account, ""
            if account is None:
                scopes = [ROOMS_READ, ROOMS_PLAY]
                guest, token = self._steps.keeping.guests.came(work, comer.display_name, scopes, room.expires_at, now)
                account, name = guest.id, guest.display_name
            elif room.participant_of(account) is None:
                name = await self._name_of(work, account)
            room.join(ParticipantId(self._ids.new()), account, name, now, is_guest=token is not None)
            await self._steps.keeping.save(work, before, room, account)
        found = await self._queries.snapshot(room.id, account)
        (participant,) = (each for each in found.room.participants if each.account_id == account)
        seconds = int((room.expires_at - now).total_seconds())
        guest_token = None if token is None else GuestToken(token, "Bearer", seconds)
        return RoomJoined(participant, found.room, found.journal_epoch, found.offset, guest_token)

    async def _compared(self, comer: _Comer, find: Find, password: str | None) -> str | None:
        """The hash with which the password was compared, None if the caller needs none.

        It is compared outside of a unit of work, because that is slow on purpose.
        """
        async with self._steps.work() as work:
            room = await self._found(work, comer, find)
            room.check_entry(comer.account, self._steps.clock.now())
        if not self._asks(room, comer):
            return None
        if password is None:
            raise WrongRoomPassword("This room needs a password.")
        # Of one room: a right password elsewhere must not buy further attempts here.
        async with self._attempt(PASSWORDS_PER_ROOM, f"{room.id}:{comer.key}"):
            if not await self._hasher.verify(normal_password(password), room.password_hash):
                raise WrongRoomPassword("This is not the password of the room.")
        return room.password_hash

    async def _found(self, work: RoomWork, comer: _Comer, find: Find) -> Room:
        room = await find(work)
        if room.visibility is Visibility.WORKSPACE and not _is_in(room, comer):
            if comer.account is None or room.workspace_id is None:
                raise NotFound
            await work.access.standing(room.workspace_id, comer.account)
        return room

    @staticmethod
    def _asks(room: Room, comer: _Comer) -> bool:
        """Whether the room asks this one for a password. Those who are in it are not asked again."""
        return room.password_set and not _is_in(room, comer)


def _is_in(room: Room, comer: _Comer) -> bool:
    return comer.account is not None and room.participant_of(comer.account) is not None
