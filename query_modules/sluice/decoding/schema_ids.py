"""
Where a message says by which schema its value or key was written: in front of it, or in a header.

    00  id (4 bytes)       the registry's number
    01  GUID (16 bytes)    the schema's own, whichever registry has it

Either may be in either place; the header goes first. In front of Protobuf's data, after the id, there are message
indexes (`message_indexes`).

Source: Confluent's wire format, and `dual_schema_id_deserializer` of confluent-kafka 2.16.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sluice.decoding.refusals import WrongMessage

VALUE_HEADER, KEY_HEADER = "__value_schema_id", "__key_schema_id"

NUMBER_END, GUID_END = 5, 17
"Where the data begins."

SHOWN = 8
"Bytes of data that is no frame that an error repeats."

MAX_INDEXES = 100

SchemaId = int | str
"A registry's number, or a GUID."

Header = Sequence[tuple[str, "bytes | None"]]


def schema_id(data: bytes) -> tuple[SchemaId, int]:
    """The schema's id at the beginning of `data`, and where it ends. Raises WrongMessage."""
    magic = data[:1]
    if magic == b"\0" and len(data) >= NUMBER_END:
        return int.from_bytes(data[1:NUMBER_END], "big"), NUMBER_END
    if magic == b"\1" and len(data) >= GUID_END:
        return str(uuid.UUID(bytes=data[1:GUID_END])), GUID_END
    raise WrongMessage(f"not a schema registry's frame: {_described(data)}")


def header_of(headers: Header, name: str) -> bytes | None:
    """The value of the first header of this name."""
    for found, value in headers:
        if found == name:
            return value
    return None


def looks_framed(data: bytes) -> str:
    """What to say of data that was to be something else and begins as a registry's frame does; else empty."""
    try:
        found, _ = schema_id(data)
    except WrongMessage:
        return ""
    formats = "avro, protobuf or jsonschema, with the option registry, reads it"
    return f"; this looks like a schema registry's frame, of schema {found}: format {formats}"


def message_indexes(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """
    Which message of a Protobuf schema: its place among the file's messages, then among those within it, and so on; and
    where that ends. Raises WrongMessage.
    """
    count, at = _zigzag(data, at)
    if not 0 <= count <= MAX_INDEXES:
        raise WrongMessage(f"not a schema registry's frame of Protobuf: {count} message indexes")
    indexes = []
    for _ in range(count):
        index, at = _zigzag(data, at)
        indexes.append(index)
    return tuple(indexes) or (0,), at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise WrongMessage("not a schema registry's frame of Protobuf: it ends in its message indexes")


def _described(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[:1] in (b"\0", b"\1"):
        return f"it is cut off after {len(data)} bytes"
    if data.lstrip()[:1] in (b"{", b"["):
        return "this looks like JSON: format 'json' reads it"
    if data[:4] == b"Obj\1":
        return "this looks like a file of Avro records"
    if data[:2] == b"\xc3\x01":
        return "this looks like Avro's single-object encoding"
    return f"it begins with {data[:SHOWN].hex(' ')}, and frames begin with 00 or 01"
