"""
Protobuf messages into maps: field -> value, every field of the message, null where it is not set and may not be.

Enums become names; Google's own types for times, numbers and JSON what they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sluice.decoding.plain import base64_text, decimal_of_bytes, integer, timestamp_text

Convert = Callable[[Any], Any]
"From what Google's library has into what a graph has."

WRAPPERS = tuple(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)

NANO = 10**9


class MessageFields:
    """What to do with the fields of each type."""

    def __init__(self, decimals: str) -> None:
        """
        Args:
            decimals: text or float.
        """
        self._made: dict[Any, Convert] = {}
        self._special: dict[str, Convert] = {
            "google.protobuf.Timestamp": _timestamp,
            "google.protobuf.Duration": _duration,
            "google.protobuf.Struct": _struct,
            "google.protobuf.Value": _json_value,
            "google.protobuf.ListValue": _json_list,
            "google.protobuf.FieldMask": lambda message: list(message.paths),
            "google.type.Date": _date,
            "confluent.type.Decimal": _decimal if decimals == "text" else lambda message: float(_decimal(message)),
        }

    def of(self, descriptor: Any) -> Convert:
        """What makes a map of a message of that type."""
        name = descriptor.full_name
        if name in self._special:
            return self._special[name]
        if descriptor not in self._made:
            takes: list[tuple[str, Convert]] = []

            def convert(message: Any) -> Any:
                return {name: take(message) for name, take in takes}

            self._made[descriptor] = convert  # first, since a type may be within itself
            takes += [(field.name, self._take(field)) for field in descriptor.fields]
            if name in WRAPPERS:
                self._made[descriptor] = takes[0][1]
        return self._made[descriptor]

    def _take(self, field: Any) -> Convert:
        """What takes a field out of a message."""
        get = attrgetter(field.name)
        if _is_map(field):
            value = self._value(field.message_type.fields_by_name["value"])
            if value is None:
                return lambda message: {_key(key): item for key, item in get(message).items()}
            return lambda message: {_key(key): value(item) for key, item in get(message).items()}
        convert = self._value(field)
        if _is_repeated(field):
            if convert is None:
                return lambda message: list(get(message))
            return lambda message: [convert(item) for item in get(message)]
        if field.has_presence:
            name = field.name
            if convert is None:
                return lambda message: get(message) if message.HasField(name) else None
            return lambda message: convert(get(message)) if message.HasField(name) else None
        if convert is None:
            return get
        return lambda message: convert(get(message))

    def _value(self, field: Any) -> Convert | None:
        """What makes a value of one of a field's; None: it is one."""
        if field.message_type is not None:
            return self.of(field.message_type)
        if field.enum_type is not None:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, number)
        if field.type == field.TYPE_BYTES:
            return base64_text
        if field.type in (field.TYPE_UINT64, field.TYPE_FIXED64):
            return integer
        return None


def _is_repeated(field: Any) -> bool:
    # Up to version 6 of the library there is only the label.
    repeated = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if repeated is None else repeated)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _key(key: Any) -> str:
    return ("true" if key else "false") if isinstance(key, bool) else str(key)


def _timestamp(message: Any) -> str:
    unit, size = ("nanos", 1) if message.nanos % 1000 else ("micros", 1000)
    return timestamp_text((message.seconds * NANO + message.nanos) // size, unit, "Z")


def _duration(message: Any) -> str:
    nanos = message.seconds * NANO + message.nanos
    seconds, fraction = divmod(abs(nanos), NANO)
    return f"PT{'-' if nanos < 0 else ''}{seconds}.{fraction:09}S"


def _date(message: Any) -> str:
    return f"{message.year:04}-{message.month:02}-{message.day:02}"


def _decimal(message: Any) -> str:
    return decimal_of_bytes(message.value, message.scale)


def _struct(message: Any) -> dict[str, Any]:
    return {name: _json_value(value) for name, value in message.fields.items()}


def _json_list(message: Any) -> list[Any]:
    return [_json_value(value) for value in message.values]


def _json_value(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    value = getattr(message, kind)
    if kind == "struct_value":
        return _struct(value)
    return _json_list(value) if kind == "list_value" else value
