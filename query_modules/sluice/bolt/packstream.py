"""
PackStream: Bolt's values, to bytes, and, by `unpacking`, back.

`pack` is strict: what the protocol has no form for is a `LocalProtocolError` that names the value's path, never a
guess.

Source: Bolt documentation, "PackStream".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sluice.bolt.unpacking import unpack
from sluice.bolt.values import FALSE, FLOAT, LIST, MAP, MAX_DEPTH, NULL, STRING, STRUCTURE, TRUE, Structure, Value
from sluice.errors import LocalProtocolError

__all__ = ["MAX_DEPTH", "Structure", "Value", "pack", "pack_into", "unpack"]

_I8, _I16, _I32, _I64 = (struct.Struct(form) for form in (">Bb", ">Bh", ">Bi", ">Bq"))
_F64 = struct.Struct(">Bd")

BULK = 16
"Numbers in a list that are packed together."

_WIDTHS = ((0x8000, 0xC9, "h"), (0x80000000, 0xCA, "i"), (0x8000000000000000, 0xCB, "q"))
"Limit, marker and format: an integer has the first format whose limit it is below."


class _Unpackable(Exception):
    """`pack` met a value that it cannot write; becomes `LocalProtocolError` once the path is known."""


_REFUSALS = (_Unpackable, UnicodeEncodeError, struct.error)
"What packing raises; `struct.error` is for a size beyond 32 bits."


def pack(value: Value) -> bytes:
    """
    The bytes of one value. Raises LocalProtocolError: Bolt cannot represent it. The text begins with the value's path:
    `rows[3].x: ...`.
    """
    buffer = bytearray()
    pack_into(buffer, value)
    return bytes(buffer)


def pack_into(buffer: bytearray, value: Value) -> None:
    """Append the bytes of one value; on `LocalProtocolError` (see `pack`) the buffer is as it was before."""
    start = len(buffer)
    try:
        _pack(buffer, value, MAX_DEPTH)
    except _REFUSALS as error:
        del buffer[start:]
        path, reason = _fault(value, error)
        raise LocalProtocolError(f"{path}: {reason}") from None


def _pack(buffer: bytearray, value: Value, depth: int) -> None:
    # The most common types first, inline: this is the loopback's hot loop, and a call costs more than a comparison.
    kind = type(value)
    if kind is str:
        text = value.encode()
        size = len(text)
        if size < 0x10:
            buffer.append(0x80 | size)
        else:
            buffer += STRING.header(size)
        buffer += text
    elif kind is int:
        if -0x10 <= value < 0x80:
            buffer.append(value & 0xFF)
        else:
            buffer += _integer(value)
    elif kind is dict:
        _pack_map(buffer, value, depth)
    elif kind is list:
        _pack_list(buffer, value, depth)
    elif value is None:
        buffer.append(NULL)
    elif kind is bool:
        buffer.append(TRUE if value else FALSE)
    elif kind is float:
        buffer += _F64.pack(FLOAT, value)
    else:
        _pack_other(buffer, value, depth)


def _pack_map(buffer: bytearray, value: dict[str, Value], depth: int) -> None:
    if not depth:
        raise _Unpackable(f"nested deeper than {MAX_DEPTH}")
    depth -= 1
    size = len(value)
    if size < 0x10:
        buffer.append(0xA0 | size)
    else:
        buffer += MAP.header(size)
    for key, item in value.items():
        if type(key) is not str and not isinstance(key, str):
            raise _Unpackable(f"a key is of type {type(key).__name__}, not str")
        text = key.encode()
        length = len(text)
        if length < 0x10:
            buffer.append(0x80 | length)
        else:
            buffer += STRING.header(length)
        buffer += text
        _pack(buffer, item, depth)


def _pack_list(buffer: bytearray, value: list[Value], depth: int) -> None:
    if not depth:
        raise _Unpackable(f"nested deeper than {MAX_DEPTH}")
    depth -= 1
    size = len(value)
    if size < 0x10:
        buffer.append(0x90 | size)
    else:
        buffer += LIST.header(size)
    packed = _numbers(value) if size >= BULK else None
    if packed is not None:
        buffer += packed
        return
    for item in value:
        _pack(buffer, item, depth)


def _numbers(values: list[Value]) -> bytes | bytearray | None:
    """Integers, all in the form that the largest of them needs, or floats; None: they are something else."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return _marked(FLOAT, "d", values)
    if kinds != {int}:
        return None
    least, most = min(values), max(values)
    if least >= -0x10 and most < 0x80:
        return bytes(map((0xFF).__and__, values))
    for limit, marker, form in _WIDTHS:
        if -limit <= least and most < limit:
            return _marked(marker, form, values)
    return None


def _marked(marker: int, form: str, values: list[Value]) -> bytearray:
    """Numbers of one width, each after its marker: byte by byte of all of them, which takes less than one by one."""
    data = struct.pack(f">{len(values)}{form}", *values)
    width = len(data) // len(values)
    packed = bytearray((width + 1) * len(values))
    packed[:: width + 1] = bytes((marker,)) * len(values)
    for place in range(width):
        packed[place + 1 :: width + 1] = data[place::width]
    return packed


def _pack_other(buffer: bytearray, value: Value, depth: int) -> None:
    """Rare types: structures, and subclasses of Bolt's types (enums, ordered dicts, numpy's float)."""
    if isinstance(value, bytes):
        # Bolt has them, but Memgraph closes the connection when it meets one, without saying what was wrong.
        raise _Unpackable("Memgraph does not accept bytes; convert them to text with decode()")
    if isinstance(value, Structure):
        if not depth:
            raise _Unpackable(f"nested deeper than {MAX_DEPTH}")
        if len(value.fields) >= 0x10 or not 0 <= value.tag < 0x80:
            raise _Unpackable(f"no structure has tag {value.tag} and {len(value.fields)} fields")
        buffer += bytes((STRUCTURE | len(value.fields), value.tag))
        for field in value.fields:
            _pack(buffer, field, depth - 1)
    elif isinstance(value, str):
        _pack(buffer, str.__str__(value), depth)
    elif isinstance(value, int):
        _pack(buffer, int.__index__(value), depth)
    elif isinstance(value, float):
        buffer += _F64.pack(FLOAT, value)
    elif isinstance(value, dict):
        _pack_map(buffer, value, depth)
    elif isinstance(value, list):
        _pack_list(buffer, value, depth)
    else:
        raise _Unpackable(f"Bolt cannot represent a value of type {type(value).__name__}")


def _integer(value: int) -> bytes:
    """An integer that does not fit the marker byte itself, in the shortest form."""
    if -0x80 <= value < 0x80:
        return _I8.pack(0xC8, value)
    if -0x8000 <= value < 0x8000:
        return _I16.pack(0xC9, value)
    if -0x80000000 <= value < 0x80000000:
        return _I32.pack(0xCA, value)
    if -0x8000000000000000 <= value < 0x8000000000000000:
        return _I64.pack(0xCB, value)
    # Python refuses to print integers of more than 4300 digits.
    shown = str(value) if value.bit_length() <= 128 else f"of {value.bit_length()} bits"
    raise _Unpackable(f"integer {shown} is outside 64 bit")


def _fault(value: Value, error: Exception) -> tuple[str, str]:
    """
    The path of the innermost value that cannot be packed, and why.

    Found by packing again, from the outside in: tracking the path all the time would slow down every valid value.
    """
    path = ""
    for _ in range(MAX_DEPTH):
        for step, child in _children(value):
            try:
                _pack(bytearray(), child, MAX_DEPTH)
            except _REFUSALS as inner:
                value, error = child, inner
                path += step
                break
        else:
            break
    reason = str(error)
    if isinstance(error, UnicodeEncodeError):
        reason = f"text holds the lone surrogate U+{ord(error.object[error.start]):04X}"
    return path.removeprefix(".")[:200] or "value", reason


def _children(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        yield from ((f".{key:.40}", item) for key, item in value.items() if isinstance(key, str))
    elif isinstance(value, (list, Structure)):
        items = value.fields if isinstance(value, Structure) else value
        yield from ((f"[{index}]", item) for index, item in enumerate(items))
