"""The accounts, workspaces and tasks that a test begins with, each made by one line."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from itertools import count
from typing import Any, Protocol, TypeAlias

from application.ports.system import Clock, Ids
from application.principal import Principal
from application.reactions import EveryWork, registered
from domain.access import Role
from domain.identity import Account, AccountRole, Session
from domain.ids import (
    AccountId,
    CommentId,
    MessageId,
    ParticipantId,
    QueueItemId,
    RoomId,
    SessionId,
    TaskId,
    WorkspaceId,
)
from domain.rooms import Message, QueueItem, Room
from domain.tasks import Comment, Task
from domain.workspaces import Workspace, WorkspaceKind

_numbers = count(1)


# A unit of work as wide as an adapter's.
Work: TypeAlias = EveryWork


class Store(Protocol):
    """Where the builders put what they make."""

    @property
    def clock(self) -> Clock: ...

    @property
    def ids(self) -> Ids: ...

    def work(self) -> AbstractAsyncContextManager[Work]: ...


async def an_account(store: Store, name: str = "Ada") -> Account:
    """A new account with its personal workspace; its address is made up and unique."""
    id = AccountId(store.ids.new())
    account = Account.register(id, f"{id.hex}@example.org", name, "a hash", store.clock.now())
    async with store.work() as work:
        work.accounts.add(account)
        registered(work, account)
    return account


async def a_session(store: Store, account: AccountId) -> Session:
    """A new session of the account, in which no token was refreshed yet."""
    id = SessionId(store.ids.new())
    session = Session.begin(id, account, id.bytes * 2, b"a key", "203.0.113.7", "a browser", store.clock.now())
    async with store.work() as work:
        work.sessions.add(session)
    return session


async def a_team(store: Store, owner: AccountId, members: Mapping[AccountId, Role] | None = None) -> Workspace:
    """A new team workspace with these members besides its owner."""
    id, now = WorkspaceId(store.ids.new()), store.clock.now()
    team = Workspace.create(id, "Operations", f"team-{id.hex}", WorkspaceKind.TEAM, owner, now)
    for account, role in (members or {}).items():
        team.admit(account, role, owner, now)
    async with store.work() as work:
        work.workspaces.add(team)
    return team


async def a_task(store: Store, workspace: WorkspaceId, by: AccountId, **values: object) -> Task:
    """A new task; `values` are its editable fields and `assignees`."""
    task = a_new_task(store, workspace, by, **values)
    async with store.work() as work:
        work.tasks.add(task)
    return task


def a_new_task(store: Store, workspace: WorkspaceId, by: AccountId, **values: object) -> Task:
    """A task that is not saved yet; its key is none that the adapters hand out."""
    given = {"title": "Write the rollout plan", **values}
    key = f"MADE-{next(_numbers)}"
    return Task.open(TaskId(store.ids.new()), workspace, key, by, store.clock.now(), **given)  # type: ignore[arg-type]


async def a_comment(store: Store, task: TaskId, by: AccountId, text: str = "Looks good to me.") -> Comment:
    """A new comment below a saved task."""
    async with store.work() as work:
        found, _ = await work.tasks.get(task, by)
        comment = found.comment(CommentId(store.ids.new()), text, [], by, store.clock.now())
        work.tasks.add_comment(comment)
        work.tasks.save(found)
    return comment


def a_code() -> str:
    """A code that opens no room yet."""
    return f"{next(_numbers):08d}"


async def a_room(store: Store, host: AccountId, *others: AccountId, **values: Any) -> Room:
    """A new room with these in it; `values` are its settings, `workspace_id` among them."""
    now = store.clock.now()
    values = {"name": "Film night", "join_code": a_code(), **values}
    room = Room.open(
        RoomId(store.ids.new()), ParticipantId(store.ids.new()), by=host, display_name="Ada", at=now, **values
    )
    for number, account in enumerate(others, 1):
        room.join(ParticipantId(store.ids.new()), account, f"Guest {number}", now)
    async with store.work() as work:
        work.rooms.add(room)
    return room


def an_item(store: Store, by: AccountId, title: str = "The film") -> QueueItem:
    """Something to play, which is in no queue yet."""
    id = QueueItemId(store.ids.new())
    return QueueItem.of(id, f"https://example.org/{id}.mp4", title, 60_000, by, store.clock.now())


async def a_message(store: Store, room: RoomId, by: AccountId, text: str = "Hello.") -> Message:
    """A new message of a participant."""
    async with store.work() as work:
        seat, workspace, playback = await work.rooms.seat(room, by)
        id, now = MessageId(store.ids.new()), store.clock.now()
        message = Message.say(id, room, workspace, seat, text, playback.item_id, playback.position_ms(now), now)
        work.messages.add(message)
    return message


def principal(account: Account, session: SessionId | None = None) -> Principal:
    """The account as an authenticated caller."""
    expires_at = account.created_at + timedelta(days=1)
    return Principal(account.id, session or SessionId(account.id), AccountRole.USER, expires_at)
