"""Several who change one room at once do not make each other try again."""

import asyncio
from contextlib import AbstractAsyncContextManager

from application.ports.rooms import RoomWork
from application.ports.unit_of_work import UnitOfWork, retried
from application.principal import Principal
from application.rooms.steps import Keeping, RoomSteps
from domain.ids import RoomId
from tests.application.cinema import Cinema
from tests.support.builders import a_room


class Counted(UnitOfWork[RoomWork]):
    """Units of work, and how many there were."""

    def __init__(self, inner: UnitOfWork[RoomWork]) -> None:
        self._inner = inner
        self.count = 0

    def __call__(self) -> AbstractAsyncContextManager[RoomWork]:
        self.count += 1
        return self._inner()


async def soon(_: RoomId) -> int:
    return 300


async def test_ten_who_change_a_room_at_once_need_one_unit_of_work_each() -> None:
    cinema = await Cinema.open()
    people = [cinema.ada, *await cinema.crowd(9)]
    room = await a_room(cinema, *(each.account_id for each in people))
    counted = Counted(cinema.work)
    steps = RoomSteps(counted, Keeping(cinema.house.guests(), cinema.clock), soon, cinema.clock, cinema.observer)

    @retried
    async def come(actor: Principal) -> None:
        async with steps.changing(room.id, actor) as (_, there):
            here = {who.account_id for who in there.participants.values() if who.is_here}
            there.attend({*here, actor.account_id}, cinema.clock.now())

    await asyncio.gather(*map(come, people))
    assert counted.count == len(people)
    assert all(who.slot_until is None for who in (await cinema.show(room.id)).participants)
