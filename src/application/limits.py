"""Limits how often a caller may do something: the limits of requests, and those that contexts declare."""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from math import ceil
from typing import Self

from msgspec.structs import replace

from application.happenings import REFUSED
from application.ports.limits import Policy, RateLimiter, Verdict
from application.ports.observer import Happening, Observer
from application.principal import Principal
from domain.errors import Exhausted

_ACCOUNT, _ADDRESS, _CREDENTIAL = "request:u:", "request:a:", "request:k:"
_MINUTE_MS = 60_000
_open: ContextVar["Bill | None"] = ContextVar("bill", default=None)


async def charge(cost: float) -> None:
    """Charge more to the current request before the work is done; every request costs 1 in any case.

    Exhausted if less than that is left. Work outside a request, such as that of the worker, costs nothing.
    """
    bill = _open.get()
    if bill is not None:
        await bill.charge(cost)


class TooManyAtOnce(Exhausted):
    """The account has as many requests in progress as it may have. The next one is accepted after an answer."""

    code = "too_many_at_once"


class Bill:
    """The cost of one request, or of one command over a live connection. `limit` may be charged in a `window_ms`.

    Inside its block, `charge` of this module adds to it. The charged cost is in hand until the end of the block.
    `verdict` is the last answer of the limiter; None before the first charge, and if limits are disabled.
    """

    __slots__ = ("_before", "_held", "_holder", "_key", "_limits", "limit", "verdict", "window_ms")

    def __init__(self, limits: "Limits", key: str, holder: str | None, limit: int, window_ms: int) -> None:
        """`key` is charged. `holder` is the account that has the cost in hand, or None for a stranger."""
        self._limits = limits
        self._key = key
        self._holder = holder
        self._held = 0
        self.limit = limit
        self.window_ms = window_ms
        self.verdict: Verdict | None = None

    def __enter__(self) -> Self:
        self._before = _open.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.reset(self._before)
        if self._held and self._holder is not None:
            self._limits.let_go(self._holder, self._held)

    def hold(self, cost: float) -> None:
        """Have this much more in hand, which was paid for before; TooManyAtOnce if that is too much."""
        if self._limits.enabled and self._holder is not None:
            self._held += self._limits.hold(self._holder, ceil(cost), self._held)

    async def charge(self, cost: float) -> None:
        """TooManyAtOnce, without counting it, if too much would be in hand; Exhausted if less than that is left."""
        self.hold(cost)
        limits = self._limits
        if not limits.enabled:
            return
        verdict = self.verdict = await limits.limiter.take(self._key, self.limit, self.window_ms, cost)
        if not verdict.allowed:
            limits.observer.happened("rate_limited", "request")
            raise Exhausted("Too many requests; slow down.", retry_after_seconds=verdict.retry_after_seconds)


class Limits:
    """Applies limits. With `enabled` false everything passes, for load tests on loopback.

    `requests` is the cost that an account may have in a window, and an address for requests without a credential. A
    credential with a limit of its own is counted by itself instead. `in_hand` is the cost that one process works on for
    an account at a time, with all of its credentials.
    """

    def __init__(
        self, limiter: RateLimiter, enabled: bool, requests: int, window_ms: int, in_hand: int, observer: Observer
    ) -> None:
        self.limiter = limiter
        self.observer = observer
        self._held: dict[str, int] = {}
        self.enabled = enabled
        self.requests = requests
        self.window_ms = window_ms
        self.in_hand = in_hand

    def bill(self, who: Principal | str) -> Bill:
        """A bill for a principal, or for an address."""
        if isinstance(who, str):
            return Bill(self, _ADDRESS + who, None, self.requests, self.window_ms)
        account = f"{_ACCOUNT}{who.account_id}"
        if who.a_minute is None:
            return Bill(self, account, account, self.requests, self.window_ms)
        return Bill(self, f"{_CREDENTIAL}{who.credential_id}", account, who.a_minute, _MINUTE_MS)

    def hold(self, key: str, weight: int, already: int) -> int:
        """Take `weight` more in hand for a request that has `already` in hand. Returns the weight that was counted.

        TooManyAtOnce if that does not fit beside the account's other requests. A request that is alone always fits.
        """
        weight = min(weight, self.in_hand - already)
        held = self._held.get(key, 0) + weight
        if held > self.in_hand:
            self.observer.happened("rate_limited", "in_hand")
            raise TooManyAtOnce(
                f"At most {self.in_hand} requests at a time; wait for an answer.", retry_after_seconds=1
            )
        self._held[key] = held
        return weight

    def let_go(self, key: str, weight: int) -> None:
        """Release this weight after the answer."""
        held = self._held.pop(key, 0) - weight
        if held > 0:
            self._held[key] = held

    async def ticket(self, address: str) -> None:
        """Count an attempt to open a live connection with a ticket as a request from its address."""
        await self.bill(address).charge(1)

    async def require(self, policy: Policy, key: str) -> None:
        """Count an attempt of `key`, such as an address. Exhausted if the policy allows no more for now."""
        if not self.enabled:
            return
        verdict = await self._take(policy, key)
        if not verdict.allowed:
            self.observer.happened("rate_limited", policy.name)
            raise Exhausted(policy.refusal, retry_after_seconds=verdict.retry_after_seconds)

    async def allows(self, policy: Policy, key: str) -> bool:
        """Count an attempt of `key`, and return whether the policy allows it. Nobody is told of a refusal."""
        return not self.enabled or (await self._take(policy, key)).allowed

    async def give_back(self, policy: Policy, key: str) -> None:
        """Do not count an attempt that `require` has let pass, such as one that succeeded. All others still count."""
        if self.enabled:
            await self.limiter.give_back(f"{policy.name}:{key}", policy.limit, policy.window_ms)

    async def forget(self, policy: Policy, key: str) -> None:
        """Reset the count of attempts to 0, as after a success."""
        if self.enabled:
            await self.limiter.forget(f"{policy.name}:{key}")

    async def _take(self, policy: Policy, key: str) -> Verdict:
        return await self.limiter.take(f"{policy.name}:{key}", policy.limit, policy.window_ms)


def with_policies(happenings: Iterable[Happening], policies: Iterable[Policy]) -> Sequence[Happening]:
    """The happenings, where the refusals of each of these policies are counted from zero.

    ValueError if two policies share a name, because their attempts would be counted together.
    """
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise ValueError(f"two policies share a name: {', '.join(sorted(names))}")
    return [_with(row, names) if row.name == "rate_limited" else row for row in happenings]


def _with(row: Happening, names: Sequence[str]) -> Happening:
    return replace(row, outcomes=(*row.outcomes, *names), security={**row.security, **dict.fromkeys(names, REFUSED)})
