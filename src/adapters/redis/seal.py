"""Proves that a process of this installation wrote a value in Redis, where others may be able to write."""

import hmac
from collections.abc import Sequence
from hashlib import blake2b

TAG_BYTES = 16


class Seal:
    """Puts a tag (a MAC: keyed BLAKE2b) before data for Redis, and accepts only data with such a tag.

    A tag is valid for one `place`, a channel or key, and for one `purpose`. The keys are derived from the secrets of
    the installation: tags are made under `secret` and accepted under it and the `previous` ones, like access tokens. A
    tag never expires, so an attacker who can read Redis can replay data at its place.
    """

    def __init__(self, purpose: str, secret: str, previous: Sequence[str] = ()) -> None:
        keys = (
            hmac.digest(each.encode(), f"signalbox {purpose} v1".encode(), "sha256") for each in (secret, *previous)
        )
        # Copied for each use, which saves hashing the key again.
        self._newest, *self._older = (blake2b(key=key, digest_size=TAG_BYTES) for key in keys)

    def sealed(self, place: bytes, content: bytes) -> bytes:
        return _tag(self._newest, place, content) + content

    def opened(self, place: bytes, data: bytes) -> bytes | None:
        """The data that was sealed for this place, or None if no tag of ours is valid for it."""
        tag, content = data[:TAG_BYTES], data[TAG_BYTES:]
        if hmac.compare_digest(tag, _tag(self._newest, place, content)):
            return content
        known = any(hmac.compare_digest(tag, _tag(older, place, content)) for older in self._older)
        return content if known else None


def _tag(keyed: blake2b, place: bytes, content: bytes) -> bytes:
    mac = keyed.copy()
    # With the length, bytes cannot move between place and content and keep the same tag.
    mac.update(b"%d:%b%b" % (len(place), place, content))
    return mac.digest()
