"""What a Bolt value may be, and the bytes that introduce each kind. Source: Bolt documentation, "PackStream"."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

Value = Any
"None, bool, 64-bit int, float, str, bytes, list of values, dict from str to value, `Structure`; not tuple."

MAX_DEPTH = 200
"Maximum depth of nested lists, maps and structures; keeps packing and unpacking below Python's recursion limit."


class Structure(NamedTuple):
    """A tagged list of values: a message, or a value of the graph such as a node."""

    tag: int
    "The signature byte, 0 to 127."
    fields: list[Value]


class Sized(NamedTuple):
    """The markers of a type that has a size; `tiny` is None if there is no four-bit form."""

    tiny: int | None
    u8: int
    u16: int
    u32: int

    def header(self, size: int) -> bytes:
        """The marker and the size, in the shortest form; `struct.error` from 2**32 on."""
        if self.tiny is not None and size < 0x10:
            return bytes((self.tiny | size,))
        if size < 0x100:
            return bytes((self.u8, size))
        if size < 0x10000:
            return _U16.pack(self.u16, size)
        return _U32.pack(self.u32, size)


STRING = Sized(0x80, 0xD0, 0xD1, 0xD2)
LIST = Sized(0x90, 0xD4, 0xD5, 0xD6)
MAP = Sized(0xA0, 0xD8, 0xD9, 0xDA)
BYTES = Sized(None, 0xCC, 0xCD, 0xCE)
STRUCTURE = 0xB0
"Marker of a structure of up to 15 fields, the only form the protocol uses."

NULL, FALSE, TRUE, FLOAT = 0xC0, 0xC2, 0xC3, 0xC1
INTEGERS = {0xC8: 1, 0xC9: 2, 0xCA: 4, 0xCB: 8}
"Marker -> size in bytes."

_U16 = struct.Struct(">BH")
_U32 = struct.Struct(">BI")
