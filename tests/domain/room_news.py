"""What the events and refusals of a room say about its timeline and its mutes, for tests that hear all of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.errors import DomainError
from domain.ids import AccountId
from domain.kernel import Event
from domain.rooms import Room, RoomRole, StaleEpoch

TIMELINE = ("status", "item_id", "epoch", "anchor_position_ms", "anchor_at", "rate")


class Mutes:
    """Who is muted by what was told: that lasts until it is taken back, somebody is the host, or a guest goes."""

    def __init__(self) -> None:
        self.silenced: set[AccountId] = set()
        self._guests: set[AccountId] = set()

    def hear(self, event: Event) -> None:
        told: Mapping[str, Any] = {**event.data, **{name: new for name, (_, new) in event.changes.items()}}
        account: Any = told.get("account_id")
        match event.type:
            case "participant.changed" if "muted" in told:
                (self.silenced.add if told["muted"] else self.silenced.discard)(account)
            case "participant.joined":
                (self._guests.add if told["is_guest"] else self._guests.discard)(account)
                if told["role"] is RoomRole.HOST:
                    self.silenced.discard(account)
                assert told["muted"] == (account in self.silenced)
            case "host.passed":
                self.silenced.discard(told["to"])
            case "participant.left" | "participant.removed" if account in self._guests:
                self.silenced.discard(account)


def check_the_refusal(refusal: DomainError, room: Room, now: datetime) -> None:
    """A command for an epoch that is over is shown the timeline as it is."""
    if isinstance(refusal, StaleEpoch):
        assert refusal.extra == {"state": room.playback.snapshot(), "server_time": now}


def check_the_timeline(before: Room, after: Room, news: Sequence[Event], now: datetime) -> None:
    """Each event has the timeline as it then was, and its epoch is one more whenever any of that has changed."""
    states = [event for event in news if event.type == "room.state"]
    last: Mapping[str, Any] = before.playback.snapshot()
    for state in states:
        told = {name: value for name, value in state.data.items() if name != "reason"}
        turned = any(told[name] != last[name] for name in TIMELINE)
        assert told["epoch"] == last["epoch"] + turned
        assert turned or state.data["reason"] == "duration"
        last = told
    assert last == after.playback.snapshot()
    if not states:
        assert after.playback.position_ms(now) == before.playback.position_ms(now)
