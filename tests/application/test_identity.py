"""How people get an account and into it, and what they can change about it."""

import asyncio
import statistics
import time

import argon2
import msgspec
import pytest
from dependency_injector import providers

from adapters.security.passwords import Argon2Hasher
from application.authentication import SessionEnded
from application.identity import PasswordChange, ProfilePatch
from application.ports.identity import PasswordHasher
from domain.errors import Invalid, NotFound, VersionConflict
from domain.identity import (
    ACCESS_LIFETIME,
    DISPLAY_NAME_MAX,
    EMAIL_MAX,
    PASSWORD_MAX,
    AccountRole,
    EmailTaken,
    EndReason,
    InvalidCredentials,
    SessionOver,
    WrongPassword,
)
from domain.ids import WorkspaceId
from entrypoints.container import offline
from tests.application.front_door import (
    AWAY,
    HOME,
    PASSWORD,
    FrontDoor,
    Visit,
    assert_signed_in,
    assert_signed_out,
    events_of,
)

NEW_PASSWORD = "an entirely new one"


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
    home = WorkspaceId(visit.account)
    assert await workspaces.workspaces_of([(home, visit.account)]) == {(home, visit.account): home}


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
    assert len({visit.session_id for visit in visits}) == 3
    assert len({visit.refresh_token for visit in visits}) == 3
    assert await door.live(visits[0]) == 3


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(door: FrontDoor) -> None:
    await door.register()
    await door.register("bob@example.org")
    await door.administration.disable("bob@example.org")
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
    assert argon2.extract_parameters(str(after.password_hash)).memory_cost == 1_024
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
    moved = await door.identity.change_profile(ada, ProfilePatch(time_zone="Europe/London", locale="EN-gb"))
    assert (moved.display_name, moved.time_zone, moved.locale) == ("Countess", "Europe/London", "en-GB")


async def test_a_new_password_ends_every_session_and_replaces_the_old_one(door: FrontDoor) -> None:
    visits = [await door.register(), await door.log_in(), await door.log_in(device=AWAY)]
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
    await door.administration.disable("ada@example.org")
    await asyncio.gather(*logins, return_exceptions=True)
    assert await door.live(visit) == 0


async def test_a_disabled_account_is_out_and_stays_out(door: FrontDoor) -> None:
    visit = await door.register()
    await door.administration.disable("Ada@example.org")
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
    await door.administration.disable("ada@example.org")
    assert (await door.account()).version == version


async def test_whoever_becomes_admin_signs_in_anew(door: FrontDoor) -> None:
    before = await door.register()
    assert (await door.administration.make_admin("ada@example.org")).role is AccountRole.ADMIN
    await door.authentication.refresh()
    assert_signed_out(door, before)
    after = await door.log_in()
    assert after.actor.is_admin
    await door.administration.make_admin("ada@example.org")
    await door.authentication.refresh()
    assert_signed_in(door, after)


async def test_nobody_can_be_made_admin_or_disabled(door: FrontDoor) -> None:
    for attempt in (door.administration.make_admin("eve@example.org"), door.administration.disable("eve@example.org")):
        with pytest.raises(NotFound):
            await attempt


async def test_a_crowd_at_the_login_is_served(open_door: FrontDoor) -> None:
    await open_door.register()
    visits = await asyncio.gather(*(open_door.log_in(device=HOME) for _ in range(40)))
    assert len({visit.session_id for visit in visits}) == 40
    assert await open_door.live(visits[0]) == 41
