"""The use cases of rooms but coming in: who is in, what plays, and what time does."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from application.limits import Limits
from application.paging import Page
from application.ports.identity import PasswordHasher
from application.ports.observer import Observer
from application.ports.presence import Presence, Present
from application.ports.rooms import (
    ParticipantView,
    RoomQueries,
    RoomSnapshot,
    RoomView,
    StateView,
    participant_view,
    state_view,
    view_of,
)
from application.ports.secrets import Secrets
from application.ports.system import Ids
from application.ports.unit_of_work import retried
from application.principal import Principal
from application.rooms.codes import new_code
from application.rooms.entrance import NameOf
from application.rooms.measures import COMMANDS_PER_PARTICIPANT, INVITATIONS_PER_ACCOUNT
from application.rooms.messages import (
    Command,
    HostTransfer,
    NewRoom,
    ParticipantPatch,
    PolicyChoices,
    RoomInvitation,
    RoomPatch,
    Skip,
)
from application.rooms.notices import may_ask, may_come
from application.rooms.scopes import ROOMS_PLAY, ROOMS_READ, ROOMS_WRITE
from application.rooms.steps import RoomSteps, go_on, require_version, workspace_of
from domain.access import Permission
from domain.channels import PRESENCE, Channel
from domain.errors import Invalid, NotFound, Unavailable
from domain.ids import AccountId, ParticipantId, QueueItemId, RoomId, WorkspaceId
from domain.rooms import ROOM, NotInvitable, Policies, Right, Room, StaleEpoch
from domain.text import normal_password

# What each action needs, and what it takes besides.
_FIELDS = {
    "play": ((), ("position_ms",)),
    "pause": ((), ()),
    "seek": (("position_ms",), ()),
    "rate": (("rate",), ()),
    "load": (("item_id",), ("position_ms",)),
    "next": ((), ("item_id",)),
}


class Rooms:
    """The use cases of rooms. To an account that is not in a room, it is NotFound; one that is over is RoomClosed.

    A new room lasts for `lifetime_seconds`, and lets in `most` at most.
    """

    def __init__(
        self,
        steps: RoomSteps,
        queries: RoomQueries,
        name_of: NameOf,
        hasher: PasswordHasher,
        secrets: Secrets,
        presence: Presence,
        limits: Limits,
        observer: Observer,
        ids: Ids,
        most: int,
        lifetime_seconds: int,
    ) -> None:
        self._steps = steps
        self._work, self._clock = steps.work, steps.clock
        self._queries = queries
        self._name_of = name_of
        self._hasher = hasher
        self._secrets = secrets
        self._presence = presence
        self._limits = limits
        self._observer = observer
        self._ids = ids
        self._most = most
        self._lifetime = timedelta(seconds=lifetime_seconds)

    # ----------------------------------------------------------------------------------------------------- the room

    async def read(self, actor: Principal, id: RoomId) -> RoomView:
        actor.require(ROOMS_READ)
        room = await self._queries.view(id, actor.account_id)
        actor.require_within(id, room.workspace_id)
        return room

    async def page(
        self, actor: Principal, workspace: WorkspaceId | None, closed: bool, cursor: str | None, limit: int
    ) -> Page[RoomView]:
        """The open rooms that the caller is in, or the closed ones that the caller was in last; the newest first.

        With a workspace only its rooms, and of the open ones also those that the caller may join as its member.
        NotFound if the caller is no member.
        """
        actor.require(ROOMS_READ)
        return await self._queries.page(actor.account_id, workspace, closed, cursor, limit, actor.place)

    async def snapshot(self, actor: Principal, id: RoomId) -> RoomSnapshot:
        """All of a room, and the offset behind which to follow it."""
        actor.require(ROOMS_READ)
        snapshot = await self._queries.snapshot(id, actor.account_id)
        actor.require_within(id, snapshot.room.workspace_id)
        return snapshot

    async def open(self, actor: Principal, new: NewRoom) -> RoomView:
        """Open a room with the caller as its host. NotFound, or Forbidden to a viewer, if it is of a workspace.

        By a credential for one place it is of that, if it names no other, and Forbidden if that is no workspace.
        """
        actor.require(ROOMS_WRITE)
        return await self._open(actor, new, workspace_of(actor, new.workspace_id), await self._hashed(new.password))

    @retried
    async def _open(
        self, actor: Principal, new: NewRoom, workspace: WorkspaceId | None, password_hash: str | None
    ) -> RoomView:
        account = actor.account_id
        async with self._work() as work:
            if workspace is not None:
                (await work.access.standing(workspace, account)).require(Permission.OPEN_ROOMS)
            room = Room.open(
                RoomId(self._ids.new()),
                ParticipantId(self._ids.new()),
                new.name,
                new_code(self._secrets),
                account,
                await self._name_of(work, account),
                self._clock.now(),
                workspace_id=workspace,
                visibility=new.visibility,
                password_hash=password_hash,
                max_participants=self._most if new.max_participants is UNSET else self._checked(new.max_participants),
                allow_guests=new.allow_guests,
                policies=_policies(Policies(), new.policies),
                lifetime=self._lifetime,
            )
            work.rooms.add(room)
        return view_of(room)

    async def change(self, actor: Principal, id: RoomId, patch: RoomPatch, version: int | None = None) -> RoomView:
        """Change the settings, as the host. VersionConflict if `version` is neither None nor the present one."""
        actor.require(ROOMS_WRITE)
        hashed: str | None | UnsetType = UNSET
        if patch.password is not UNSET:
            async with self._work() as work:
                # Whoever may not change the password gets nothing hashed.
                room = await work.rooms.get(id)
                actor.require_within(id, room.workspace_id)
                room.seat(actor.account_id).require(Right.OWN)
            hashed = await self._hashed(patch.password)
        return await self._apply(actor, id, patch, hashed, version)

    @retried
    async def _apply(
        self, actor: Principal, id: RoomId, patch: RoomPatch, hashed: str | None | UnsetType, version: int | None
    ) -> RoomView:
        by, now = actor.account_id, self._clock.now()
        async with self._steps.changing(id, actor) as (_, room):
            room.seat(by)
            require_version(room, version)
            room.change(
                by,
                now,
                name=None if patch.name is UNSET else patch.name,
                visibility=None if patch.visibility is UNSET else patch.visibility,
                max_participants=None if patch.max_participants is UNSET else self._checked(patch.max_participants),
                allow_guests=None if patch.allow_guests is UNSET else patch.allow_guests,
                policies=None if patch.policies is UNSET else _policies(room.policies, patch.policies),
            )
            if hashed is not UNSET:
                room.set_password(by, now, hashed)
        return view_of(room)

    @retried
    async def extend(self, actor: Principal, id: RoomId) -> RoomView:
        """Let it last longer, as the host: by as much as a new room lasts, and seven days in all at most."""
        actor.require(ROOMS_WRITE)
        async with self._steps.changing(id, actor) as (_, room):
            room.extend(actor.account_id, self._clock.now(), self._lifetime)
        return view_of(room)

    @retried
    async def close(self, actor: Principal, id: RoomId, version: int | None = None) -> None:
        """Close it for everybody, as the host or as the one who opened it."""
        actor.require(ROOMS_WRITE)
        by = actor.account_id
        async with self._steps.changing(id, actor) as (_, room):
            if by != room.created_by:
                room.seat(by)
            require_version(room, version)
            room.close(by, self._clock.now())

    # -------------------------------------------------------------------------------------------------------- people

    @retried
    async def leave(self, actor: Principal, id: RoomId) -> None:
        """Leave with all devices. A guest can do nothing any more then."""
        actor.require(ROOMS_PLAY)
        now = self._clock.now()
        async with self._steps.changing(id, actor) as (work, room):
            before = replace(room)
            room.leave(actor.account_id, actor.account_id, now)
            await go_on(work, before, room, now)

    @retried
    async def transfer(self, actor: Principal, id: RoomId, to: HostTransfer) -> RoomView:
        """Make another participant the host, who is no guest."""
        actor.require(ROOMS_WRITE)
        async with self._steps.changing(id, actor) as (_, room):
            room.transfer(ParticipantId(to.participant_id), actor.account_id, self._clock.now())
        return view_of(room)

    async def invite(self, actor: Principal, id: RoomId, invitation: RoomInvitation) -> None:
        """Ask somebody to come in, as the host or a moderator. NotInvitable if they could not, Exhausted.

        NotInvitable too, as if there was no such account, unless they share a workspace with the caller or are in that
        of the room. Otherwise anybody could have their words mailed to anybody.
        """
        actor.require(ROOMS_WRITE)
        await self._limits.require(INVITATIONS_PER_ACCOUNT, str(actor.account_id))
        await self._invite(actor, id, AccountId(invitation.account_id))

    @retried
    async def _invite(self, actor: Principal, id: RoomId, account: AccountId) -> None:
        async with self._steps.changing(id, actor) as (work, room):
            room.invite(account, actor.account_id, self._clock.now())
            if not await may_come(work, room, account) or not await may_ask(work, room, actor.account_id, account):
                raise NotInvitable
            try:
                await self._name_of(work, account)
            except NotFound:
                raise NotInvitable from None

    @retried
    async def change_participant(
        self, actor: Principal, id: RoomId, participant: ParticipantId, patch: ParticipantPatch
    ) -> ParticipantView:
        """Give a participant another role, as the host, or mute one, as one of a higher role."""
        actor.require(ROOMS_WRITE)
        role = None if patch.role is UNSET else patch.role
        muted = None if patch.muted is UNSET else patch.muted
        async with self._steps.changing(id, actor) as (_, room):
            room.change_participant(participant, actor.account_id, self._clock.now(), role, muted)
        return participant_view(room.participants[participant])

    @retried
    async def remove(self, actor: Principal, id: RoomId, participant: ParticipantId, ban: bool = False) -> None:
        """Send a participant out, as one of a higher role. With `ban` for good, and the room gets another code."""
        actor.require(ROOMS_WRITE)
        code, now = new_code(self._secrets) if ban else None, self._clock.now()
        async with self._steps.changing(id, actor) as (work, room):
            before = replace(room)
            room.remove(participant, actor.account_id, now, code)
            await go_on(work, before, room, now)

    # ---------------------------------------------------------------------------------------------------- what plays

    async def control(self, actor: Principal, id: RoomId, command: Command) -> StateView:
        """Change what plays, or where it is. StaleEpoch if the timeline has changed since the epoch of the command."""
        actor.require(ROOMS_PLAY)
        needed, taken = _FIELDS[command.action]
        for name in ("position_ms", "rate", "item_id"):
            is_there = getattr(command, name) is not None
            if name in needed and not is_there:
                raise Invalid(f"The action {command.action} needs a {name}.", pointer=f"/{name}")
            if is_there and name not in (*needed, *taken):
                raise Invalid(f"The action {command.action} takes no {name}.", pointer=f"/{name}")
        await self._limits.require(COMMANDS_PER_PARTICIPANT, f"{id}:{actor.account_id}")
        lead_ms = await self._steps.leads(id)
        try:
            state = await self._control(actor, id, command, lead_ms)
        except StaleEpoch:
            self._observer.happened("room_command", "stale")
            raise
        self._observer.happened("room_command", command.action)
        return state

    @retried
    async def _control(self, actor: Principal, id: RoomId, command: Command, lead_ms: int) -> StateView:
        by, now, epoch, position_ms = actor.account_id, self._clock.now(), command.epoch, command.position_ms
        item_id = None if command.item_id is None else QueueItemId(command.item_id)
        async with self._steps.changing(id, actor) as (work, room):
            match command.action:
                case "play":
                    room.play(by, now, lead_ms, epoch, position_ms)
                case "pause":
                    room.pause(by, now, epoch)
                case "seek" if position_ms is not None:
                    room.seek(by, now, lead_ms, position_ms, epoch)
                case "rate" if command.rate is not None:
                    room.set_rate(by, now, command.rate, epoch)
                case "load" if item_id is not None:
                    queue = await work.queues.get(id)
                    room.load(queue, item_id, by, now, lead_ms, epoch, position_ms or 0)
                    work.queues.save(queue)
                case "next":
                    queue = await work.queues.get(id)
                    room.next(queue, by, now, lead_ms, epoch, item_id)
                    work.queues.save(queue)
        return state_view(room.playback)

    async def skip(self, actor: Principal, id: RoomId, skip: Skip) -> StateView:
        """Vote for the end of what plays, which ends if half of those who are here want that."""
        actor.require(ROOMS_PLAY)
        return await self._skip(actor, id, skip, await self._steps.leads(id))

    @retried
    async def _skip(self, actor: Principal, id: RoomId, skip: Skip, lead_ms: int) -> StateView:
        async with self._steps.changing(id, actor) as (work, room):
            room.seat(actor.account_id)
            queue = await work.queues.get(id)
            room.skip(queue, actor.account_id, self._clock.now(), lead_ms, skip.epoch)
            work.queues.save(queue)
        return state_view(room.playback)

    # ----------------------------------------------------------------------------------------------------------- time

    async def attended(
        self, place: Channel, account: AccountId, is_here: bool, why: Literal["", "bye", "lost"], now: datetime
    ) -> None:
        """Keep the places of those who are gone for a while, and wait for those again who are back.

        Unavailable if nobody knows who is connected. The room is told again then.
        """
        await self._elapse(RoomId(place.id), now, self._present, None if is_here else account)

    async def elapse(self, id: UUID, now: datetime) -> None:
        """Let time do to a room what is due, with those in it who are connected now."""
        await self._elapse(RoomId(id), now, self._present_or_unknown, None)

    @retried
    async def _elapse(
        self, id: RoomId, now: datetime, ask: Callable[[RoomId], Awaitable[Present]], gone: AccountId | None
    ) -> None:
        """Let time pass. Who is connected is asked each time, because a change of it may have got lost with a process.

        It is asked after the room was read. So of two who do this at once, the one that knows less is Stale.
        """
        lead_ms = await self._steps.leads(id)
        async with self._steps.changing(id, None) as (work, room):
            before, present = replace(room), await ask(id)
            if present.is_complete:
                room.attend(present.accounts, now)
            else:
                room.attend({*present.accounts, *room.here - {gone}}, now)
                room.keep_places(now)
            room.elapse(now, lead_ms)
            await go_on(work, before, room, now, lead_ms)

    async def _present(self, id: RoomId) -> Present:
        return await self._presence.present(str(Channel(PRESENCE, Channel(ROOM, id))))

    async def _present_or_unknown(self, id: RoomId) -> Present:
        try:
            return await self._present(id)
        except Unavailable:
            return Present(0, (), is_complete=False)

    async def _hashed(self, password: str | None) -> str | None:
        return None if password is None else await self._hasher.hash(normal_password(password))

    def _checked(self, participants: int) -> int:
        if participants > self._most:
            raise Invalid(f"A room lets in {self._most} people at most.", pointer="/max_participants")
        return participants


def _policies(old: Policies, chosen: PolicyChoices) -> Policies:
    return Policies(
        old.control if chosen.control is UNSET else chosen.control,
        old.wait if chosen.wait is UNSET else chosen.wait,
        old.host_leave if chosen.host_leave is UNSET else chosen.host_leave,
    )
