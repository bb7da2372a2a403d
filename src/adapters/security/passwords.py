"""Hashes passwords in threads, expensively for an attacker and without blocking the event loop."""

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from application.ports.identity import PasswordHasher
from domain.errors import Unavailable
from domain.text import normal_password

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet, 2025: argon2id with 19 MiB, two passes, one lane.
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1

WORKERS = 2
WAITING_MAX = 64

_SALT_BYTES = 16
_HASH_BYTES = 32


class Argon2Hasher(PasswordHasher):
    """Argon2id (RFC 9106) in threads of its own. argon2 releases the interpreter's lock while it works.

    Two hashes run at once and 64 more wait; beyond that a call is Unavailable. So many logins at once slow down only
    logins. Passwords are hashed as UTF-8, in the normal form of the domain.
    """

    def __init__(
        self,
        memory_kib: int = MEMORY_KIB,
        passes: int = PASSES,
        workers: int = WORKERS,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes,
            memory_cost=memory_kib,
            parallelism=LANES,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
            type=argon2.Type.ID,
        )
        # The hash of no account. Verifying against it takes as long as against a real hash, and never succeeds.
        self._nobody = (
            f"$argon2id$v=19$m={memory_kib},t={passes},p={LANES}${_random(_SALT_BYTES)}${_random(_HASH_BYTES)}"
        )
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._places = workers + waiting_max
        self.pending = 0

    async def hash(self, password: str) -> str:
        return await self._run(self._argon2.hash, _normal(password))

    async def verify(self, password: str, encoded: str | None) -> bool:
        matches = await self._run(self._matches, encoded or self._nobody, _normal(password))
        return matches and encoded is not None

    def is_outdated(self, encoded: str) -> bool:
        try:
            made_with = argon2.extract_parameters(encoded)
        except InvalidHashError:
            return True
        today = self._argon2
        return (
            made_with.type is not argon2.Type.ID
            or made_with.version < 19
            or made_with.memory_cost < today.memory_cost
            or made_with.time_cost < today.time_cost
            or made_with.hash_len < today.hash_len
            or made_with.salt_len < today.salt_len
        )

    def close(self) -> None:
        """Stop the threads. Waiting hashes are cancelled, and running ones end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, encoded: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        if self.pending == self._places:
            raise Unavailable("Too many people are signing in right now.", retry_after_seconds=2.0)
        self.pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self.pending -= 1


def _normal(password: str) -> bytes:
    # `surrogatepass`, because a login may try a password with lone surrogates. No such password is ever set.
    return normal_password(password).encode("utf-8", "surrogatepass")


def _random(size: int) -> str:
    return base64.b64encode(os.urandom(size)).rstrip(b"=").decode()
