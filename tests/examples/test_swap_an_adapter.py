"""One adapter is swapped, everything else stays as it is: what happens when every limit is used up?"""

import pytest
from dependency_injector.providers import Singleton

from application.identity import Credentials, Device
from application.ports.limits import RateLimiter, Verdict
from domain.errors import Exhausted
from entrypoints.container import in_memory


class UsedUp(RateLimiter):
    """Lets nobody pass, and asks everybody to come back in seven seconds."""

    async def take(self, key: str, limit: int, window_ms: int, cost: float = 1) -> Verdict:
        return Verdict(allowed=False, remaining=0, reset_seconds=7, retry_after_seconds=7)

    async def forget(self, key: str) -> None: ...


async def test_nobody_signs_in_while_the_limit_is_used_up() -> None:
    house = in_memory(limiter=Singleton(UsedUp))
    with pytest.raises(Exhausted) as refusal:
        await house.identity().log_in(Credentials("ada@example.org", "correct horse battery"), Device("192.0.2.1", ""))
    assert refusal.value.retry_after_seconds == 7
