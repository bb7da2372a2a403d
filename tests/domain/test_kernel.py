"""An aggregate announces each change once, and counts the states that are saved."""

from datetime import UTC, datetime
from uuid import UUID

from domain.ids import AccountId, WorkspaceId
from domain.kernel import Event
from domain.workspaces import Workspace, WorkspaceKind

ADA = AccountId(UUID(int=1))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def a_workspace() -> Workspace:
    return Workspace.create(WorkspaceId(UUID(int=7)), "Operations", "operations", WorkspaceKind.TEAM, ADA, NOW)


def test_a_new_aggregate_has_news_and_was_never_saved() -> None:
    workspace = a_workspace()
    assert workspace.has_news
    assert workspace.kept_version == 0


def test_news_is_handed_over_once_and_each_event_raises_the_version() -> None:
    workspace = a_workspace()
    workspace.change(ADA, NOW, name="Sales")
    assert (workspace.kept_version, workspace.version) == (0, 2)
    told = [(event.type, event.version) for event in workspace.take_news()]
    assert told == [("workspace.created", 1), ("workspace.updated", 2)]
    assert (workspace.kept_version, workspace.version) == (2, 2)
    assert not workspace.has_news
    assert workspace.take_news() == []
    assert workspace.version == 2


def test_an_event_tells_who_did_what_to_which_version_of_which_resource_on_which_stream() -> None:
    workspace = a_workspace()
    workspace.take_news()
    workspace.change(ADA, NOW, name="Sales")
    (event,) = workspace.take_news()
    assert event == Event(
        type="workspace.updated",
        stream=f"workspace:{workspace.id}",
        resource_type="workspace",
        resource_id=workspace.id,
        version=2,
        at=NOW,
        actor=ADA,
        changes={"name": ("Operations", "Sales")},
    )
    assert event.version == workspace.version


def test_news_is_no_part_of_what_makes_two_aggregates_equal() -> None:
    saved = a_workspace()
    saved.take_news()
    other = a_workspace()
    assert other.has_news
    assert other == saved
