"""A channel name is read back exactly as it was written, and anything else names no channel."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.channels import (
    SYMBOL_MAX,
    Channel,
    ChannelClass,
    ChannelKind,
    account_stream,
    canonical,
    parse_channel,
    workspace_stream,
)
from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")

places = st.builds(Channel, st.sampled_from([ChannelKind.WORKSPACE, ChannelKind.TASK]), st.uuids())
symbols = st.text("ABCXYZ0189.-", min_size=1, max_size=SYMBOL_MAX)
channels = st.one_of(
    st.just(Channel(ChannelKind.ME)),
    places,
    st.builds(lambda symbol: Channel(ChannelKind.MARKET, symbol=symbol), symbols),
    st.builds(
        lambda kind, place: Channel(kind, place=place),
        st.sampled_from([ChannelKind.PRESENCE, ChannelKind.TYPING]),
        places,
    ),
)


@given(channels)
def test_every_channel_is_read_back_from_its_name(channel: Channel) -> None:
    assert parse_channel(str(channel)) == channel


@given(st.text())
def test_no_text_does_more_than_name_a_channel_or_be_not_found(name: str) -> None:
    with suppress(NotFound):
        assert parse_channel(str(parse_channel(name))) == parse_channel(name)


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
    ],
)
def test_other_spellings_name_no_channel(name: str) -> None:
    with pytest.raises(NotFound):
        parse_channel(name)


@pytest.mark.parametrize("spelled", [str(ID).upper(), ID.hex, f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_an_id_may_be_spelled_as_in_a_path_and_the_channel_has_one_name(spelled: str) -> None:
    for kind in ("workspace", "task", "presence:workspace", "typing:task"):
        assert parse_channel(f"{kind}:{spelled}") == parse_channel(f"{kind}:{ID}")
        assert canonical(f"{kind}:{spelled}") == f"{kind}:{ID}"


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
    ],
)
def test_the_name_of_a_channel_tells_what_it_promises(name: str, promise: ChannelClass) -> None:
    assert parse_channel(name).promises is promise
