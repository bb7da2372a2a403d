"""Zip archives that are made file by file, so that nobody ever holds more than one of the files."""

import struct
import zlib
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

# A zip file without 64-bit extensions has at most so many files.
FILES_MAX = 65_000

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UTF_8, _DEFLATED = 20, 0x800, 8
_READABLE_BY_OWNER = 0o100600 << 16


class Packed(Struct, frozen=True):
    """What the directory says of a file: its name, its time, its checksum, its bytes, and how many are in the archive.

    `offset` is where it begins in the archive.
    """

    name: str
    at: datetime
    crc: int
    plain: int
    packed: int
    offset: int


def packed(name: str, content: bytes, at: datetime, offset: int) -> tuple[Packed, bytes]:
    """A file that begins at this offset of an archive: what its directory says of it, and its bytes there."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(content) + compressor.flush()
    file = Packed(name, at, zlib.crc32(content), len(content), len(body), offset)
    time, date = _moment(at)
    sizes = file.crc, file.packed, file.plain
    head = _LOCAL.pack(b"PK\3\4", _VERSION, _UTF_8, _DEFLATED, time, date, *sizes, len(name.encode()), 0)
    return file, head + name.encode() + body


def directory(files: Iterable[Packed], offset: int) -> bytes:
    """The end of an archive with these files, which begins at this offset."""
    entries = bytearray()
    count = 0
    for file in files:
        count += 1
        name = file.name.encode()
        sizes = file.crc, file.packed, file.plain
        entries += _CENTRAL.pack(
            b"PK\1\2",
            _VERSION | 3 << 8,  # 3: made on Unix, where modes mean something
            _VERSION,
            _UTF_8,
            _DEFLATED,
            *_moment(file.at),
            *sizes,
            len(name),
            *(0, 0, 0, 0),
            _READABLE_BY_OWNER,
            file.offset,
        )
        entries += name
    return bytes(entries) + _END.pack(b"PK\5\6", 0, 0, count, count, len(entries), offset, 0)


def _moment(at: datetime) -> tuple[int, int]:
    """The time and the date of an entry, to two seconds, since 1980."""
    return at.hour << 11 | at.minute << 5 | at.second // 2, at.year - 1980 << 9 | at.month << 5 | at.day
