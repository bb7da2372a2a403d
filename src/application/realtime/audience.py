"""The peers that are live on a stream, and which entries each of them gets."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from application.realtime.groups import Groups
from application.realtime.peer import Peer
from application.realtime.piece import Piece
from application.realtime.wire import WireFormat


class Delivered(NamedTuple):
    """How many peers got something, how many frames they got together, and how many bytes."""

    receivers: int
    frames: int
    size: int


class Audience:
    """Peers by what they see of a stream: all of it, or some resources.

    The frames that several peers of one format see are joined once for all of them.
    """

    __slots__ = ("_of_all", "_of_one")

    def __init__(self) -> None:
        self._of_all: Groups[WireFormat, Peer] = Groups()
        self._of_one: Groups[UUID, Peer] = Groups()

    def include(self, peer: Peer, resources: Collection[UUID] | None) -> None:
        """Deliver the entries of these resources to the peer from now on; None means all entries."""
        if resources is None:
            self._of_all.add(peer.format, peer)
        else:
            for resource in resources:
                self._of_one.add(resource, peer)

    def exclude(self, peer: Peer, resources: Collection[UUID] | None) -> None:
        """Stop delivering to the peer; `resources` are those of `include`."""
        if resources is None:
            self._of_all.discard(peer.format, peer)
        else:
            for resource in resources:
                self._of_one.discard(resource, peer)

    def deliver(self, piece: Piece) -> Delivered:
        """Write to each peer the entries of a piece that it sees, in one write."""
        receivers = count = size = 0
        for format, peers in self._of_all.items():
            frames = piece.frames(format)
            if data := b"".join(frames):
                for peer in peers:
                    peer.write(data)
                receivers += len(peers)
                count += len(peers) * sum(map(bool, frames))
                size += len(peers) * len(data)
        if self._of_one:
            to_some = self._deliver_parts(piece)
            receivers += to_some.receivers
            count += to_some.frames
            size += to_some.size
        return Delivered(receivers, count, size)

    def _deliver_parts(self, piece: Piece) -> Delivered:
        receivers = count = size = 0
        parts: dict[Peer, list[int]] = {}
        for index, entry in enumerate(piece.entries):
            for peer in self._of_one.get(entry.resource_id, ()):
                parts.setdefault(peer, []).append(index)
        # By format and indices of entries: how many frames there are, and their joined bytes.
        joined: dict[tuple[WireFormat, tuple[int, ...]], tuple[int, bytes]] = {}
        for peer, indices in parts.items():
            key = peer.format, tuple(indices)
            part = joined.get(key)
            if part is None:
                all_frames = piece.frames(peer.format)
                frames = [frame for index in indices if (frame := all_frames[index])]
                part = joined[key] = len(frames), b"".join(frames)
            if part[0]:
                peer.write(part[1])
                receivers += 1
                count += part[0]
                size += len(part[1])
        return Delivered(receivers, count, size)
