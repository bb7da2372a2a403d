"""Compression of whole answers: which encoding the caller prefers, and the encoding itself."""

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
# For what is sent once: they cost about as much time as they save on a slow line.
QUICK = {"br": 4, "zstd": 3, "gzip": 5}
# For what is sent again and again; the next ones take seconds.
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
            return zstandard.ZstdCompressor(level=level).compress(body)  # of which one serves one thread at a time
        case _:
            packer = zlib.compressobj(level, zlib.DEFLATED, 31)
            return packer.compress(body) + packer.flush()


class StaticBody(bytes):
    """A body that is the same for as long as the process runs; its `tag` is a weak ETag, the same in every encoding."""

    def __init__(self, _: bytes) -> None:
        self.tag = f'W/"{sha256(self).hexdigest()[:32]}"'
        self._packed: dict[str, asyncio.Task[bytes]] = {}

    async def packed(self, encoding: str) -> bytes:
        """The body in one of `ENCODINGS`, as small as it gets in a fifth of a second, which is spent once and aside."""
        task = self._packed.get(encoding)
        if task is None:
            packing = asyncio.to_thread(compressed, encoding, bytes(self), THOROUGH)
            task = self._packed[encoding] = asyncio.create_task(packing, context=Context())
        return await asyncio.shield(task)
