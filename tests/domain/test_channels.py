"""A channel name is read back exactly as it was written, and anything else names no channel."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.channels import Channel, ChannelKind, account_stream, parse_channel, workspace_stream
from domain.errors import NotFound
from domain.ids import AccountId, WorkspaceId

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")

channels = st.one_of(
    st.just(Channel(ChannelKind.ME)),
    st.builds(Channel, st.sampled_from([kind for kind in ChannelKind if kind is not ChannelKind.ME]), st.uuids()),
)


@given(channels)
def test_every_channel_is_read_back_from_its_name(channel: Channel) -> None:
    assert parse_channel(str(channel)) == channel


@given(st.text())
def test_no_text_does_more_than_name_a_channel_or_be_not_found(name: str) -> None:
    with suppress(NotFound):
        assert str(parse_channel(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "workspace",
        "workspace:",
        "workspace:*",
        f"me:{ID}",
        f"room:{ID}",
        f"account:{ID}",
        f"WORKSPACE:{ID}",
        f" workspace:{ID}",
        f"workspace:{ID} ",
        f"workspace:{str(ID).upper()}",
        f"workspace:{ID.hex}",
        f"workspace:{{{ID}}}",
        f"workspace:urn:uuid:{ID}",
        f"task:{ID}:comments",
    ],
)
def test_other_spellings_name_no_channel(name: str) -> None:
    with pytest.raises(NotFound):
        parse_channel(name)


def test_streams_of_different_things_never_meet() -> None:
    assert workspace_stream(WorkspaceId(ID)) == f"workspace:{ID}"
    assert account_stream(AccountId(ID)) == f"account:{ID}"
