"""Bare connections of peers who ask for something and then read no more."""

import asyncio
import json
import socket

from tests.support.clients import API

_MASK = bytes(4)
PONG = b"\x81\x8f" + _MASK + b'{"type":"pong"}'


async def narrow(port: int) -> socket.socket:
    """A connection on whose way nothing but the server has room for what is not read."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # that of loopback lets the kernel take megabytes
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    return peer


async def unread_socket(port: int, token: str, channel: str, **fields: object) -> socket.socket:
    """A live connection that follows the channel, and from then on reads no more; `fields` are those of `connect`."""
    peer = await narrow(port)
    head = [f"GET {API}/ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    head += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""]
    opening = json.dumps({"type": "connect", "id": 1, "token": token, "subscribe": [channel], **fields}).encode()
    frame = b"\x81\xfe" + len(opening).to_bytes(2, "big") + _MASK + opening
    await _say(peer, "\r\n".join(head).encode(), b"\r\n\r\n")
    await _say(peer, frame, b'"offset"')
    return peer


async def unread_event_stream(port: int, token: str, channel: str, since: int) -> socket.socket:
    """An event stream of the channel from behind an offset on, of which nothing is read but its beginning."""
    peer = await narrow(port)
    head = [f"GET {API}/events/stream?channel={channel} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    head += [f"Authorization: Bearer {token}", f"Last-Event-ID: {since}", "", ""]
    await _say(peer, "\r\n".join(head).encode(), b"retry: ")
    return peer


async def _say(peer: socket.socket, data: bytes, answer: bytes) -> None:
    loop, said = asyncio.get_running_loop(), b""
    await loop.sock_sendall(peer, data)
    while answer not in said:
        piece = await loop.sock_recv(peer, 4_096)
        assert piece, said
        said += piece
