"""Compression of whole answers: which encoding the caller prefers, and the encoding itself."""

import zlib
from functools import lru_cache

import brotli
import zstandard

# In the order of our preference; the levels are those that cost about as much time as they save on a slow line.
ENCODINGS = ("br", "zstd", "gzip")


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


def compressed(encoding: str, body: bytes) -> bytes:
    """The body in one of `ENCODINGS`."""
    match encoding:
        case "br":
            packed: bytes = brotli.compress(body, quality=4)
            return packed
        case "zstd":
            return zstandard.ZstdCompressor(level=3).compress(body)  # of which one serves one thread at a time
        case _:
            packer = zlib.compressobj(5, zlib.DEFLATED, 31)
            return packer.compress(body) + packer.flush()
