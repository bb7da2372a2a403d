"""The channels of tasks."""

from collections.abc import Collection, Mapping, Sequence

from cachetools import FIFOCache

from application.ports.access import AccessQueries
from application.ports.feeds import Asked, Feeds, Ground
from application.tasks.scopes import TASKS_READ, TASKS_WRITE
from domain.channels import Channel, ChannelKind, workspace_stream
from domain.ids import AccountId
from domain.tasks import TASK

REMEMBERED_MAX = 50_000


class TaskFeeds(Feeds):
    """`task:{id}`: the entries about a task, deleted or not, in its workspace's stream, for the workspace's members."""

    kinds: Sequence[ChannelKind] = (TASK,)
    scope = TASKS_READ
    saying = TASKS_WRITE

    def __init__(self, access: AccessQueries) -> None:
        self._access = access
        # A task never changes its workspace.
        self._grounds: FIFOCache[Channel, Ground] = FIFOCache(REMEMBERED_MAX)

    def ground(self, place: Channel, account: AccountId) -> Ground | None:
        return self._grounds.get(place)

    async def allowed(self, asked: Collection[Asked]) -> Mapping[Asked, Ground]:
        homes = await self._access.workspaces_of([(place.id, account) for place, account in asked])
        found = {}
        for place, account in asked:
            home = homes.get((place.id, account))
            if home is not None and home != place.id:  # equal if the id is that of a workspace
                ground = found[place, account] = Ground(workspace_stream(home), place.id)
                self._grounds[place] = ground
        return found
