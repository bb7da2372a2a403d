"""Redis as an operator sees it: whether it answers, its version, and whether its configuration suits us."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from domain.errors import Unavailable

ANSWER_SECONDS = 2.0


class RedisServer:
    """The Redis at `url`. Each call opens a new connection. Unavailable if Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def check(self) -> str | None:
        """None, or a remark if Redis may evict keys that we need."""
        async with self._client() as client:
            await client.ping()
            try:
                policy = (await client.info("memory")).get("maxmemory_policy", "noeviction")
            except ResponseError:  # this user may not read the configuration
                return None
        return None if policy == "noeviction" else f"Its maxmemory-policy is {policy}, and has to be noeviction."

    async def identify(self) -> tuple[str, datetime]:
        """The version, and the time of its clock."""
        async with self._client() as client:
            seconds, microseconds = await client.time()
            version = (await client.info("server"))["redis_version"]
        return str(version), datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Redis]:
        try:
            async with Redis.from_url(
                self._url,
                protocol=2,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ) as client:
                yield client
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer.") from error
