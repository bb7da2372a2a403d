"""Performs the effects of a peer's commands that have to wait, and charges each to the limits of the account."""

import asyncio
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Protocol

from application.ports.events import Signal
from application.ports.observer import Command
from application.principal import Correlation, acts
from application.realtime.conversation import Conversation
from application.realtime.effects import CarryOut, Close, Effect, Effects, Enter, Identify, Join, Say
from application.realtime.frames import Call, CloseCode
from application.realtime.lobby import Guest
from application.realtime.subscriptions import Subscriptions
from application.realtime.surroundings import Surroundings
from domain.errors import DomainError, Exhausted, Forbidden

# The cost of following one channel, in the opening or later, and of one `publish`. A request costs 1.
CHANNEL_COST = 0.1


class Asker(Guest, Protocol):
    """A connection as its commands see it."""

    conversation: Conversation
    subscriptions: Subscriptions
    paid: float
    origin: Correlation

    def do(self, effects: Effects) -> None:
        """Perform effects that never wait."""
        ...

    def leave_doorstep(self) -> None:
        """Count no longer as a connection that is not authenticated."""
        ...


class Commands:
    """The commands of all connections of a process."""

    def __init__(self, shared: Surroundings) -> None:
        self._shared = shared

    async def perform(self, asker: Asker, effect: Effect) -> None:
        """Perform an effect that may wait, then the effects that follow from it; the peer is told every DomainError."""
        match effect:
            case Identify():
                await self._identify(asker, effect)
            case Enter():
                asker.leave_doorstep()
                cost = 1 + CHANNEL_COST * len(effect.opening.subscribe)
                await self._at_cost(asker, "connect", effect.id, cost, lambda: self._enter(asker, effect))
            case Join():
                await self._at_cost(asker, "subscribe", effect.id, CHANNEL_COST, lambda: self._join(asker, effect))
            case Say():
                await self._at_cost(asker, "publish", effect.id, CHANNEL_COST, lambda: self._say(asker, effect))
            case CarryOut(call):
                cost = self._shared.dispatch.cost(call.method)
                await self._at_cost(asker, "call", call.id, cost, lambda: self._carry_out(asker, call))
            case _:
                asker.do([effect])

    async def _at_cost(
        self, asker: Asker, name: Command, id: int, cost: float, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Charge `cost` to the account and do the work of a command; the peer is told if either is refused."""
        conversation = asker.conversation
        assert conversation.principal
        principal = conversation.principal
        activity = self._shared.observer.command(name, asker.id, asker.origin)
        acts(principal)
        code = ""
        try:
            with self._shared.limits.bill(principal) as bill:
                # Whole requests are charged, and the next commands use up what is left of them. Otherwise the limiter
                # would be asked for each tenth.
                due = ceil(round(cost - asker.paid, 6))
                if due > 0:
                    await bill.charge(due)
                else:
                    bill.hold(cost)
                asker.paid = max(0.0, asker.paid + due - cost)
                await work()
        except DomainError as error:
            code = error.code
            if isinstance(error, Forbidden):
                self._shared.observer.happened("denied", "command")
            asker.do(conversation.refused(id, error))
            # The connection can never open now, because a peer may send `connect` only once.
            if isinstance(error, Exhausted) and not conversation.is_open:
                asker.do([Close(CloseCode.RATE_LIMITED, error.code)])
        except BaseException as error:
            # The time of the command was up, the connection is gone, or there is a mistake in the code.
            code = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error"
            raise
        finally:
            activity.end(code=code, account=principal.account_id)

    async def _identify(self, asker: Asker, asked: Identify) -> None:
        try:
            principal = await self._shared.authentication.identify(asked.credential, asker.conversation.address)
        except DomainError as error:
            effects = asker.conversation.unidentified(asked, error)
        else:
            effects = asker.conversation.identified(asked, principal, asyncio.get_running_loop().time())
        for effect in effects:
            await self.perform(asker, effect)

    async def _enter(self, asker: Asker, enter: Enter) -> None:
        if not await self._shared.lobby.admit(enter.principal.account_id, asker):
            asker.give_way()
            return
        opening, subscriptions = enter.opening, asker.subscriptions
        try:
            await self._shared.hub.know_epoch()
            channels = await subscriptions.follow(
                opening.subscribe, lambda feed: opening.resume.get(feed.stream or ""), lineage=opening.epoch
            )
        except DomainError as error:
            asker.do(asker.conversation.refused(enter.id, error))
            asker.do([Close(CloseCode.UNAVAILABLE, error.code)])
            return
        epoch = subscriptions.epoch = self._shared.hub.epoch
        asker.do(asker.conversation.entered(enter.id, epoch, channels))
        subscriptions.go_on()

    async def _join(self, asker: Asker, join: Join) -> None:
        subscriptions = asker.subscriptions
        try:
            followed = await subscriptions.follow(
                [join.channel], lambda _: join.since, lineage=subscriptions.epoch, be_present=join.be_present
            )
            where = followed[join.channel]
            if isinstance(where, DomainError):
                raise where
            asker.do(asker.conversation.joined(join, where))
        finally:
            subscriptions.go_on()

    async def _say(self, asker: Asker, word: Say) -> None:
        actor, channels = asker.conversation.principal, self._shared.hub.channels
        assert actor
        if (refusal := channels.refusal(actor, word.channel, to_say=True)) is not None:
            raise refusal
        await channels.said(actor.account_id, word.channel, word.data)
        signal = Signal(word.channel, str(actor.account_id), 0, word.data)
        self._shared.broker.publish([signal])
        asker.do(asker.conversation.carried_out(word.id, {}))

    async def _carry_out(self, asker: Asker, call: Call) -> None:
        assert asker.conversation.principal
        actor, holds = asker.conversation.principal, asker.subscriptions.hold
        result = await self._shared.dispatch(actor, call.method, call.params, call.key, holds)
        asker.do(asker.conversation.carried_out(call.id, result))
