"""How often what may be done, by whom: the one table of limits, and the refusal when one is reached."""

from contextvars import ContextVar
from math import ceil
from typing import Self

from application.ports.limits import RateLimiter, Verdict
from application.ports.observer import Observer
from domain.errors import Exhausted
from domain.ids import AccountId

_ACCOUNT, _ADDRESS = "request:u:", "request:a:"
_open: ContextVar["Bill | None"] = ContextVar("bill", default=None)


async def charge(cost: float) -> None:
    """Charge more to the request in whose course this is called, before it is done; 1 is what any request costs.

    Exhausted if that much is not left. What is done for nobody, as by the worker, costs nothing.
    """
    bill = _open.get()
    if bill is not None:
        await bill.charge(cost)


class TooManyAtOnce(Exhausted):
    """The account has all in hand that it may have; more is taken once something of that is answered."""

    code = "too_many_at_once"


class Bill:
    """What one request, or one command over a live connection, costs.

    Inside its block `charge` of this module goes on it, and what was charged is in hand until the end of the block.
    `verdict` is what the limiter said last, or None before the first charge and while nothing is limited.
    """

    __slots__ = ("_before", "_held", "_key", "_limits", "verdict")

    def __init__(self, limits: "Limits", key: str) -> None:
        self._limits = limits
        self._key = key
        self._held = 0
        self.verdict: Verdict | None = None

    def __enter__(self) -> Self:
        self._before = _open.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.reset(self._before)
        if self._held:
            self._limits.let_go(self._key, self._held)

    async def charge(self, cost: float) -> None:
        """TooManyAtOnce if that would be too much in hand, which is not counted; Exhausted if so much is not left."""
        limits = self._limits
        if not limits.enabled:
            return
        if self._key.startswith(_ACCOUNT):
            self._held += limits.hold(self._key, ceil(cost), self._held)
        verdict = self.verdict = await limits.limiter.take(self._key, limits.requests, limits.window_ms, cost)
        if not verdict.allowed:
            limits.observer.happened("rate_limited", "request")
            raise Exhausted("Too many requests; slow down.", retry_after_seconds=verdict.retry_after_seconds)


class Limits:
    """Applies the table of limits. With `enabled` false everything passes, for load tests on loopback.

    `requests` in a window are what an account may cost, and an address from which nobody is signed in; `in_hand` is
    how much of that one process does for an account at a time.
    """

    LOGIN_PER_ACCOUNT_AND_ADDRESS = (10, 15 * 60_000)
    LOGIN_PER_ADDRESS = (100, 15 * 60_000)
    REGISTER_PER_ADDRESS = (30, 60 * 60_000)
    PASSWORD_PER_ACCOUNT = (10, 15 * 60_000)
    FAILURES_TOLD_PER_ACCOUNT = (10, 60 * 60_000)

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

    def bill(self, who: AccountId | str) -> Bill:
        """A bill of an account, or of an address."""
        return Bill(self, f"{_ADDRESS}{who}" if isinstance(who, str) else f"{_ACCOUNT}{who}")

    def hold(self, key: str, weight: int, already: int) -> int:
        """Take so much more in hand for a request that has `already` as much; how much it was.

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
        """So much is answered."""
        held = self._held.pop(key, 0) - weight
        if held > 0:
            self._held[key] = held

    async def ticket(self, address: str) -> None:
        """Count an attempt to open a live connection with a ticket as a request from its address."""
        await self.bill(address).charge(1)

    async def login(self, email: str, address: str) -> None:
        """Exhausted after too many attempts; somebody else's attempts from elsewhere do not lock the owner out."""
        await self._require("login_address", f"login:{address}", self.LOGIN_PER_ADDRESS)
        await self._require("login_account", f"login:{address}:{email}", self.LOGIN_PER_ACCOUNT_AND_ADDRESS)

    async def logged_in(self, email: str, address: str) -> None:
        """Forget the failures before a success."""
        if self.enabled:
            await self.limiter.forget(f"login:{address}:{email}")

    async def register(self, address: str) -> None:
        await self._require("register", f"register:{address}", self.REGISTER_PER_ADDRESS)

    async def password(self, account: str) -> None:
        await self._require("password", f"password:{account}", self.PASSWORD_PER_ACCOUNT)

    async def may_tell_failure(self, account: AccountId) -> bool:
        """Whether a login that failed is told to the account, so that nobody fills its journal."""
        return not self.enabled or (await self.limiter.take(f"told:{account}", *self.FAILURES_TOLD_PER_ACCOUNT)).allowed

    async def _require(self, policy: str, key: str, limit: tuple[int, int]) -> None:
        if not self.enabled:
            return
        verdict = await self.limiter.take(key, *limit)
        if not verdict.allowed:
            self.observer.happened("rate_limited", policy)
            raise Exhausted("Too many attempts; try again later.", retry_after_seconds=verdict.retry_after_seconds)
