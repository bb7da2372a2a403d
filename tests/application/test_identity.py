"""Accounts and sign-ins as people live through them, from registration to the last session that ends."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import argon2
import msgspec
import pytest
import pytest_asyncio
from dependency_injector import providers

from adapters.security.passwords import Argon2Hasher
from adapters.security.tokens import TokenInvalid
from application.authentication import SessionEnded
from application.identity import ANCESTRY_MAX, Client, PasswordChange, ProfilePatch
from application.ports.identity import PasswordHasher
from domain.channels import account_stream
from domain.errors import Invalid, NotFound, Unauthenticated, VersionConflict
from domain.identity import (
    ACCESS_LIFETIME,
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    PASSWORD_MAX,
    REFRESH_GRACE,
    AccountRole,
    EmailTaken,
    EndReason,
    InvalidCredentials,
    SessionOver,
    TokenReused,
    WrongPassword,
)
from domain.ids import AccountId, SessionId, WorkspaceId
from entrypoints.container import offline
from tests.application.front_door import AWAY, HOME, PASSWORD, FrontDoor, Visit

NEW_PASSWORD = "an entirely new one"
GRACE_SECONDS = REFRESH_GRACE.total_seconds()


@pytest_asyncio.fixture
async def door() -> AsyncIterator[FrontDoor]:
    door = FrontDoor()
    yield door
    door.close()


@pytest_asyncio.fixture
async def open_door() -> AsyncIterator[FrontDoor]:
    """A front door without limits, for tests that knock often."""
    door = FrontDoor(settings=providers.Object(msgspec.structs.replace(offline(), rate_limit_enabled=False)))
    yield door
    door.close()


async def events_of(door: FrontDoor, account: AccountId) -> Sequence[str]:
    return [entry.type for entry in await door.journal.read(account_stream(account), 0, 1_000)]


def assert_signed_out(door: FrontDoor, visit: Visit) -> None:
    with pytest.raises(SessionEnded):
        door.authentication.authenticate(visit.access_token)


def assert_signed_in(door: FrontDoor, visit: Visit) -> None:
    assert door.authentication.authenticate(visit.access_token) == visit.actor


# Registration


async def test_whoever_registers_is_signed_in(door: FrontDoor) -> None:
    visit = await door.register(" Ada@Example.ORG ")
    me = await door.identity.me(visit.actor)
    assert (me.id, me.email, me.display_name, me.role) == (visit.account, "ada@example.org", "Ada", AccountRole.USER)
    assert visit.expires_in == ACCESS_LIFETIME.total_seconds()
    assert await door.live(visit) == 1
    assert (await door.refresh(visit.refresh_token)).account == visit.account


async def test_a_new_account_has_a_workspace_of_its_own(door: FrontDoor) -> None:
    visit = await door.register()
    workspaces = door.container.access_queries()
    assert await workspaces.workspace_of(WorkspaceId(visit.account), by=visit.account) == WorkspaceId(visit.account)


async def test_a_registration_is_told_in_the_journal(door: FrontDoor) -> None:
    visit = await door.register()
    assert await events_of(door, visit.account) == ["account.registered", "session.created"]


async def test_an_address_is_taken_in_whatever_case(door: FrontDoor) -> None:
    await door.register("ada@example.org")
    with pytest.raises(EmailTaken):
        await door.register("ADA@EXAMPLE.ORG")


async def test_of_twenty_who_register_one_address_one_succeeds(door: FrontDoor) -> None:
    outcomes = await asyncio.gather(*(door.register() for _ in range(20)), return_exceptions=True)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Visit)]
    assert len(winners) == 1
    assert all(isinstance(outcome, EmailTaken) for outcome in outcomes if outcome not in winners)
    assert (await door.log_in()).account == winners[0].account


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        "ada@example.",
        "ada@.org",
        "ada@@example.org",
        "ada lovelace@example.org",
        "ada@exam ple.org",
        "ada@example.org\nbcc:eve@example.org",
        "ada\x00@example.org",
        "ada\ud800@example.org",
        "ada@example.org\x7f",
        "a" * 65 + "@example.org",
        "a@" + "b" * EMAIL_MAX + ".org",
    ],
)
async def test_what_cannot_be_an_address_is_refused(door: FrontDoor, email: str) -> None:
    for attempt in (door.register(email), door.log_in(email)):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.pointer == "/email"


@pytest.mark.parametrize("name", ["", "   ", "Ada\x00", "Ada\udfff", "x" * (DISPLAY_NAME_MAX + 1)])
async def test_what_cannot_be_a_name_is_refused(door: FrontDoor, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        await door.register(display_name=name)
    assert refused.value.pointer == "/display_name"


COMMON = [
    "password12",
    "Password123!",
    "P4ssw0rd2026",
    "pa$$w0rd!!",
    "passwordpassword",
    "qwertyuiop",
    "qwertyuiop1",
    "1234567890",
    "0987654321",
    "letmein12345",
    "l3tm31n2026",
    "iloveyou!!",
    "Welcome2026",
    "monkey12345",
    "abcdefghij",
    "zxcvbnm123",
    "football2024",
    "aaaaaaaaaaaa",
    "ababababab",
    "1212121212",
    "00000000000",
    "20262026202",
    "adm1n12345",
    "changeme123",
    "summer2026!",
    "signalbox1",
    "11111111111111",
]


@pytest.mark.parametrize("password", COMMON)
async def test_the_passwords_that_anyone_would_try_first_are_refused(door: FrontDoor, password: str) -> None:
    with pytest.raises(Invalid) as refused:
        await door.register(password=password)
    assert refused.value.pointer == "/password"


@pytest.mark.parametrize(
    "password",
    [
        "",
        "too short",
        "ada.lovelace@example.org",
        "ADA.Lovelace@example.ORG",
        "ada.lovelace",
        "before\x00after, yes",
        "a lone \ud800 surrogate",
        "x1y2z3" * 200,
    ],
)
async def test_unfit_passwords_are_refused(door: FrontDoor, password: str) -> None:
    with pytest.raises(Invalid) as refused:
        await door.register("ada.lovelace@example.org", password=password)
    assert refused.value.pointer == "/password"


@pytest.mark.parametrize(
    "password",
    [
        "ten chars!",
        "          xyz",
        "only-lower-case-letters",
        "83591740264915",
        "пароль под ёлкой",
        "🐎🔋📎🧷🪢🧵🪡🧶🪢🧷",
        " spaces around count ",
        "tr0ub4dor&3" * 12,
        ("correct horse battery staple " * 40)[:PASSWORD_MAX],
    ],
)
async def test_any_other_password_of_ten_characters_will_do(door: FrontDoor, password: str) -> None:
    await door.register(password=password)
    await door.log_in(password=password)
    for wrong in (password + "x", password[:-1] + ("x" if password[-1] != "x" else "y")):
        with pytest.raises(InvalidCredentials):
            await door.log_in(password=wrong)


# Logging in


async def test_every_login_is_a_session_of_its_own(door: FrontDoor) -> None:
    visits = [await door.register(), await door.log_in(), await door.log_in("ADA@example.org")]
    assert len({visit.actor.session_id for visit in visits}) == 3
    assert len({visit.refresh_token for visit in visits}) == 3
    assert await door.live(visits[0]) == 3


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(door: FrontDoor) -> None:
    await door.register()
    await door.register("bob@example.org")
    await door.identity.disable("bob@example.org")
    answers = []
    for email, password in (("ada@example.org", "wrong"), ("eve@example.org", "wrong"), ("bob@example.org", PASSWORD)):
        with pytest.raises(InvalidCredentials) as refused:
            await door.log_in(email, password)
        answers.append((type(refused.value), str(refused.value), refused.value.pointer, dict(refused.value.extra)))
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("oddity", ["\x00", "\ud800", "x" * 100_000])
async def test_an_odd_password_is_just_wrong(door: FrontDoor, oddity: str) -> None:
    await door.register()
    with pytest.raises(InvalidCredentials):
        await door.log_in(password=oddity)


async def test_an_unknown_address_takes_as_long_as_a_wrong_password() -> None:
    # One pass over 2 MiB: a millisecond or two, far above everything else that a login does here.
    door = FrontDoor(
        settings=providers.Object(msgspec.structs.replace(offline(), rate_limit_enabled=False)),
        hasher=providers.Singleton(Argon2Hasher, memory_kib=2_048, passes=1, workers=1),
    )
    await door.register()

    async def seconds(email: str) -> float:
        began = time.perf_counter()
        with pytest.raises(InvalidCredentials):
            await door.log_in(email, "wrong")
        return time.perf_counter() - began

    # In pairs, since a shared machine may be twice as slow from one moment to the next.
    ratios = [await seconds("eve@example.org") / await seconds("ada@example.org") for _ in range(50)]
    door.close()
    assert 0.5 < statistics.median(ratios) < 2


class SuccessiveHashers(PasswordHasher):
    """A hasher whose parameters are raised during the life of an account."""

    def __init__(self) -> None:
        self.now = self._past = Argon2Hasher(memory_kib=8, passes=1)

    def raise_parameters(self) -> None:
        self.now = Argon2Hasher(memory_kib=1_024, passes=2)

    async def hash(self, password: str) -> str:
        return await self.now.hash(password)

    async def verify(self, password: str, encoded: str | None) -> bool:
        return await self.now.verify(password, encoded)

    def is_outdated(self, encoded: str) -> bool:
        return self.now.is_outdated(encoded)

    def close(self) -> None:
        self._past.close()
        self.now.close()


async def test_a_hash_of_yesterday_is_renewed_at_the_next_login() -> None:
    hasher = SuccessiveHashers()
    door = FrontDoor(hasher=providers.Object(hasher))
    await door.register()
    hasher.raise_parameters()
    before = await door.account()
    with pytest.raises(InvalidCredentials):
        await door.log_in(password="wrong")
    assert await door.account() == before
    await door.log_in()
    after = await door.account()
    assert argon2.extract_parameters(after.password_hash).memory_cost == 1_024
    await door.log_in()
    assert (await door.account()).password_hash == after.password_hash
    hasher.close()


async def test_of_several_logins_that_renew_a_hash_at_once_all_succeed() -> None:
    hasher = SuccessiveHashers()
    door = FrontDoor(hasher=providers.Object(hasher))
    await door.register()
    hasher.raise_parameters()
    visits = await asyncio.gather(*(door.log_in() for _ in range(5)))
    assert await door.live(visits[0]) == 6
    hasher.close()


# Refreshing


async def test_a_refresh_gives_a_new_token_of_each_kind(door: FrontDoor) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    third = await door.refresh(second.refresh_token)
    assert len({visit.refresh_token for visit in (first, second, third)}) == 3
    assert len({visit.access_token for visit in (first, second, third)}) == 3
    assert first.actor.session_id == third.actor.session_id
    assert await door.live(first) == 1


async def test_only_a_digest_of_a_refresh_token_is_kept(door: FrontDoor) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    kept = repr(door.container.database().committed)
    for token in (first.refresh_token, second.refresh_token):
        assert token not in kept
        assert token.partition(".")[2] not in kept
        assert len(token.partition(".")[2]) >= 43


@pytest.mark.parametrize("seconds", [0, 1, GRACE_SECONDS])
async def test_the_predecessor_gets_the_same_successor_for_ten_seconds(door: FrontDoor, seconds: float) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    door.wait(seconds=seconds)
    again = await door.refresh(first.refresh_token)
    assert again.refresh_token == second.refresh_token
    assert (await door.session(first)).rotations == 1
    assert (await door.refresh(second.refresh_token)).actor.session_id == first.actor.session_id


async def test_the_predecessor_is_reuse_after_ten_seconds(door: FrontDoor) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    door.wait(seconds=GRACE_SECONDS, milliseconds=1)
    with pytest.raises(TokenReused):
        await door.refresh(first.refresh_token)
    session = await door.session(first)
    assert (session.ended_at, session.ended_because) == (door.clock.now(), EndReason.TOKEN_REUSED)
    with pytest.raises(SessionOver):
        await door.refresh(second.refresh_token)
    for visit in (first, second):
        assert_signed_out(door, visit)


async def test_asking_again_and_again_does_not_prolong_the_grace(door: FrontDoor) -> None:
    first = await door.register()
    await door.refresh(first.refresh_token)
    for _ in range(2):
        door.wait(seconds=GRACE_SECONDS / 2)
        await door.refresh(first.refresh_token)
    door.wait(milliseconds=1)
    with pytest.raises(TokenReused):
        await door.refresh(first.refresh_token)


@pytest.mark.parametrize("generations", [2, 3, 10])
async def test_an_older_ancestor_is_reuse_however_young(door: FrontDoor, generations: int) -> None:
    first = newest = await door.register()
    for _ in range(generations):
        newest = await door.refresh(newest.refresh_token)
    with pytest.raises(TokenReused):
        await door.refresh(first.refresh_token)
    with pytest.raises(SessionOver):
        await door.refresh(newest.refresh_token)
    assert_signed_out(door, newest)
    assert (await events_of(door, first.account))[-1] == "session.ended"


async def test_reuse_ends_one_session_and_leaves_the_others(door: FrontDoor) -> None:
    first, other = await door.register(), await door.log_in()
    second = await door.refresh(first.refresh_token)
    await door.refresh(second.refresh_token)
    with pytest.raises(TokenReused):
        await door.refresh(first.refresh_token)
    assert_signed_in(door, other)
    await door.refresh(other.refresh_token)
    assert await door.live(other) == 1


def guesses(visit: Visit, other: Visit) -> Sequence[str | None]:
    """Tokens that never were this session's, though some name it."""
    id, _, secret = visit.refresh_token.partition(".")
    return [
        None,
        "",
        ".",
        id,
        f"{id}.",
        f".{secret}",
        f"{id}.{'A' * 43}",
        f"{id}.{secret[:-1]}",
        f"{id}.{secret}A",
        f"{id}.{secret}.{secret}",
        f"{id}.{secret} ",
        f"{id.upper()}.{secret}",
        f"{UUID(hex=id)}.{secret}",
        f"{id}.{other.refresh_token.partition('.')[2]}",
        f"{other.refresh_token.partition('.')[0]}.{secret}",
        f"{UUID(int=0).hex}.{secret}",
        f"{id}.{'A' * 10_000}",
        f"{id}.ä",
        f"{id}.\ud800",
        f"{id}.\x00",
        "x" * 64 + ".y",
        visit.access_token,
    ]


async def test_a_guess_never_ends_a_session(door: FrontDoor) -> None:
    first, other = await door.register(), await door.log_in()
    newest = await door.refresh(first.refresh_token)
    for guess in guesses(newest, other):
        with pytest.raises(SessionOver):
            await door.refresh(guess)
        await door.identity.log_out(guess)
    assert_signed_in(door, newest)
    assert_signed_in(door, other)
    await door.refresh(newest.refresh_token)
    await door.refresh(other.refresh_token)


async def test_a_guess_is_cheap_however_long_the_chain(door: FrontDoor) -> None:
    visit = await door.register()
    secrets, token = door.container.secrets(), visit.refresh_token
    async with door.container.work()() as work:
        session = await work.sessions.get(visit.actor.session_id)
        assert session
        for _ in range(ANCESTRY_MAX + 1):
            token = f"{session.id.hex}.{secrets.successor(token)}"
            session.rotate(secrets.digest(token), door.clock.now())
        work.sessions.save(session)
    with pytest.raises(SessionOver):
        await door.refresh(visit.refresh_token)
    assert_signed_in(door, visit)
    await door.refresh(token)


async def test_refresh_tokens_do_not_open_other_doors(door: FrontDoor) -> None:
    visit = await door.register()
    with pytest.raises(TokenInvalid):
        door.authentication.authenticate(visit.refresh_token)


async def test_twenty_parallel_refreshes_have_one_live_successor(door: FrontDoor) -> None:
    first = await door.register()
    visits = await asyncio.gather(*(door.refresh(first.refresh_token) for _ in range(20)))
    assert len({visit.refresh_token for visit in visits}) == 1
    assert (await door.session(first)).rotations == 1
    assert await door.live(first) == 1
    for visit in visits:
        assert_signed_in(door, visit)
    await door.refresh(visits[0].refresh_token)


async def test_a_session_runs_out_when_it_is_not_used_for_seven_days(door: FrontDoor) -> None:
    one, other = await door.register(), await door.log_in()
    door.wait(days=7, milliseconds=-1)
    one = await door.refresh(one.refresh_token)
    door.wait(milliseconds=1)
    with pytest.raises(SessionOver):
        await door.refresh(other.refresh_token)
    assert await door.live(one) == 1
    door.wait(days=7, milliseconds=-1)
    with pytest.raises(SessionOver):
        await door.refresh(one.refresh_token)


async def test_a_session_runs_out_after_thirty_days_even_if_it_was_used_a_minute_ago(door: FrontDoor) -> None:
    visit = await door.register()
    for _ in range(5):
        door.wait(days=5, hours=23)
        visit = await door.refresh(visit.refresh_token)
    door.wait(hours=5, minutes=-5)
    visit = await door.refresh(visit.refresh_token)
    # Nor does the last access token outlive it.
    assert visit.expires_in == 300
    door.wait(minutes=5, milliseconds=-1)
    assert_signed_in(door, visit)
    await door.refresh(visit.refresh_token)
    door.wait(milliseconds=1)
    with pytest.raises(SessionOver):
        await door.refresh(visit.refresh_token)
    with pytest.raises(Unauthenticated):
        door.authentication.authenticate(visit.access_token)


# Logging out


async def test_logging_out_ends_this_session_and_no_other(door: FrontDoor) -> None:
    one, other = await door.register(), await door.log_in()
    await door.identity.log_out(one.refresh_token)
    assert_signed_out(door, one)
    with pytest.raises(SessionOver):
        await door.refresh(one.refresh_token)
    assert_signed_in(door, other)
    assert (await door.session(one)).ended_because is EndReason.LOGGED_OUT


async def test_logging_out_twice_is_as_good_as_once(door: FrontDoor) -> None:
    visit = await door.register()
    await door.identity.log_out(visit.refresh_token)
    version = (await door.session(visit)).version
    await door.identity.log_out(visit.refresh_token)
    assert (await door.session(visit)).version == version


async def test_a_tab_that_missed_the_refresh_can_log_out(door: FrontDoor) -> None:
    first = await door.register()
    newest = await door.refresh(first.refresh_token)
    await door.identity.log_out(first.refresh_token)
    assert_signed_out(door, newest)


async def test_logging_out_everywhere_ends_all_of_ones_sessions(door: FrontDoor) -> None:
    mine = [await door.register(), await door.log_in(), await door.log_in(client=AWAY)]
    others = await door.register("bob@example.org")
    await door.identity.log_out_everywhere(mine[1].actor)
    for visit in mine:
        assert_signed_out(door, visit)
        with pytest.raises(SessionOver):
            await door.refresh(visit.refresh_token)
    assert_signed_in(door, others)
    assert await door.live(others) == 1


async def test_a_login_while_all_sessions_end_is_either_ended_or_good(door: FrontDoor) -> None:
    visit = await door.register()
    _, late = await asyncio.gather(door.identity.log_out_everywhere(visit.actor), door.log_in())
    over = (await door.session(late)).is_over(door.clock.now())
    if over:
        assert_signed_out(door, late)
    else:
        assert_signed_in(door, late)


# Sessions


async def test_one_sees_ones_own_live_sessions_oldest_first(door: FrontDoor) -> None:
    first = await door.register(client=Client("203.0.113.7", "x" * 1_000))
    door.wait(seconds=1)
    ended = await door.log_in()
    door.wait(seconds=1)
    last = await door.log_in(client=AWAY)
    await door.register("bob@example.org")
    await door.identity.log_out(ended.refresh_token)
    door.wait(minutes=1)
    first = await door.refresh(first.refresh_token)
    one, two = await door.identity.sessions(last.actor)
    assert (one.id, two.id) == (first.actor.session_id, last.actor.session_id)
    assert (one.current, two.current) == (False, True)
    assert (two.address, two.user_agent) == (AWAY.address, AWAY.user_agent)
    assert len(one.user_agent) == 256
    assert one.created_at < two.created_at < one.last_used_at == door.clock.now()
    assert two.expires_at == (await door.session(last)).expires_at


async def test_one_ends_a_session_of_ones_own(door: FrontDoor) -> None:
    here, there = await door.register(), await door.log_in(client=AWAY)
    await door.identity.end_session(here.actor, there.actor.session_id)
    assert_signed_out(door, there)
    assert_signed_in(door, here)
    assert (await door.session(there)).ended_because is EndReason.ENDED_BY_OWNER
    await door.identity.end_session(here.actor, here.actor.session_id)
    assert_signed_out(door, here)


async def test_a_session_of_another_an_ended_one_and_none_read_the_same(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org")
    ended = await door.log_in()
    await door.identity.log_out(ended.refresh_token)
    answers = set()
    for id in (bob.actor.session_id, ended.actor.session_id, SessionId(UUID(int=7))):
        with pytest.raises(NotFound) as refused:
            await door.identity.end_session(ada.actor, id)
        answers.add(str(refused.value))
    assert len(answers) == 1
    assert_signed_in(door, bob)


async def test_an_admin_ends_anybodys_session_and_sees_only_the_own(door: FrontDoor) -> None:
    bob = await door.register("bob@example.org")
    await door.register()
    await door.identity.make_admin("ada@example.org")
    admin = await door.log_in()
    assert await door.live(admin) == 1
    await door.identity.end_session(admin.actor, bob.actor.session_id)
    assert_signed_out(door, bob)
    with pytest.raises(SessionOver):
        await door.refresh(bob.refresh_token)


# Profile, password, role


async def test_a_new_name_counts_a_version_and_the_same_name_does_not(door: FrontDoor) -> None:
    ada = (await door.register()).actor
    changed = await door.identity.change_profile(ada, ProfilePatch(display_name=" Countess "), version=1)
    assert (changed.display_name, changed.version) == ("Countess", 2)
    assert (await door.identity.change_profile(ada, ProfilePatch(display_name="Countess"))).version == 2
    assert (await door.identity.change_profile(ada, ProfilePatch())).version == 2
    with pytest.raises(VersionConflict) as refused:
        await door.identity.change_profile(ada, ProfilePatch(display_name="Ada"), version=1)
    assert refused.value.extra["current"] == changed


async def test_a_new_password_ends_every_session_and_replaces_the_old_one(door: FrontDoor) -> None:
    visits = [await door.register(), await door.log_in(), await door.log_in(client=AWAY)]
    other = await door.register("bob@example.org")
    await door.identity.change_password(visits[1].actor, PasswordChange(PASSWORD, NEW_PASSWORD))
    for visit in visits:
        assert_signed_out(door, visit)
        with pytest.raises(SessionOver):
            await door.refresh(visit.refresh_token)
        assert (await door.session(visit)).ended_because is EndReason.PASSWORD_CHANGED
    assert_signed_in(door, other)
    with pytest.raises(InvalidCredentials):
        await door.log_in()
    await door.log_in(password=NEW_PASSWORD)


async def test_a_new_password_needs_the_present_one(door: FrontDoor) -> None:
    visit = await door.register()
    with pytest.raises(WrongPassword) as refused:
        await door.identity.change_password(visit.actor, PasswordChange("wrong", NEW_PASSWORD))
    assert refused.value.pointer == "/current_password"
    assert_signed_in(door, visit)
    await door.log_in()


async def test_a_new_password_is_as_good_as_the_first_had_to_be(door: FrontDoor) -> None:
    visit = await door.register()
    for unfit in ("short", "password12", "ada@example.org", "a lone \udc00 one"):
        with pytest.raises(Invalid) as refused:
            await door.identity.change_password(visit.actor, PasswordChange(PASSWORD, unfit))
        assert refused.value.pointer == "/new_password"
    assert_signed_in(door, visit)


async def test_of_two_who_change_a_password_at_once_one_succeeds(door: FrontDoor) -> None:
    visit = await door.register()
    changes = [PasswordChange(PASSWORD, f"{NEW_PASSWORD} {number}") for number in range(2)]
    outcomes = await asyncio.gather(
        *(door.identity.change_password(visit.actor, change) for change in changes), return_exceptions=True
    )
    assert sorted(map(type, outcomes), key=str) == [type(None), WrongPassword]
    await door.log_in(password=changes[outcomes.index(None)].new_password)


@pytest.mark.parametrize("head_start", range(12))
async def test_a_login_with_a_password_that_is_just_being_replaced_gives_nothing_lasting(
    open_door: FrontDoor, head_start: int
) -> None:
    door = open_door
    visit = await door.register()
    logins = [asyncio.create_task(door.log_in()) for _ in range(3)]
    for _ in range(head_start):
        await asyncio.sleep(0)
    late = [asyncio.create_task(door.log_in()) for _ in range(3)]
    await door.identity.change_password(visit.actor, PasswordChange(PASSWORD, NEW_PASSWORD))
    for outcome in await asyncio.gather(*logins, *late, return_exceptions=True):
        if isinstance(outcome, Visit):
            assert_signed_out(door, outcome)
        else:
            assert isinstance(outcome, InvalidCredentials | SessionEnded)
    assert await door.live(visit) == 0


@pytest.mark.parametrize("head_start", range(12))
async def test_a_login_while_the_account_is_disabled_gives_nothing_lasting(
    open_door: FrontDoor, head_start: int
) -> None:
    door = open_door
    visit = await door.register()
    logins = [asyncio.create_task(door.log_in()) for _ in range(3)]
    for _ in range(head_start):
        await asyncio.sleep(0)
    await door.identity.disable("ada@example.org")
    await asyncio.gather(*logins, return_exceptions=True)
    assert await door.live(visit) == 0


async def test_a_disabled_account_is_out_and_stays_out(door: FrontDoor) -> None:
    visit = await door.register()
    await door.identity.disable("Ada@example.org")
    await door.authentication.refresh()
    assert_signed_out(door, visit)
    with pytest.raises(SessionOver):
        await door.refresh(visit.refresh_token)
    with pytest.raises(InvalidCredentials):
        await door.log_in()
    with pytest.raises(EmailTaken):
        await door.register()
    assert (await door.session(visit)).ended_because is EndReason.DISABLED
    version = (await door.account()).version
    await door.identity.disable("ada@example.org")
    assert (await door.account()).version == version


async def test_whoever_becomes_admin_signs_in_anew(door: FrontDoor) -> None:
    before = await door.register()
    assert (await door.identity.make_admin("ada@example.org")).role is AccountRole.ADMIN
    await door.authentication.refresh()
    assert_signed_out(door, before)
    after = await door.log_in()
    assert after.actor.is_admin
    await door.identity.make_admin("ada@example.org")
    await door.authentication.refresh()
    assert_signed_in(door, after)


async def test_nobody_can_be_made_admin_or_disabled(door: FrontDoor) -> None:
    for attempt in (door.identity.make_admin("eve@example.org"), door.identity.disable("eve@example.org")):
        with pytest.raises(NotFound):
            await attempt


async def test_a_crowd_at_the_login_is_served(open_door: FrontDoor) -> None:
    await open_door.register()
    visits = await asyncio.gather(*(open_door.log_in(client=HOME) for _ in range(40)))
    assert len({visit.actor.session_id for visit in visits}) == 40
    assert await open_door.live(visits[0]) == 41
