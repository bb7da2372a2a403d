"""Sample data for a first look: an account that can sign in, with a few tasks."""

from datetime import timedelta

from application.identity import Device, Registration
from application.tasks import NewComment, NewTask, TaskPatch
from domain.identity import EmailTaken
from domain.ids import TaskId
from domain.tasks import Priority, Status
from entrypoints.container import Container

DEMO_EMAIL = "demo@example.org"
DEMO_PASSWORD = "signal-box-demo"  # noqa: S105  # printed at every start


async def seed(container: Container) -> None:
    """Make the demo account and its tasks, unless the account exists."""
    identity, tasks, clock = container.identity(), container.tasks(), container.clock()
    try:
        signed_in, _ = await identity.register(
            Registration(DEMO_EMAIL, DEMO_PASSWORD, "Demo"), Device("127.0.0.1", "signalbox demo")
        )
    except EmailTaken:
        return
    actor = await container.authentication().identify(signed_in.access_token)
    now = clock.now()
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
    await identity.log_out_everywhere(actor)
