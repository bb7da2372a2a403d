"""Notices: what follows from events is that somebody is told. Contexts declare whom their events concern."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from application.ports.events import EventView
from domain.ids import AccountId, WorkspaceId
from domain.kernel import Event

W_contra = TypeVar("W_contra", contravariant=True)


class Told(NamedTuple):
    """What is told, and the next accounts that are told it, which may see the resource now.

    The resource is called `title`, and `place` is the workspace or other place in which it is. `details` is what else
    there is to know, and `facts` what a letter says of it. `after` is the account behind which there may be more of
    them; None if there are no more. If only those who are in a `workspace` may see the resource, a letter that is
    written later says nothing of it to who has left.
    """

    resource_type: str
    resource_id: UUID
    title: str
    accounts: Collection[AccountId]
    after: AccountId | None = None
    place: UUID | None = None
    details: Mapping[str, object] = {}
    facts: tuple[str, ...] = ()
    workspace: WorkspaceId | None = None


@dataclass(frozen=True, slots=True)
class Notice(Generic[W_contra]):
    """A row: a type of notification, called `name`, which follows from events of the types that it `wants`.

    `sentence` tells the reader what happened. `tells(work, event, after, most)` returns what is told to at most `most`
    accounts, the next behind `after` in the order of their ids, or None if the event tells nobody anything. It is asked
    in the unit of work that makes the notifications, so what it relies on is guarded there. Who caused the event is
    left out, unless the notice is `always` told.

    `concerns` is that of `Consumer`. `by_mail` is told by mail too, unless the owner does not want that. What is about
    the safety of the account is told `always`: each time for itself and at once, on each channel, and to whoever did it
    as well. The letter then ends with `advice`, for whoever did not do it.
    """

    name: str
    wants: frozenset[str]
    sentence: str
    tells: Callable[[W_contra, EventView, AccountId | None, int], Awaitable[Told | None]]
    concerns: Callable[[Event], bool] | None = None
    by_mail: bool = False
    always: bool = False
    advice: str = ""


def following(
    accounts: Iterable[AccountId], after: AccountId | None, most: int
) -> tuple[Sequence[AccountId], AccountId | None]:
    """The next `most` of these accounts behind `after`, and the last of them if there are more."""
    left = sorted(account for account in accounts if after is None or account > after)
    return left[:most], left[most - 1] if len(left) > most else None
