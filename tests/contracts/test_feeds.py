"""What `Feeds` of every context promise: who may follow a place, and what stands behind it."""

from collections.abc import Callable

import pytest

from application.accounts import AccountFeeds
from application.market import MARKET, MarketFeeds
from application.ports.feeds import Feeds, Ground
from application.tasks import TaskFeeds
from application.workspaces import WorkspaceFeeds
from domain.access import Role
from domain.channels import Channel, account_stream, workspace_stream
from domain.identity import ME
from domain.ids import AccountId
from domain.tasks import TASK
from domain.workspaces import WORKSPACE
from tests.contracts.house import House
from tests.support.builders import a_task, a_team, an_account

EVERY: dict[str, Callable[[House], Feeds]] = {
    "workspaces": lambda house: WorkspaceFeeds(house.access_queries),
    "tasks": lambda house: TaskFeeds(house.access_queries),
    "accounts": lambda _: AccountFeeds(),
    "market": lambda _: MarketFeeds(),
}


async def test_a_workspace_is_for_its_members_and_a_task_for_those_of_its_workspace(house: House) -> None:
    ada, bob, eve = [await an_account(house, name) for name in ("Ada", "Bob", "Eve")]
    team = await a_team(house, ada.id, {bob.id: Role.VIEWER})
    task = await a_task(house, team.id, ada.id)
    stream, nowhere = workspace_stream(team.id), house.ids.new()
    for feeds, kind, id, other, ground in (
        (EVERY["workspaces"](house), WORKSPACE, team.id, task.id, Ground(stream)),
        (EVERY["tasks"](house), TASK, task.id, team.id, Ground(stream, task.id)),
    ):
        place, absent, foreign = Channel(kind, id), Channel(kind, nowhere), Channel(kind, other)
        asked = [(each, account.id) for each in (place, absent, foreign) for account in (ada, bob, eve)]
        assert await feeds.allowed(asked) == {(place, ada.id): ground, (place, bob.id): ground}
        # What is known without a question says nothing of who may follow, and was right for whoever asks.
        assert feeds.ground(place, eve.id) == ground
        assert await feeds.allowed([(place, eve.id)]) == {}


async def test_nothing_is_behind_a_task_that_nobody_asked_for_yet(house: House) -> None:
    assert EVERY["tasks"](house).ground(Channel(TASK, house.ids.new()), AccountId(house.ids.new())) is None


async def test_everybody_follows_their_own_account_and_every_quote(house: House) -> None:
    ada, bob = AccountId(house.ids.new()), AccountId(house.ids.new())
    me, quote = Channel(ME), Channel(MARKET, "ACME")
    for account in (ada, bob):
        assert EVERY["accounts"](house).ground(me, account) == Ground(account_stream(account))
        assert EVERY["market"](house).ground(quote, account) == Ground(None)
    asked = [(me, ada), (me, bob)]
    assert await EVERY["accounts"](house).allowed(asked) == {pair: Ground(account_stream(pair[1])) for pair in asked}
    assert await EVERY["market"](house).allowed([(quote, ada)]) == {(quote, ada): Ground(None)}


@pytest.mark.parametrize("context", EVERY)
async def test_nobody_who_asks_for_nothing_is_told_anything(house: House, context: str) -> None:
    feeds = EVERY[context](house)
    assert await feeds.allowed([]) == {}
    assert await feeds.newest([]) == ()
    assert len({kind.name for kind in feeds.kinds}) == len(feeds.kinds) > 0
