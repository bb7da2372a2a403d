"""A channel name is read back exactly as it was written, and anything else names no channel."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.channels import (
    PRESENCE,
    SYMBOL_MAX,
    TYPING,
    About,
    Channel,
    ChannelClass,
    ChannelKind,
    Grammar,
    account_stream,
    by_symbol,
    workspace_stream,
)
from domain.errors import NotFound
from domain.identity import ME
from domain.ids import AccountId, WorkspaceId
from domain.tasks import TASK
from domain.workspaces import WORKSPACE

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
QUOTES = ChannelKind("market", ChannelClass.KEYED, by_symbol)
APPLAUSE = ChannelKind("applause", ChannelClass.EPHEMERAL, About(TASK))
GRAMMAR = Grammar([WORKSPACE, TASK, ME, QUOTES, PRESENCE, TYPING, APPLAUSE])

places = st.builds(Channel, st.sampled_from([WORKSPACE, TASK]), st.uuids())
symbols = st.text("ABCXYZ0189.-", min_size=1, max_size=SYMBOL_MAX)
channels = st.one_of(
    st.just(Channel(ME)),
    places,
    st.builds(Channel, st.just(QUOTES), symbols),
    st.builds(Channel, st.sampled_from([PRESENCE, TYPING]), places),
    st.builds(Channel, st.just(APPLAUSE), st.builds(Channel, st.just(TASK), st.uuids())),
)


@given(channels)
def test_every_channel_is_read_back_from_its_name(channel: Channel) -> None:
    assert GRAMMAR.parse(str(channel)) == channel


@given(st.text())
def test_no_text_does_more_than_name_a_channel_or_be_not_found(name: str) -> None:
    with suppress(NotFound):
        assert GRAMMAR.parse(str(GRAMMAR.parse(name))) == GRAMMAR.parse(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "workspace",
        "workspace:",
        "workspace:*",
        f"me:{ID}",
        "me:",
        f"room:{ID}",
        f"account:{ID}",
        f"WORKSPACE:{ID}",
        f" workspace:{ID}",
        f"workspace:{ID} ",
        f"task:{ID}:comments",
        "market",
        "market:",
        "market:acme",
        "market:A B",
        f"market:{'A' * (SYMBOL_MAX + 1)}",
        "presence:me",
        "presence:market:ACME",
        f"presence:{ID}",
        f"presence:typing:task:{ID}",
        f"presence:presence:task:{ID}",
        "typing:",
        f"applause:workspace:{ID}",
        f"applause:{ID}",
    ],
)
def test_other_spellings_name_no_channel(name: str) -> None:
    with pytest.raises(NotFound):
        GRAMMAR.parse(name)


@pytest.mark.parametrize("spelled", [str(ID).upper(), ID.hex, f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_an_id_may_be_spelled_as_in_a_path_and_the_channel_has_one_name(spelled: str) -> None:
    for kind in ("workspace", "task", "presence:workspace", "typing:task"):
        assert GRAMMAR.parse(f"{kind}:{spelled}") == GRAMMAR.parse(f"{kind}:{ID}")
        assert GRAMMAR.canonical(f"{kind}:{spelled}") == f"{kind}:{ID}"


def test_streams_of_different_things_never_meet() -> None:
    assert workspace_stream(WorkspaceId(ID)) == f"workspace:{ID}"
    assert account_stream(AccountId(ID)) == f"account:{ID}"


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("me", ChannelClass.DURABLE),
        (f"workspace:{ID}", ChannelClass.DURABLE),
        (f"task:{ID}", ChannelClass.DURABLE),
        ("market:BRK.B", ChannelClass.KEYED),
        (f"presence:workspace:{ID}", ChannelClass.KEYED),
        (f"typing:task:{ID}", ChannelClass.EPHEMERAL),
        (f"applause:task:{ID}", ChannelClass.EPHEMERAL),
    ],
)
def test_the_name_of_a_channel_tells_what_it_promises(name: str, promise: ChannelClass) -> None:
    assert GRAMMAR.parse(name).promises is promise


def test_the_right_to_a_channel_is_that_to_its_place() -> None:
    assert GRAMMAR.parse(f"typing:task:{ID}").place == GRAMMAR.parse(f"applause:task:{ID}").place == Channel(TASK, ID)
    assert GRAMMAR.parse(f"task:{ID}").place == Channel(TASK, ID)


def test_two_kinds_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="named market"):
        Grammar([QUOTES, WORKSPACE, ChannelKind("market", ChannelClass.DURABLE)])
