"""What rooms have of a person: those that the person is in, or was in at their end, and what the person said.

What others are called is left out. So a file that outlives an account does not tell who that was.
"""

from msgspec.structs import replace

from application.paging import PAGE_MAX, Page
from application.ports.exports import Exported
from application.ports.rooms import MessageView, RoomQueries, RoomView
from domain.ids import AccountId


def exported_rooms(queries: RoomQueries, closed: bool) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[RoomView]:
        found = await queries.page(account, None, closed, cursor, PAGE_MAX)
        return Page([_without_others(room, account) for room in found.data], found.next_cursor)

    return Exported("closed_rooms" if closed else "rooms", page)


def exported_messages(queries: RoomQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[MessageView]:
        return await queries.messages_of_person(account, cursor, PAGE_MAX)

    return Exported("messages", page)


def _without_others(room: RoomView, account: AccountId) -> RoomView:
    return replace(room, participants=[who for who in room.participants if who.account_id == account])
