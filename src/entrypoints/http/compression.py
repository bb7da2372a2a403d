"""Compression of whole answers: chooses the encoding that the caller prefers, and encodes."""

import asyncio
import zlib
from collections.abc import Mapping
from contextvars import Context
from functools import lru_cache
from hashlib import sha256

import brotli
import zstandard

# In the order of our preference.
ENCODINGS = ("br", "zstd", "gzip")
# Levels for bodies that are sent once: they cost about as much time as they save on a slow line.
QUICK = {"br": 4, "zstd": 3, "gzip": 5}
# Levels for bodies that are sent many times. Higher levels take seconds.
THOROUGH = {"br": 9, "zstd": 12, "gzip": 9}


@lru_cache(maxsize=256)
def preferred_encoding(accept: bytes) -> str | None:
    """The best encoding that an Accept-Encoding header allows, or None."""
    weights: dict[str, float] = {}
    for part in accept.decode("latin-1").lower().split(","):
        name, _, parameter = part.strip().partition(";")
        try:
            weights[name.strip()] = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    rest = weights.get("*", 0.0)
    allowed = [(weights.get(name, rest), -rank, name) for rank, name in enumerate(ENCODINGS)]
    weight, _, name = max(allowed)
    return name if weight > 0 else None


def compressed(encoding: str, body: bytes, levels: Mapping[str, int] = QUICK) -> bytes:
    """The body in one of `ENCODINGS`."""
    level = levels[encoding]
    match encoding:
        case "br":
            packed: bytes = brotli.compress(body, quality=level)
            return packed
        case "zstd":
            return zstandard.ZstdCompressor(level=level).compress(body)  # a compressor is not thread-safe
        case _:
            packer = zlib.compressobj(level, zlib.DEFLATED, 31)
            return packer.compress(body) + packer.flush()


class StaticBody(bytes):
    """A body that never changes while the process runs. Its `tag` is a weak ETag, the same in every encoding."""

    def __init__(self, _: bytes) -> None:
        self.tag = f'W/"{sha256(self).hexdigest()[:32]}"'
        self._packed: dict[str, asyncio.Task[bytes]] = {}

    async def packed(self, encoding: str) -> bytes:
        """The body in one of `ENCODINGS`, at a thorough level. A thread compresses it once, in about 0.2 s."""
        task = self._packed.get(encoding)
        if task is None:
            packing = asyncio.to_thread(compressed, encoding, bytes(self), THOROUGH)
            task = self._packed[encoding] = asyncio.create_task(packing, context=Context())
        return await asyncio.shield(task)
