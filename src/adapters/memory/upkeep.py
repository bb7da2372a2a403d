"""Maintenance of the store in memory, outside of the use cases."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, TypeVar

from adapters.memory.addresses import LINKS
from adapters.memory.database import MemoryDatabase, Tables
from adapters.memory.factors import FACTORS
from adapters.memory.idempotency import ANSWERS
from adapters.memory.identity import SESSIONS
from adapters.memory.unit import CURSORS
from adapters.memory.workspaces import INVITATIONS, REMOVALS
from application.journal import event_view
from application.ports.events import Entry
from application.ports.upkeep import Upkeep
from domain.identity import SESSION_ABSOLUTE
from domain.ids import AccountId

V = TypeVar("V")


class MemoryUpkeep(Upkeep):
    """Looks at all rows each time, because a store in memory is small."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def forget_events(self, now: datetime, kept: timedelta, most: int) -> int:
        def drop(tables: Tables) -> int:
            dropped = 0
            for stream, entries in list(tables.streams.items()):
                old = takewhile(lambda entry: _happened_at(entry) < now - kept, entries)
                dropped += _prune(tables, stream, sum(1 for _ in islice(old, most - dropped)))
            return dropped

        return await self._dropped(drop)

    async def drop_history(self, stream: str, until: int | None, now: datetime, most: int) -> tuple[int, bool]:
        def drop(tables: Tables) -> int:
            dropped = 0
            for name, entries in list(tables.streams.items()):
                if name == stream or (until is None and tables.within.get(name) == stream):
                    old = sum(until is None or entry.offset <= until for entry in entries)
                    dropped += _prune(tables, name, min(old, most - dropped))
            return dropped

        kept = self._database.committed
        left = (
            entry
            for name, entries in kept.streams.items()
            for entry in entries
            if (name == stream and (until is None or entry.offset <= until))
            or (until is None and kept.within.get(name) == stream)
        )
        is_done = next(left, None) is None
        return await self._dropped(drop), is_done

    async def erase_account(self, account: AccountId, most: int) -> int:
        def drop(tables: Tables) -> int:
            answers = [key for key in tables[ANSWERS] if key[0] == account][:most]
            for key in answers:
                del tables[ANSWERS][key]
            factors = int(tables[FACTORS].pop(account, None) is not None)
            ended = _drop(tables[SESSIONS], lambda session: session.account_id == account, most)
            links = _drop(tables[LINKS], lambda link: link.account_id == account, most)
            return ended + links + len(answers) + factors

        return await self._dropped(drop)

    async def forget_address(self, address: str) -> int:
        return await self._dropped(
            lambda tables: _drop(
                tables[INVITATIONS], lambda invitation: invitation.email == address, len(tables[INVITATIONS])
            )
        )

    async def forget_sessions(self, now: datetime, kept: timedelta, most: int) -> int:
        ended_before = now - kept
        begun_before = ended_before - SESSION_ABSOLUTE
        return await self._dropped(
            lambda tables: _drop(
                tables[SESSIONS],
                lambda s: s.created_at < begun_before or (s.ended_at is not None and s.ended_at < ended_before),
                most,
            )
        )

    async def forget_invitations(self, now: datetime, kept: timedelta, most: int) -> int:
        return await self._dropped(
            lambda tables: _drop(tables[INVITATIONS], lambda invitation: invitation.expires_at < now - kept, most)
        )

    async def forget_removals(self, now: datetime, kept: timedelta, most: int) -> int:
        return await self._dropped(lambda tables: _drop(tables[REMOVALS], lambda gone: gone.at < now - kept, most))

    async def begin_lineage(self) -> str:
        self._database.epoch = secrets.token_hex(4)
        return self._database.epoch

    async def _dropped(self, drop: Callable[[Tables], int]) -> int:
        counts: list[int] = []

        def change(tables: Tables) -> Sequence[Entry]:
            counts.append(drop(tables))
            return ()

        await self._database.apply(change, lambda _: None)
        return counts[0]


def _prune(tables: Tables, stream: str, most: int) -> int:
    """Drop at most so many events of a stream, up to the first that a consumer has not handled."""
    tail = tables.tail(stream)
    count = min([most, *(at.cursor.position - tail for (of, _), at in tables[CURSORS].items() if of == stream)])
    if count > 0:
        tables.streams[stream] = tables.streams[stream][count:]
        tables.borrowed.discard(stream)
        tables.tails[stream] = tail + count
    return max(0, count)


def _drop(table: dict[Any, V], is_old: Callable[[V], bool], most: int) -> int:
    old = [key for key, value in table.items() if is_old(value)][:most]
    for key in old:
        del table[key]
    return len(old)


def _happened_at(entry: Entry) -> datetime:
    return event_view(entry.stream, entry.offset, bytes(entry.body).decode()).at
