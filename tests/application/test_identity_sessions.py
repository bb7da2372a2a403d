"""How a session is kept up by refreshing, whom a used token betrays, and every way in which a session ends."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.memory.observer import MemoryObserver
from adapters.security.tokens import TokenInvalid
from application.identity import Device
from domain.errors import NotFound, Unauthenticated
from domain.identity import (
    EndReason,
    RefreshToken,
    SessionOver,
    TokenReused,
)
from domain.ids import SessionId
from tests.application.front_door import (
    AWAY,
    FrontDoor,
    Visit,
    assert_signed_in,
    assert_signed_out,
    events_of,
)

# Refreshing


async def test_a_refresh_gives_a_new_token_of_each_kind(door: FrontDoor) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    third = await door.refresh(second.refresh_token)
    assert len({visit.refresh_token for visit in (first, second, third)}) == 3
    assert len({visit.access_token for visit in (first, second, third)}) == 3
    assert first.session_id == third.session_id
    assert await door.live(first) == 1


async def test_only_a_digest_of_a_refresh_token_is_kept(door: FrontDoor) -> None:
    first = await door.register()
    second = await door.refresh(first.refresh_token)
    kept = repr(door.container.database().committed)
    for token in (first.refresh_token, second.refresh_token):
        assert token not in kept
        secret, *later = token.split(".")[1:]
        assert not any(part in kept for part in (secret, *later[2:]))
        assert len(secret) >= 43


@pytest.mark.parametrize("seconds", [0, 1, 600, 500_000])
async def test_a_lost_reply_is_asked_for_again_for_as_long_as_it_is_not_used(door: FrontDoor, seconds: float) -> None:
    first = await door.register()
    await door.refresh(first.refresh_token)
    door.wait(seconds=seconds)
    again = await door.refresh(first.refresh_token)
    door.wait(minutes=15)
    assert_signed_in(door, await door.refresh(again.refresh_token))
    assert (await events_of(door, first.account))[-2:] == ["session.grace_used", "session.refreshed"]


async def test_every_use_of_grace_says_from_where_it_came(door: FrontDoor) -> None:
    first = await door.register()
    await door.refresh(first.refresh_token)
    await door.refresh(first.refresh_token, AWAY)
    assert await door.last_event(first) == ("session.grace_used", {"address": AWAY.address})


async def test_who_copied_a_cookie_is_found_out_when_both_have_refreshed_twice(door: FrontDoor) -> None:
    stolen = owner = await door.register()
    owner = await door.refresh(owner.refresh_token)
    thief = await door.refresh(stolen.refresh_token, AWAY)
    door.wait(minutes=1)
    owner = await door.refresh(owner.refresh_token)
    with pytest.raises(TokenReused):
        await door.refresh(thief.refresh_token, AWAY)
    session = await door.session(owner)
    assert (session.ended_at, session.ended_because) == (door.clock.now(), EndReason.TOKEN_REUSED)
    for visit in (owner, thief):
        assert_signed_out(door, visit)
        with pytest.raises(SessionOver):
            await door.refresh(visit.refresh_token)
    assert await door.last_event(owner) == ("session.ended", {"reason": "token_reused", "address": AWAY.address})
    observer = door.container.observer()
    assert isinstance(observer, MemoryObserver)
    assert observer.happenings["refresh", "reuse"] == 1


async def test_a_session_of_before_tokens_were_signed_goes_on_with_its_newest(door: FrontDoor) -> None:
    visit = await door.register()
    async with door.container.work()() as work:
        session = await work.sessions.get(visit.session_id)
        assert session
        assert session.refresh(RefreshToken(0, door.clock.now()), door.clock.now(), door.clock.now(), "")
        session.signing_key, session.rotations = b"", 57
        work.sessions.save(session)
    door.wait(minutes=15)
    visit = await door.refresh(visit.refresh_token)
    visit = await door.refresh(visit.refresh_token)
    assert (await door.session(visit)).rotations == 2
    assert (await events_of(door, visit.account))[-2:] == ["session.refreshed"] * 2


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
    id, first, number, time, signature = visit.refresh_token.split(".")
    secret = f"{first}.{number}.{time}.{signature}"
    return [
        f"{id}.{first}.{int(number) + 1}.{time}.{signature}",
        f"{id}.{first}.{number}.{int(time) + 1}.{signature}",
        f"{id}.{first}.{number}.{time}.{'A' * 43}",
        f"{id}.{first}.{number}.{time}",
        f"{id}.{'A' * 43}.{number}.{time}.{signature}",
        f"{id}.{first}.{number}.{time}.{signature.swapcase()}",
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


async def test_refresh_tokens_do_not_open_other_doors(door: FrontDoor) -> None:
    visit = await door.register()
    with pytest.raises(TokenInvalid):
        door.authentication.known(visit.refresh_token)


async def test_twenty_parallel_refreshes_keep_one_session(door: FrontDoor) -> None:
    first = await door.register()
    visits = await asyncio.gather(*(door.refresh(first.refresh_token) for _ in range(20)))
    assert len({visit.refresh_token for visit in visits}) == 20
    assert await door.live(first) == 1
    for visit in visits:
        assert_signed_in(door, visit)
    await door.refresh(visits[random.randrange(20)].refresh_token)


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
        door.authentication.known(visit.access_token)


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
    mine = [await door.register(), await door.log_in(), await door.log_in(device=AWAY)]
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
    first = await door.register(device=Device("203.0.113.7", "x" * 1_000))
    door.wait(seconds=1)
    ended = await door.log_in()
    door.wait(seconds=1)
    last = await door.log_in(device=AWAY)
    await door.register("bob@example.org")
    await door.identity.log_out(ended.refresh_token)
    door.wait(minutes=1)
    first = await door.refresh(first.refresh_token)
    one, two = (await door.identity.sessions(last.actor)).data
    assert (one.id, two.id) == (first.session_id, last.session_id)
    assert (one.current, two.current) == (False, True)
    assert (two.address, two.user_agent) == (AWAY.address, AWAY.user_agent)
    assert len(one.user_agent) == 256
    assert one.created_at < two.created_at < one.last_used_at == door.clock.now()
    assert two.expires_at == (await door.session(last)).expires_at


async def test_one_ends_a_session_of_ones_own(door: FrontDoor) -> None:
    here, there = await door.register(), await door.log_in(device=AWAY)
    await door.identity.end_session(here.actor, there.session_id)
    assert_signed_out(door, there)
    assert_signed_in(door, here)
    assert (await door.session(there)).ended_because is EndReason.ENDED_BY_OWNER
    await door.identity.end_session(here.actor, here.session_id)
    assert_signed_out(door, here)


async def test_a_session_of_another_an_ended_one_and_none_read_the_same(door: FrontDoor) -> None:
    ada, bob = await door.register(), await door.register("bob@example.org")
    ended = await door.log_in()
    await door.identity.log_out(ended.refresh_token)
    answers = set()
    for id in (bob.session_id, ended.session_id, SessionId(UUID(int=7))):
        with pytest.raises(NotFound) as refused:
            await door.identity.end_session(ada.actor, id)
        answers.add(str(refused.value))
    assert len(answers) == 1
    assert_signed_in(door, bob)


async def test_an_admin_ends_anybodys_session_and_sees_only_the_own(door: FrontDoor) -> None:
    bob = await door.register("bob@example.org")
    await door.register()
    await door.administration.make_admin("ada@example.org")
    admin = await door.log_in()
    assert await door.live(admin) == 1
    await door.identity.end_session(admin.actor, bob.session_id)
    assert_signed_out(door, bob)
    with pytest.raises(SessionOver):
        await door.refresh(bob.refresh_token)
