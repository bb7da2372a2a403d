"""What password hashes promise, to whoever knows the password, guesses it or comes in a crowd."""

import asyncio
import threading
from collections.abc import Iterator

import argon2
import pytest

from adapters.security.passwords import MEMORY_KIB, PASSES, Argon2Hasher
from application.ports.identity import PasswordHasher
from domain.errors import Unavailable


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    """A hasher as cheap as argon2 allows."""
    hasher = Argon2Hasher(memory_kib=8, passes=1)
    yield hasher
    hasher.close()


async def test_a_password_fits_its_own_hash_only(hasher: PasswordHasher) -> None:
    encoded = await hasher.hash("correct horse battery")
    assert await hasher.verify("correct horse battery", encoded)
    for wrong in ("correct horse batterY", "correct horse battery ", "correct horse", "", "\x00", "\ud800"):
        assert not await hasher.verify(wrong, encoded)


async def test_hashes_of_one_password_differ(hasher: PasswordHasher) -> None:
    assert await hasher.hash("correct horse battery") != await hasher.hash("correct horse battery")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 72 + "a", "x" * 72 + "b"),
        ("x" * 1_023 + "a", "x" * 1_023 + "b"),
        ("before\x00after, a", "before\x00after, b"),
        ("пароль под ёлкой", "пароль под елкой"),
        ("🐎" * 12, "🐴" * 12),
    ],
)
async def test_every_character_of_a_password_counts(hasher: PasswordHasher, one: str, other: str) -> None:
    encoded = await hasher.hash(one)
    assert await hasher.verify(one, encoded)
    assert not await hasher.verify(other, encoded)


async def test_the_same_characters_are_the_same_password_however_a_system_composes_them(
    hasher: PasswordHasher,
) -> None:
    encoded = await hasher.hash("Cr\u00e8me br\u00fbl\u00e9e 12")
    assert await hasher.verify("Cre\u0300me bru\u0302le\u0301e 12", encoded)


async def test_nobodys_password_is_never_right(hasher: PasswordHasher) -> None:
    assert not await hasher.verify("correct horse battery", None)
    assert not await hasher.verify("", None)


@pytest.mark.parametrize("encoded", ["", "plain text", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$" + "x" * 53])
async def test_what_is_no_hash_fits_nothing_and_is_outdated(hasher: PasswordHasher, encoded: str) -> None:
    assert not await hasher.verify("correct horse battery", encoded)
    assert hasher.is_outdated(encoded)


async def test_passwords_are_kept_as_strong_argon2id_hashes() -> None:
    hasher = Argon2Hasher()
    encoded = await hasher.hash("correct horse battery")
    assert await hasher.verify("correct horse battery", encoded)
    hasher.close()
    made_with = argon2.extract_parameters(encoded)
    assert (made_with.type, made_with.version, made_with.parallelism) == (argon2.Type.ID, 19, 1)
    assert made_with.memory_cost >= 19_456
    assert made_with.time_cost >= 2
    assert made_with.salt_len >= 16
    assert made_with.hash_len >= 32
    assert not hasher.is_outdated(encoded)


@pytest.mark.parametrize(
    ("weaker", "outdated"),
    [
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1), False),
        (argon2.PasswordHasher(time_cost=PASSES + 1, memory_cost=MEMORY_KIB * 2, parallelism=1), False),
        (argon2.PasswordHasher(time_cost=PASSES - 1, memory_cost=MEMORY_KIB, parallelism=1), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB - 1, parallelism=1), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, salt_len=8), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, hash_len=16), True),
        (argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1, type=argon2.Type.I), True),
    ],
)
async def test_a_weaker_hash_is_outdated_and_yet_verified(weaker: argon2.PasswordHasher, outdated: bool) -> None:
    hasher = Argon2Hasher()
    encoded = weaker.hash("correct horse battery")
    assert hasher.is_outdated(encoded) is outdated
    assert await hasher.verify("correct horse battery", encoded)
    hasher.close()


class Bench:
    """Takes the place of argon2's own work: it goes on only when told to, and counts how many are at it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.at_work = 0
        self.most_at_work = 0
        self.done = 0
        self._lock = threading.Lock()

    def hash(self, password: bytes) -> str:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        assert self.go_on.wait(30)
        with self._lock:
            self.at_work -= 1
            self.done += 1
        return password.decode()


@pytest.fixture
def crowded() -> Iterator[tuple[Argon2Hasher, Bench]]:
    """A hasher with two workers and three places to wait in, all at a standstill."""
    hasher, bench = Argon2Hasher(memory_kib=8, passes=1, workers=2, waiting_max=3), Bench()
    hasher._argon2 = bench  # type: ignore[assignment]
    yield hasher, bench
    bench.go_on.set()
    hasher.close()


async def test_beyond_a_bounded_crowd_the_next_is_told_to_come_back(crowded: tuple[Argon2Hasher, Bench]) -> None:
    hasher, bench = crowded
    waiting = [asyncio.create_task(hasher.hash(str(number))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await hasher.hash("one too many")
    assert refused.value.retry_after_seconds > 0
    with pytest.raises(Unavailable):
        await hasher.verify("one too many", None)
    bench.go_on.set()
    assert await asyncio.gather(*waiting) == list("01234")
    assert bench.most_at_work <= 2
    assert await hasher.hash("welcome again") == "welcome again"


async def test_whoever_stops_waiting_makes_room_and_costs_nothing(crowded: tuple[Argon2Hasher, Bench]) -> None:
    hasher, bench = crowded
    waiting = [asyncio.create_task(hasher.hash(str(number))) for number in range(5)]
    await asyncio.sleep(0)
    for task in waiting[2:]:
        task.cancel()
    await asyncio.wait(waiting[2:])
    more = [asyncio.create_task(hasher.hash(number)) for number in "567"]
    await asyncio.sleep(0)
    bench.go_on.set()
    assert await asyncio.gather(*waiting[:2], *more) == list("01567")
    assert bench.done == 5


async def test_the_event_loop_goes_on_while_hashes_are_made() -> None:
    hasher = Argon2Hasher()
    hashing = asyncio.gather(*(hasher.hash("correct horse battery") for _ in range(4)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    await hashing
    hasher.close()
    assert turns > 100
