"""The build ID of a shared library: bytes that the linker was asked to put in it, as `readelf -n` shows
them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""So many bytes of a file, from an offset; fewer at its end."""

_PT_NOTE = 4
_NT_GNU_BUILD_ID = 3
_MOST_SEGMENTS = 64
_MOST_NOTE_BYTES = 1 << 16


def build_id(read: Read) -> str | None:
    """The build ID in hexadecimal; None where the file is no ELF file or has none."""
    try:
        for note in _notes(read):
            return note.hex()
    except (struct.error, OverflowError):  # cut short, or an offset that no file has
        pass
    return None


def _notes(read: Read) -> Iterator[bytes]:
    magic, bits, order = struct.unpack("4sBB", read(0, 6))
    if magic != b"\x7fELF" or bits not in (1, 2) or order not in (1, 2):
        return
    wide, endian = bits == 2, "<" if order == 1 else ">"
    start = _unpack(read, f"{endian}{'Q' if wide else 'I'}", 32 if wide else 28)[0]
    size, count = _unpack(read, f"{endian}HH", 54 if wide else 42)
    for number in range(min(count, _MOST_SEGMENTS)):
        at = start + number * size
        (kind,) = _unpack(read, f"{endian}I", at)
        if kind == _PT_NOTE:
            offset = _unpack(read, f"{endian}{'Q' if wide else 'I'}", at + (8 if wide else 4))[0]
            length = _unpack(read, f"{endian}{'Q' if wide else 'I'}", at + (32 if wide else 16))[0]
            yield from _build_ids(read(offset, min(length, _MOST_NOTE_BYTES)), endian)


def _build_ids(notes: bytes, endian: str) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(f"{endian}III", notes, at)
        name = at + 12
        content = name + -(-name_size // 4) * 4
        if kind == _NT_GNU_BUILD_ID and notes[name : name + name_size] == b"GNU\0":
            yield notes[content : content + size]
        at = content + -(-size // 4) * 4


def _unpack(read: Read, form: str, at: int) -> tuple[int, ...]:
    return struct.unpack(form, read(at, struct.calcsize(form)))
