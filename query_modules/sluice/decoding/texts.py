"""The bytes of a message as text; and what they look like if they are none."""

from __future__ import annotations

from typing import Any

from sluice.decoding.refusals import WrongMessage
from sluice.decoding.schema_ids import looks_framed

KINDS = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
"What errors call the values of JSON, by their types here."


def kind_of(value: Any) -> str:
    """What errors call a value."""
    return "null" if value is None else KINDS.get(type(value), type(value).__name__)


def text_of(value: bytes) -> str:
    """A message as text, without a byte order mark. Raises WrongMessage if it is not UTF-8."""
    try:
        return value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongMessage(f"not UTF-8 text (byte {error.start}){looks_like(value)}") from None


def looks_like(value: bytes) -> str:
    """What a message that cannot be read seems to be, for errors; empty if that is not known."""
    if value[:3] == b"Obj":
        return "; this looks like a file of Avro records"
    if value[:2] == b"\x1f\x8b":
        return "; this looks like gzip"
    return looks_framed(value)
