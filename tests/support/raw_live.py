"""Live connections byte by byte, for peers that no client library would be."""

import json
import socket

from tests.support.clients import API, PATIENCE_SECONDS

MASK = bytes(4)
PING = b"\x89\x80" + MASK
GOODBYE = b"\x88\x82" + MASK + b"\x03\xe8"


def opened(port: int, room: int | None = None) -> socket.socket:
    """A live connection whose peer has said nothing yet, and has `room` for so many bytes that it does not read."""
    peer = socket.socket()
    peer.settimeout(PATIENCE_SECONDS)
    if room is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # that of loopback lets the kernel take megabytes
    peer.connect(("127.0.0.1", port))
    head = [f"GET {API}/ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""]
    peer.sendall("\r\n".join(head).encode())
    _expect(peer, b"\r\n\r\n")
    return peer


def connected(port: int, token: str, *channels: str, room: int | None = None) -> socket.socket:
    """A live connection that follows the channels."""
    peer = opened(port, room)
    opening = json.dumps({"type": "connect", "id": 1, "token": token, "subscribe": channels}).encode()
    peer.sendall(b"\x81\xfe" + len(opening).to_bytes(2, "big") + MASK + opening)
    _expect(peer, b'"reply"')
    return peer


def _expect(peer: socket.socket, what: bytes) -> None:
    said = b""
    while what not in said:
        piece = peer.recv(4_096)
        assert piece, said
        said += piece
