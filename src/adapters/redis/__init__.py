"""The state that several processes share through Redis. Each part also works, or fails clearly, without Redis."""

from adapters.redis.broker import RedisBroker
from adapters.redis.cache import RedisCache
from adapters.redis.limits import RedisRateLimiter
from adapters.redis.newest import RedisNewest
from adapters.redis.presence import RedisPresence
from adapters.redis.seal import Seal
from adapters.redis.server import RedisServer

__all__ = [
    "RedisBroker",
    "RedisCache",
    "RedisNewest",
    "RedisPresence",
    "RedisRateLimiter",
    "RedisServer",
    "Seal",
]
