"""What tells that a process of this installation put something into Redis, where others may be able to write."""

import hmac
from collections.abc import Sequence
from hashlib import blake2b

TAG_BYTES = 16


class Seal:
    """Puts a tag (a MAC: BLAKE2b under a key) before what goes into Redis, and takes off none but its own.

    A tag is good for one `place`, a channel or key, and for one `purpose`. The keys are derived from the secrets of the
    installation: tags are made under `secret` and known under it and the `previous` ones, as access tokens are. What
    was sealed once stays good: somebody who can read Redis can put it back where it was.
    """

    def __init__(self, purpose: str, secret: str, previous: Sequence[str] = ()) -> None:
        keys = (
            hmac.digest(each.encode(), f"signalbox {purpose} v1".encode(), "sha256") for each in (secret, *previous)
        )
        # Copied for each use, which spares the work of taking in the key.
        self._newest, *self._older = (blake2b(key=key, digest_size=TAG_BYTES) for key in keys)

    def sealed(self, place: bytes, content: bytes) -> bytes:
        return _tag(self._newest, place, content) + content

    def opened(self, place: bytes, data: bytes) -> bytes | None:
        """What was sealed for this place, or None if this is nothing of the sort."""
        tag, content = data[:TAG_BYTES], data[TAG_BYTES:]
        if hmac.compare_digest(tag, _tag(self._newest, place, content)):
            return content
        known = any(hmac.compare_digest(tag, _tag(older, place, content)) for older in self._older)
        return content if known else None


def _tag(keyed: blake2b, place: bytes, content: bytes) -> bytes:
    mac = keyed.copy()
    # The length keeps a place and what is in it from being taken for another place with less in it.
    mac.update(b"%d:%b%b" % (len(place), place, content))
    return mac.digest()
