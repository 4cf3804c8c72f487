"""What of a message a ready transform can use, by the names that its options and queries have for it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import Any

from sluice.decoding.decoder import Decoder
from sluice.values.record import Record

VALUE, KEY, HEADERS = "value", "key", "headers"

NAMES = (VALUE, KEY, HEADERS, "topic", "partition", "offset", "timestamp")
"All of them."

BASE64 = "base64:"
"Begins a header's value that is not UTF-8 text."

Context = dict[str, Any]
"Name -> what the message has."


def contexts(records: Sequence[Record], names: Collection[str], decoder: Decoder) -> list[Context]:
    """
    What each message has of these names, except for its value.

    Args:
        decoder: what reads the messages' keys.

    Raises:
        WrongMessage: a key cannot be read.
    """
    wanted = [name for name in NAMES if name in names and name != VALUE]
    columns = [_column(name, records, decoder) for name in wanted]
    if not columns:
        return [{} for _ in records]
    return [dict(zip(wanted, row, strict=True)) for row in zip(*columns, strict=True)]


def headers_as_map(record: Record) -> dict[str, str | None]:
    """Headers by name, the last of a name, as text."""
    return {name: None if value is None else _header(value) for name, value in record.headers}


def _column(name: str, records: Sequence[Record], decoder: Decoder) -> list[Any]:
    if name == KEY:
        return decoder.keys(records)
    if name == HEADERS:
        return list(map(headers_as_map, records))
    return [getattr(record, name) for record in records]


def _header(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return BASE64 + base64.b64encode(value).decode()


def at_path(source: Any, path: Sequence[str]) -> Any:
    """What is at a path of field names; None if there is nothing. A field's name may itself have dots in it."""
    for place, name in enumerate(path):
        if not isinstance(source, dict):
            return None
        if name not in source:
            return source.get(".".join(path[place:]))
        source = source[name]
    return source
