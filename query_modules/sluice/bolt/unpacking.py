"""
PackStream back into values: every read is checked against what is left, and how deep it goes.

Source: Bolt documentation, "PackStream".
"""

from __future__ import annotations

import struct

from sluice.bolt.values import (
    BYTES,
    FALSE,
    FLOAT,
    INTEGERS,
    LIST,
    MAP,
    MAX_DEPTH,
    NULL,
    STRING,
    STRUCTURE,
    TRUE,
    Structure,
    Value,
)
from sluice.errors import RemoteProtocolError


def unpack(data: bytes, *, lenient: bool = False) -> Value:
    """
    The one value that `data` holds.

    Args:
        lenient: bytes of a text that are not UTF-8 are replaced by U+FFFD, instead of refused.

    Raises:
        RemoteProtocolError: the bytes end inside a value or go on after it, are nested too deep, or are no PackStream.
    """
    reader = _Reader(data, "replace" if lenient else "strict")
    value = reader.value(MAX_DEPTH)
    if reader.position != len(data):
        raise RemoteProtocolError(f"message goes on for {len(data) - reader.position} bytes after its end")
    return value


class _Reader:
    """Reads values from `data`, from `position` on."""

    def __init__(self, data: bytes, errors: str) -> None:
        self.data = data
        self.errors = errors
        self.position = 0

    def value(self, depth: int) -> Value:
        marker = self.take(1, "a value")[0]
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == FLOAT:
            return struct.unpack(">d", self.take(8, "a float"))[0]
        if marker in INTEGERS:
            return int.from_bytes(self.take(INTEGERS[marker], "an integer"), "big", signed=True)
        if marker < 0xC0:
            kind, size = marker & 0xF0, marker & 0x0F
        elif marker in _LONG:
            kind, width = _LONG[marker]
            size = int.from_bytes(self.take(width, "a size"), "big")
        else:
            raise RemoteProtocolError(f"no value begins with the byte {marker:02X}")
        return self.sized(kind, size, depth)

    def sized(self, kind: int, size: int, depth: int) -> Value:
        if kind == STRING.tiny:
            return self.text(size)
        if kind == BYTES.u8:
            return self.take(size, "bytes")
        if not depth:
            raise RemoteProtocolError(f"message is nested deeper than {MAX_DEPTH}")
        if kind == MAP.tiny:
            return self.map(size, depth - 1)
        tag = self.take(1, "a structure")[0] if kind == STRUCTURE else None
        items = [self.value(depth - 1) for _ in range(size)]
        return items if tag is None else Structure(tag, items)

    def text(self, size: int) -> str:
        try:
            return self.take(size, "a string").decode(errors=self.errors)
        except UnicodeDecodeError as error:
            raise RemoteProtocolError(f"text is not UTF-8: {error.reason}") from error

    def map(self, size: int, depth: int) -> dict[str, Value]:
        items: dict[str, Value] = {}
        for _ in range(size):
            key = self.value(depth)
            if not isinstance(key, str):
                raise RemoteProtocolError(f"a map's key is of type {type(key).__name__}, not a string")
            items[key] = self.value(depth)
        return items

    def take(self, size: int, what: str) -> bytes:
        start = self.position
        self.position = end = start + size
        if end > len(self.data):
            raise RemoteProtocolError(f"message ends inside {what}")
        return self.data[start:end]


_CONSTANTS: dict[int, Value] = {
    NULL: None,
    FALSE: False,
    TRUE: True,
    **{value & 0xFF: value for value in range(-0x10, 0x80)},
}
"Marker -> the value that it is all of."

_LONG = {
    marker: (sized.u8 if sized.tiny is None else sized.tiny, width)
    for sized in (STRING, LIST, MAP, BYTES)
    for marker, width in ((sized.u8, 1), (sized.u16, 2), (sized.u32, 4))
}
"Marker -> what stands for its kind in `_Reader.value`, and the width of its size in bytes."
