"""A ticket opens one live connection, for whom it was issued to, as long as they are signed in."""

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from dependency_injector import providers
from msgspec.structs import replace

from adapters.memory.system import MovableClock
from adapters.memory.tickets import MemoryTicketStore
from adapters.security.secrets import HmacSecrets
from application.authentication import Authentication
from application.lease import Lease
from application.principal import Principal
from application.realtime.frames import CHANNELS_MAX, Opening
from application.realtime.tickets import LIFETIME, OPENING_MAX_BYTES, Ticket, TicketInvalid, Tickets
from domain.errors import Exhausted, Invalid, Unauthenticated
from domain.identity import ACCESS_LIFETIME, AccountRole, EndReason
from entrypoints.container import in_memory
from tests.application.front_door import FrontDoor, Visit

OPENING = Opening(subscribe=["me", "task:ä"], resume={"workspace:W": 2**53 - 1}, epoch="29be7eb5")
TICKETS_MAX = 10


class OpenTicketStore(MemoryTicketStore):
    """Remembers under which digests tickets were kept and asked for, and when it was asked to forget."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        super().__init__(TICKETS_MAX, self.clock)
        self.digests: list[bytes] = []
        self.asked_for: list[bytes] = []
        self.forgot_at: list[datetime] = []

    async def keep(self, digest: bytes, principal: Principal, opening: bytes, lifetime_ms: int) -> None:
        self.digests.append(digest)
        await super().keep(digest, principal, opening, lifetime_ms)

    async def take(self, digest: bytes) -> tuple[Principal, bytes] | None:
        self.asked_for.append(digest)
        return await super().take(digest)

    async def forget_old(self, most: int) -> int:
        self.forgot_at.append(self.clock.now())
        return await super().forget_old(most)


class Counter(FrontDoor):
    """The front door, with the counter at which tickets are issued and taken back."""

    def __init__(self) -> None:
        self.store = OpenTicketStore()
        super().__init__(ticket_store=providers.Object(self.store), clock=providers.Object(self.store.clock))
        self.tickets: Tickets = self.container.tickets()

    async def issue(self, visit: Visit, opening: Opening = OPENING) -> str:
        return (await self.tickets.issue(visit.actor, opening)).ticket

    async def redeem(self, ticket: str, address: str = "192.0.2.1") -> tuple[Principal, Opening]:
        return await self.tickets.redeem(ticket, address)

    async def refused(self, ticket: str) -> str:
        """What is said of a ticket that opens nothing."""
        with pytest.raises(TicketInvalid) as refused:
            await self.redeem(ticket)
        return f"{refused.value.code}: {refused.value.detail}"


@pytest.fixture
def counter() -> Iterator[Counter]:
    counter = Counter()
    yield counter
    counter.close()


async def test_a_ticket_stands_for_whom_it_was_issued_to_and_how_the_connection_begins(counter: Counter) -> None:
    ada, bob = await counter.register(), await counter.register("bob@example.org")
    hers, his = await counter.issue(ada), await counter.issue(bob, Opening())
    counter.wait(seconds=10)
    assert await counter.redeem(his) == (bob.actor, Opening())
    assert await counter.redeem(hers) == (ada.actor, OPENING)


async def test_an_admin_comes_back_as_one(counter: Counter) -> None:
    await counter.register()
    await counter.administration.make_admin("ada@example.org")
    admin = await counter.log_in()
    principal, _ = await counter.redeem(await counter.issue(admin))
    assert principal == admin.actor
    assert principal.role is AccountRole.ADMIN


async def test_a_ticket_can_be_used_once(counter: Counter) -> None:
    ticket = await counter.issue(await counter.register())
    await counter.redeem(ticket)
    await counter.refused(ticket)


async def test_of_twenty_who_use_one_ticket_at_once_one_is_let_in(counter: Counter) -> None:
    ada = await counter.register()
    ticket = await counter.issue(ada)
    outcomes = await asyncio.gather(*(counter.redeem(ticket) for _ in range(20)), return_exceptions=True)
    assert outcomes.count((ada.actor, OPENING)) == 1
    assert sum(isinstance(outcome, TicketInvalid) for outcome in outcomes) == 19


async def test_a_ticket_is_good_for_thirty_seconds(counter: Counter) -> None:
    ada = await counter.register()
    assert (await counter.tickets.issue(ada.actor, OPENING)).expires_in == 30
    early, late = await counter.issue(ada), await counter.issue(ada)
    counter.clock.advance(LIFETIME - timedelta(milliseconds=1))
    await counter.redeem(early)
    counter.wait(milliseconds=1)
    await counter.refused(late)


async def test_a_ticket_lasts_no_longer_than_the_token_it_was_issued_for(counter: Counter) -> None:
    ada = await counter.register()
    counter.clock.advance(ACCESS_LIFETIME - timedelta(seconds=10))
    issued: Ticket = await counter.tickets.issue(ada.actor, OPENING)
    newer = await counter.issue(await counter.refresh(ada.refresh_token))
    assert issued.expires_in == 10
    counter.wait(seconds=10)
    await counter.refused(issued.ticket)
    await counter.redeem(newer)


@pytest.mark.parametrize("reason", [EndReason.LOGGED_OUT, EndReason.LOGGED_OUT_EVERYWHERE, EndReason.DISABLED])
async def test_a_ticket_of_a_session_that_has_ended_opens_nothing(counter: Counter, reason: EndReason) -> None:
    ada = await counter.register()
    ticket = await counter.issue(ada)
    if reason is EndReason.LOGGED_OUT:
        await counter.identity.log_out(ada.refresh_token)
    elif reason is EndReason.LOGGED_OUT_EVERYWHERE:
        await counter.identity.log_out_everywhere(ada.actor)
    else:
        await counter.administration.disable("ada@example.org")
        await counter.authentication.refresh()  # as a command of another process does it
    await counter.refused(ticket)


async def test_an_end_elsewhere_makes_a_ticket_void_once_it_is_known_here(counter: Counter) -> None:
    ada = await counter.register()
    ticket = await counter.issue(ada)
    here = counter.container
    authentication = Authentication(here.tokens(), here.session_queries(), (), here.clock(), here.observer(), Lease())
    tickets = Tickets(counter.store, here.secrets(), authentication, here.limits(), here.clock())
    await counter.identity.log_out(ada.refresh_token)
    await authentication.refresh()
    with pytest.raises(TicketInvalid):
        await tickets.redeem(ticket, "192.0.2.1")


async def test_another_instance_takes_what_this_one_issued() -> None:
    here = Counter()
    ada = await here.register()
    there: Tickets = in_memory(ticket_store=providers.Object(here.store), clock=providers.Object(here.clock)).tickets()
    ticket = await here.issue(ada)
    assert await there.redeem(ticket, "192.0.2.1") == (ada.actor, OPENING)
    await here.refused(ticket)
    here.close()


async def test_all_tickets_that_open_nothing_are_refused_alike(counter: Counter) -> None:
    ada, bob = await counter.register(), await counter.register("bob@example.org")
    used, old, ended = await counter.issue(ada), await counter.issue(ada), await counter.issue(bob)
    await counter.redeem(used)
    await counter.identity.log_out(bob.refresh_token)
    said = [
        await counter.refused(ticket) for ticket in (used, ended, "", "x" * 43, "ticket\x00\ud800ä", ada.access_token)
    ]
    counter.wait(seconds=30)
    said.append(await counter.refused(old))
    assert set(said) == {"ticket_invalid: This ticket opens nothing; get a new one."}
    assert issubclass(TicketInvalid, Unauthenticated)


async def test_a_ticket_is_no_access_token_and_a_refresh_token_no_ticket(counter: Counter) -> None:
    ada = await counter.register()
    ticket = await counter.issue(ada)
    with pytest.raises(Unauthenticated):
        counter.authentication.known(ticket)
    with pytest.raises(Unauthenticated):
        await counter.refresh(ticket)
    await counter.refused(ada.refresh_token)
    await counter.redeem(ticket)


async def test_the_store_sees_the_digest_and_never_the_ticket(counter: Counter) -> None:
    ada = await counter.register()
    issued = [await counter.issue(ada) for _ in range(3)]
    assert len(set(issued)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{65}", ticket) for ticket in issued)
    assert counter.store.digests == [counter.container.secrets().digest(ticket) for ticket in issued]


async def test_the_store_is_not_asked_about_a_ticket_that_somebody_made_up(counter: Counter) -> None:
    ticket = await counter.issue(await counter.register())
    foreign = HmacSecrets("the secret of another installation")
    altered = ("y" if ticket[0] == "x" else "x") + ticket[1:]
    for made_up in ("", "x", "x" * 65, ticket[:-1], ticket + "x", altered, foreign.signed(b"ticket", foreign.new())):
        await counter.refused(made_up)
    assert counter.store.asked_for == []
    await counter.redeem(ticket)
    assert len(counter.store.asked_for) == 1


async def test_who_tries_tickets_is_limited_by_address_before_the_store_is_asked(counter: Counter) -> None:
    ada = await counter.register()
    used = await counter.issue(ada)
    await counter.redeem(used, "192.0.2.2")
    for _ in range(counter.container.limits().requests):
        await counter.refused(used)
    asked = len(counter.store.asked_for)
    for ticket in (used, await counter.issue(ada)):
        with pytest.raises(Exhausted):
            await counter.redeem(ticket)
    assert len(counter.store.asked_for) == asked
    await counter.redeem(await counter.issue(ada), "192.0.2.2")


async def test_the_oldest_of_too_many_tickets_give_way(counter: Counter) -> None:
    ada = await counter.register()
    first, *others = [await counter.issue(ada) for _ in range(TICKETS_MAX + 1)]
    await counter.refused(first)
    for ticket in others:
        await counter.redeem(ticket)


async def test_the_largest_opening_there_is_comes_back_and_no_larger_one_is_kept(counter: Counter) -> None:
    ada = await counter.register()
    names = [f"{number:064}" for number in range(CHANNELS_MAX)]
    largest = Opening(names, dict.fromkeys(names, 2**53 - 1), "29be7eb5")
    assert await counter.redeem(await counter.issue(ada, largest)) == (ada.actor, largest)
    for opening in (replace(largest, epoch="x" * OPENING_MAX_BYTES), Opening(resume={"x" * OPENING_MAX_BYTES: 1})):
        with pytest.raises(Invalid):
            await counter.issue(ada, opening)
    assert len(counter.store.digests) == 1


async def test_nothing_of_it_is_in_the_journal(counter: Counter) -> None:
    ada = await counter.register()
    streams = [f"account:{ada.account}", f"workspace:{ada.account}"]
    before = await counter.journal.heads(streams)
    await counter.redeem(await counter.issue(ada))
    assert await counter.journal.heads(streams) == before


async def test_a_running_process_drops_what_nobody_used(counter: Counter) -> None:
    await counter.issue(await counter.register())
    counter.wait(minutes=1)
    async with counter.container.running()(), asyncio.timeout(10):
        while not counter.store.forgot_at:
            await asyncio.sleep(0)
    assert counter.store.forgot_at == [counter.clock.now()]
    # If it were kept still, it would be good again at an earlier time.
    counter.wait(minutes=-1)
    assert await counter.store.take(counter.store.digests[0]) is None
