"""Sample data for a first look: an account that can sign in, with a few tasks and a room."""

from datetime import timedelta
from uuid import UUID

from application.identity import Credentials, Device, Registration
from application.principal import Principal
from application.rooms import NewItem, NewItems, NewRoom, RoomQueues, Rooms
from application.tasks import NewComment, NewTask, TaskPatch
from domain.errors import DomainError
from domain.identity import EmailTaken
from domain.ids import RoomId, TaskId, WorkspaceId
from domain.rooms import Visibility
from domain.tasks import Priority, Status
from entrypoints.container import Container

DEMO_EMAIL = "demo@example.org"
DEMO_PASSWORD = "signal-box-demo"  # noqa: S105  # printed at every start

# Both are in the public domain.
_FILMS = (
    NewItem("https://archive.org/download/DuckandC1951/DuckandC1951_512kb.mp4", "Duck and Cover"),
    NewItem("https://archive.org/download/Popeye_forPresident/Popeye_forPresident_512kb.mp4", "Popeye for President"),
)


async def seed(container: Container) -> UUID | None:
    """Make the demo account with its tasks, unless it exists, and a room of its workspace, unless one is open.

    Returns the id of the room. It is None if the demo account has been changed so that it can open none.
    """
    identity, device = container.identity(), Device("127.0.0.1", "signalbox demo")
    try:
        signed_in, refresh_token = await identity.register(Registration(DEMO_EMAIL, DEMO_PASSWORD, "Demo"), device)
        await container.administration().verify(DEMO_EMAIL)
        await _tasks(container, await container.authentication().identify(signed_in.access_token))
    except EmailTaken:
        try:
            await container.administration().verify(DEMO_EMAIL)
            signed_in, refresh_token = await identity.log_in(Credentials(DEMO_EMAIL, DEMO_PASSWORD), device)
        except DomainError:
            return None
    try:
        return await _room(container, await container.authentication().identify(signed_in.access_token))
    except DomainError:
        return None
    finally:
        await identity.log_out(refresh_token)


async def _tasks(container: Container, actor: Principal) -> None:
    tasks, now = container.tasks(), container.clock().now()
    first = await tasks.open(
        actor,
        NewTask(
            "Read the tour in the README", priority=Priority.HIGH, due_at=now + timedelta(days=1), labels=["start"]
        ),
    )
    await tasks.comment(actor, TaskId(first.id), NewComment("It takes two minutes."))
    moving = await tasks.open(actor, NewTask("Open a WebSocket and watch this task change", labels=["live"]))
    await tasks.edit(actor, TaskId(moving.id), TaskPatch(status=Status.IN_PROGRESS))
    done = await tasks.open(actor, NewTask("Start Signalbox", assignee_ids=[actor.account_id]))
    await tasks.edit(actor, TaskId(done.id), TaskPatch(status=Status.DONE))


async def _room(container: Container, actor: Principal) -> UUID:
    rooms: Rooms = container.rooms()
    queues: RoomQueues = container.room_queues()
    workspace = WorkspaceId(actor.account_id)
    for room in (await rooms.page(actor, workspace, False, None, 1)).data:
        return room.id
    new = NewRoom("Film night", workspace_id=workspace, visibility=Visibility.WORKSPACE)
    opened = await rooms.open(actor, new)
    await queues.add_many(actor, RoomId(opened.id), NewItems(_FILMS))
    return opened.id
