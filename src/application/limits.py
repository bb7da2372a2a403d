"""How often what may be done, by whom: the one table of limits, and the refusal when one is reached."""

from application.ports.limits import RateLimiter, Verdict
from application.ports.observer import Observer
from domain.errors import Exhausted


class Limits:
    """Applies the table of limits. With `enabled` false everything passes, for load tests on loopback."""

    LOGIN_PER_ACCOUNT_AND_ADDRESS = (10, 15 * 60_000)
    LOGIN_PER_ADDRESS = (100, 15 * 60_000)
    REGISTER_PER_ADDRESS = (30, 60 * 60_000)
    PASSWORD_PER_ACCOUNT = (10, 15 * 60_000)

    def __init__(self, limiter: RateLimiter, enabled: bool, requests: int, window_ms: int, observer: Observer) -> None:
        self._limiter = limiter
        self._observer = observer
        self.enabled = enabled
        self.requests = requests
        self.window_ms = window_ms

    async def request(self, key: str) -> Verdict:
        """Count one request of a user or an address against the general limit."""
        verdict = await self._limiter.take(f"request:{key}", self.requests, self.window_ms)
        if not verdict.allowed:
            self._observer.happened("rate_limited", "request")
        return verdict

    async def login(self, email: str, address: str) -> None:
        """Exhausted after too many attempts; somebody else's attempts from elsewhere do not lock the owner out."""
        await self._require("login_address", f"login:{address}", self.LOGIN_PER_ADDRESS)
        await self._require("login_account", f"login:{address}:{email}", self.LOGIN_PER_ACCOUNT_AND_ADDRESS)

    async def logged_in(self, email: str, address: str) -> None:
        """Forget the failures before a success."""
        if self.enabled:
            await self._limiter.forget(f"login:{address}:{email}")

    async def register(self, address: str) -> None:
        await self._require("register", f"register:{address}", self.REGISTER_PER_ADDRESS)

    async def password(self, account: str) -> None:
        await self._require("password", f"password:{account}", self.PASSWORD_PER_ACCOUNT)

    async def _require(self, policy: str, key: str, limit: tuple[int, int]) -> None:
        if not self.enabled:
            return
        verdict = await self._limiter.take(key, *limit)
        if not verdict.allowed:
            self._observer.happened("rate_limited", policy)
            raise Exhausted("Too many attempts; try again later.", retry_after_seconds=verdict.retry_after_seconds)
