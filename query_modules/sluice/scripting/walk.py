"""
What a transform process gives as queries, checked before the server is sent any of it.

The queries come packed and framed, and go on to the server as they are. A process that writes something else could end
the transaction in its middle: Memgraph keeps the bytes that a message has after its last field, and reads the next
message's header from them, so the end of a chunked message is no boundary to rely on. So each message is walked to its
end: it is a RUN with a text, a map of parameters and an empty map, or the DISCARD that follows it, and nothing else.
That also bounds how deep values are nested, and makes every announced size one that is there.

Source: `ChunkedDecoderBuffer::Read` and `Session::Execute` of Memgraph v2.14.1 and of its master of 2026-08.

Lists of many values, which is what folding makes, are checked by a comparison or a regular expression for all of them
together, and many queries of one text by `bulk_walk`; a walk in Python is for the rest.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from sluice.bolt.messages import Tag
from sluice.bolt.temporal import FIELDS
from sluice.bolt.temporal import refusal as refusal_of_time
from sluice.bolt.values import FALSE, FLOAT, INTEGERS, LIST, MAP, MAX_DEPTH, NULL, STRING, STRUCTURE, TRUE, Sized
from sluice.errors import RemoteProtocolError
from sluice.scripting.contract import refusal
from sluice.scripting.frames import DISCARD_ALL

RUN_HEADER = bytes((STRUCTURE | 3, Tag.RUN))

NO_EXTRA = b"\xa0"
"The last field of each RUN: no database, no mode, no metadata; those are the transaction's."

BULK = 8
"Items of a list, from which on it is tried to check them together."

RUN_OF_VALUES = 16
"Values that one regular expression matches at the most."


def check_one_by_one(data: bytes, count: int) -> None:
    """As `bulk_walk.check_queries`, which is quicker where queries are alike."""
    position = 0
    for number in range(count):
        message, position = _message(data, position)
        check_run(message, number)
        end = position + len(DISCARD_ALL)
        if data[position:end] != DISCARD_ALL:
            raise RemoteProtocolError(f"query {number} is not followed by its DISCARD")
        position = end
    if position != len(data):
        raise RemoteProtocolError(f"{len(data) - position} bytes follow the last query")


def check_values(data: bytes) -> None:
    """Raises RemoteProtocolError unless `data` is one value of a type that a query can take."""
    try:
        end = _end(data, 0, MAX_DEPTH)
    except IndexError:
        end = -1
    if end != len(data):
        raise RemoteProtocolError("a value is cut off, or something follows it")


def check_text(text: str, number: int) -> None:
    """Raises RemoteProtocolError if query `number` has a text that would end the batch's transaction."""
    reason = refusal(text)
    if reason:
        raise RemoteProtocolError(f"query {number} {reason}")


def _message(data: bytes, position: int) -> tuple[bytes, int]:
    """The message whose first chunk begins at `position`, without its framing; and where it ends."""
    chunks = []
    while size := int.from_bytes(data[position : position + 2], "big"):
        position += 2 + size
        chunks.append(data[position - size : position])
    end = position + 2
    if not chunks or end > len(data):
        raise RemoteProtocolError("a query is missing, or cut off")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks), end


def check_run(message: bytes, number: int) -> int:
    """
    Where the parameters begin in the message of query `number`.

    Raises RemoteProtocolError unless it is a RUN whose text neither begins nor ends a transaction, and nothing else.
    """
    if not message.startswith(RUN_HEADER):
        raise RemoteProtocolError(f"query {number} is not a RUN of three fields")
    try:
        start, parameters = _string(message, len(RUN_HEADER))
        reason = _refusal_of(message[start:parameters])
        if reason:
            raise RemoteProtocolError(f"query {number} {reason}")
        if message[parameters] & 0xF0 != MAP.tiny and message[parameters] not in _MAP_WIDTHS:
            raise RemoteProtocolError(f"the parameters of query {number} are not a map")
        position = _end(message, parameters, MAX_DEPTH)
    except IndexError:
        raise RemoteProtocolError(f"query {number} is cut off") from None
    if message[position:] != NO_EXTRA:
        raise RemoteProtocolError(f"query {number} does not end with an empty map after its parameters")
    return parameters


@functools.lru_cache(maxsize=1024)
def _refusal_of(text: bytes) -> str:
    """What is wrong with a query's text; empty if nothing."""
    try:
        return refusal(text.decode())
    except UnicodeDecodeError:
        return "is not UTF-8"


def _string(data: bytes, position: int) -> tuple[int, int]:
    """Where the text of the string at `position` begins and ends."""
    marker = data[position]
    if marker & 0xF0 == STRING.tiny:
        return position + 1, position + 1 + (marker & 0x0F)
    width = _STRING_WIDTHS.get(marker)
    if width is None:
        raise RemoteProtocolError(f"a text begins with the byte {marker:02X}")
    start = position + 1 + width
    return start, start + int.from_bytes(data[position + 1 : start], "big")


def _end(data: bytes, position: int, depth: int) -> int:
    """
    Where the value at `position` ends, which may be beyond the data's end.

    Raises:
        RemoteProtocolError: it is not of a type that a query can take, or nested too deep.
        IndexError: the data ends before it does.
    """
    marker = data[position]
    width = _FIXED[marker]
    if width:
        return position + width
    if marker in _STRING_WIDTHS:
        return _string(data, position)[1]
    is_map = marker & 0xF0 == MAP.tiny or marker in _MAP_WIDTHS
    if not is_map and marker & 0xF0 != LIST.tiny and marker not in _LIST_WIDTHS:
        if marker & 0xF0 == STRUCTURE:
            return _end_of_structure(data, position)
        raise RemoteProtocolError(f"a value begins with the byte {marker:02X}, as none does that a query takes")
    if not depth:
        raise RemoteProtocolError(f"values are nested deeper than {MAX_DEPTH}")
    if marker < 0xC0:
        start, size = position + 1, marker & 0x0F
    else:
        start = position + 1 + (_MAP_WIDTHS if is_map else _LIST_WIDTHS)[marker]
        size = int.from_bytes(data[position + 1 : start], "big")
    if size > len(data) - start:
        raise RemoteProtocolError(f"{size} values are announced, in {len(data) - start} bytes")
    return _end_of_map(data, start, size, depth - 1) if is_map else _end_of_list(data, start, size, depth - 1)


def _end_of_structure(data: bytes, position: int) -> int:
    """Where a date, time or duration ends; raises as `_end`."""
    tag, count = data[position + 1], data[position] & 0x0F
    if FIELDS.get(tag) != count:
        raise RemoteProtocolError(
            f"a structure has the tag {tag:02X} and {count} fields, as none does that a query takes"
        )
    fields = []
    position += 2
    for _ in range(count):
        end = position + (_FIXED[data[position]] if data[position] in _WHOLE else 0)
        if end == position or end > len(data):
            raise RemoteProtocolError(f"a structure with the tag {tag:02X} has a field that is no integer")
        fields.append(int.from_bytes(data[position + (end - position > 1) : end], "big", signed=True))
        position = end
    reason = refusal_of_time(tag, fields)
    if reason:
        raise RemoteProtocolError(f"a structure with the tag {tag:02X} is not to be sent: {reason}")
    return position


def _end_of_map(data: bytes, position: int, size: int, depth: int) -> int:
    while size:
        found = _PAIRS.match(data, position)
        if found:
            pairs = min(found.lastindex or 0, size)  # what follows the map may look like further ones
            position, size = found.end(pairs), size - pairs
        if size:
            position, size = _end(data, _string(data, position)[1], depth), size - 1
    return position


def _end_of_list(data: bytes, position: int, size: int, depth: int) -> int:
    if size >= BULK:
        marker = data[position]
        width = _FIXED[marker]
        if width == 1:
            if not data[position : position + size].translate(None, ONE_BYTE):
                return position + size
        elif width and data[position : position + width * size : width] == bytes((marker,)) * size:
            return position + width * size
    while size:
        found = _VALUES.match(data, position) if size >= RUN_OF_VALUES else None
        if found:
            position, size = found.end(), size - (found.lastindex or 0)
        if size:
            position, size = _end(data, position, depth), size - 1
    return position


def _widths(sized: Sized) -> dict[int, int]:
    return {sized.u8: 1, sized.u16: 2, sized.u32: 4}


_STRING_WIDTHS, _LIST_WIDTHS, _MAP_WIDTHS = map(_widths, (STRING, LIST, MAP))
"Marker -> the width of its size in bytes, where it is not in the marker itself."

_FIXED = [0] * 256
"Marker -> bytes of its value, where that is all that they depend on; else 0."
_FIXED[:0x80] = [1] * 0x80
_FIXED[0xF0:] = [1] * 0x10
_FIXED[0x80:0x90] = range(1, 0x11)
for _marker in (NULL, FALSE, TRUE):
    _FIXED[_marker] = 1
for _marker, _size in {FLOAT: 8, **INTEGERS}.items():
    _FIXED[_marker] = 1 + _size

_WHOLE = frozenset({*range(0x80), *range(0xF0, 0x100), *INTEGERS})
"Markers of integers."

ONE_BYTE = bytes(marker for marker, width in enumerate(_FIXED) if width == 1)
"The values of one byte."


def _one_of(markers: Iterable[int]) -> bytes:
    """A regular expression of a value with one of those markers."""
    return b"|".join(re.escape(bytes((marker,))) + b"." * (_FIXED[marker] - 1) for marker in markers)


_TEXT = b"(?:%s)" % _one_of(range(0x80, 0x90))
"A regular expression of a short text."

_VALUE = b"(?:[%s]|%s|%s)" % (
    b"".join(b"\\x%02x" % byte for byte in ONE_BYTE), _one_of((FLOAT, *INTEGERS)), _one_of(range(0x81, 0x90))
)  # fmt: skip
"... and of a value of which its marker says where it ends."


def _one_or_more(item: bytes) -> re.Pattern[bytes]:
    """As many items as there are, at most RUN_OF_VALUES; `lastindex` is how many."""
    expression = b""
    for _ in range(RUN_OF_VALUES):
        expression = b"(%s)(?:%s)?" % (item, expression) if expression else b"(%s)" % item
    return re.compile(expression, re.DOTALL)


_VALUES, _PAIRS = _one_or_more(_VALUE), _one_or_more(_TEXT + _VALUE)
