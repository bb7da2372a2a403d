"""What rooms have of a person: those that the person is in, or was in at their end, and what the person said."""

from application.paging import PAGE_MAX, Page
from application.ports.exports import Exported
from application.ports.rooms import MessageView, RoomQueries, RoomView
from domain.ids import AccountId


def exported_rooms(queries: RoomQueries, closed: bool) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[RoomView]:
        return await queries.page(account, None, closed, cursor, PAGE_MAX)

    return Exported("closed_rooms" if closed else "rooms", page)


def exported_messages(queries: RoomQueries) -> Exported:
    async def page(account: AccountId, cursor: str | None) -> Page[MessageView]:
        return await queries.messages_of_person(account, cursor, PAGE_MAX)

    return Exported("messages", page)
