"""
Values of columns as Debezium's JSON has them, into values that a graph has.

    numeric                  base64 of its digits, with the scale beside it -> text, or a float
    real, double             a number, or the texts NaN, Infinity, -Infinity -> a float
    date, time, timestamp    numbers of days, milli-, micro- or nanoseconds -> Date, LocalTime, LocalDateTime
    timestamp with time zone ISO text -> LocalDateTime in UTC
    interval                 microseconds -> Duration
    arrays                   lists of the same; dates and times in them as texts
    uuid, json, enum, bytea, ... texts, as they are; bytea is base64

Source: `io.debezium.time`, `io.debezium.data` of Debezium 3.7, and `JsonConverter` of Kafka Connect 4.4.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sluice.decoding.refusals import WrongOption

MILLI, MICRO, NANO = 1_000_000, 1_000, 1
DAY = 86_400_000 * MILLI
"Nanoseconds."

DECIMALS = ("text", "float")
"What the option `decimals` may say."


class Call(NamedTuple):
    """A value that the query makes of a text, by a function of Cypher. Memgraph 2's functions take no null."""

    function: str
    text: str | None


class ColumnKind(NamedTuple):
    """What a type's values become."""

    convert: Callable[[Any], Any]
    "Of a value that is not null. Raises OverflowError if the graph has no such value."
    function: str = ""
    "For the text that `convert` gives; empty if it gives the value itself."

    def of(self, value: Any) -> Any:
        """The value for the graph, or the given one if the graph has none. What `convert` raises otherwise passes."""
        if value is None:
            return Call(self.function, None) if self.function else None
        try:
            converted = self.convert(value)
        except OverflowError:
            return value
        return Call(self.function, converted) if self.function else converted


ColumnKinds = Mapping[str, ColumnKind]
"Column -> its kind, for those that are not taken as they are."

_EPOCH = datetime.datetime(1970, 1, 1)
_ZONED = re.compile(r"(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_SCALE = re.compile(r"decimal\((\d{1,4})\)")


def _date(days: int) -> str:
    return (_EPOCH + datetime.timedelta(days=days)).date().isoformat()


def _timestamp(value: int, unit: int) -> str:
    return (_EPOCH + datetime.timedelta(microseconds=value * unit // MICRO)).isoformat()


def _time(value: int, unit: int) -> str:
    if not 0 <= value * unit < DAY:
        raise OverflowError  # PostgreSQL has 24:00
    return (_EPOCH + datetime.timedelta(microseconds=value * unit // MICRO)).time().isoformat()


def _zoned(value: str) -> str:
    parts = _ZONED.fullmatch(value)
    if parts is None:
        raise OverflowError  # such as infinity
    local, fraction, zone = parts.groups()
    text = f"{local}.{(fraction or '0')[:6]:0<6}{zone.replace('Z', '+00:00')}"
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise OverflowError from None  # years that have more digits, or are before Christ
    return found.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat()


def _duration(value: int, unit: int) -> str:
    seconds, rest = divmod(abs(value) * unit // MICRO, 1_000_000)
    return f"PT{'-' if value < 0 else ''}{seconds}.{rest:06}S"


_TIMES = {
    "date": ColumnKind(_date, "date"),
    **{
        f"{name}{suffix}": ColumnKind(partial(convert, unit=unit), function)
        for name, convert, function in (
            ("time", _time, "localTime"),
            ("timestamp", _timestamp, "localDateTime"),
            ("interval", _duration, "duration"),
        )
        for suffix, unit in (("_millis", MILLI), ("", MICRO), ("_nanos", NANO))
    },
    "timestamptz": ColumnKind(_zoned, "localDateTime"),
    "iso_date": ColumnKind(lambda value: value.rstrip("Z"), "date"),
    "iso_time": ColumnKind(lambda value: value.rstrip("Z"), "localTime"),
}

_OF_DEBEZIUM = {
    **{"Date": "date", "Time": "time_millis", "MicroTime": "time", "NanoTime": "time_nanos"},
    **{"Timestamp": "timestamp_millis", "MicroTimestamp": "timestamp", "NanoTimestamp": "timestamp_nanos"},
    **{"ZonedTimestamp": "timestamptz", "MicroDuration": "interval", "NanoDuration": "interval_nanos"},
    **{"IsoDate": "iso_date", "IsoTime": "iso_time", "IsoTimestamp": "timestamptz"},
}
_OF_CONNECT = {"Date": "date", "Time": "time_millis", "Timestamp": "timestamp_millis"}
"The last part of a schema's name -> one of _TIMES. Connect's own are sent with `time.precision.mode=connect`."

_BY_NAME = {
    **{f"io.debezium.time.{name}": _TIMES[kind] for name, kind in _OF_DEBEZIUM.items()},
    **{f"org.apache.kafka.connect.data.{name}": _TIMES[kind] for name, kind in _OF_CONNECT.items()},
}


class Values:
    """What columns become, by the events' schemas, the options, or by what the values look like."""

    def __init__(self, decimals: str) -> None:
        """
        Args:
            decimals: one of DECIMALS: what numbers of exact decimals become.
        """
        self._decimals = float if decimals == "float" else str

    def of_schema(self, fields: Sequence[Mapping[str, Any]]) -> ColumnKinds:
        """The kinds of a struct's fields, as Connect's JSON describes them."""
        kinds = {str(field.get("field")): self._kind(field) for field in fields}
        return {column: kind for column, kind in kinds.items() if kind is not None}

    def named(self, column: str, name: object) -> ColumnKind:
        """
        The kind that the option `types` gives a column.

        Raises:
            WrongOption: there is none of that name.
        """
        kinds = {**_TIMES, "float": ColumnKind(float), "decimal": ColumnKind(self._scaled)}
        text = str(name)
        element = text.removesuffix("[]")
        scale = _SCALE.fullmatch(element)
        found = ColumnKind(partial(self._decimal, scale=int(scale[1]))) if scale else kinds.get(element)
        if found is None:
            there = ", ".join([*kinds, "decimal(2)"])
            raise WrongOption(f"the type of {column} must be one of {there}, or that with [] for arrays, got {name!r}")
        return found if element == text else _list_of(found)

    def unnamed(self, value: Any) -> Any:
        """A value without a schema. Decimals without a scale are the one struct that can be told by its form."""
        if isinstance(value, Mapping) and value.keys() == {"scale", "value"}:
            return self._scaled(value)
        return list(map(self.unnamed, value)) if isinstance(value, list) else value

    def _kind(self, schema: Mapping[str, Any]) -> ColumnKind | None:
        """None: values are taken as they are."""
        name, kind = schema.get("name"), schema.get("type")
        if name in _BY_NAME:
            return _BY_NAME[name]
        if name == "org.apache.kafka.connect.data.Decimal":
            return ColumnKind(partial(self._decimal, scale=int(schema["parameters"]["scale"])))
        if name == "io.debezium.data.VariableScaleDecimal":
            return ColumnKind(self._scaled)
        if kind in ("float", "double"):
            return ColumnKind(float)
        if kind == "array":
            items = self._kind(schema["items"])
            return items and _list_of(items)
        return None

    def _decimal(self, value: Any, scale: int) -> str | float:
        if not isinstance(value, str):
            return self._decimals(value)  # a number: `decimal.handling.mode=double`
        return self._decimals(_plain(base64.b64decode(value, validate=True), scale))

    def _scaled(self, value: Any) -> str | float:
        if isinstance(value, Mapping):
            return self._decimal(value["value"], value["scale"])
        return self._decimals(value)  # a text or a number: `decimal.handling.mode=string` or `double`


def _plain(digits: bytes, scale: int) -> str:
    """Without an exponent, and with as many digits after the point as the column has."""
    number = int.from_bytes(digits, "big", signed=True)
    if scale <= 0:
        return str(number * 10**-scale)
    sign, figures = "-" if number < 0 else "", f"{abs(number):0{scale + 1}}"
    return f"{sign}{figures[:-scale]}.{figures[-scale:]}"


def _list_of(kind: ColumnKind) -> ColumnKind:
    """Lists of a kind; dates and times in them stay texts, since a query makes one value of one parameter."""
    return ColumnKind(lambda value: [_element(kind, item) for item in value])


def _element(kind: ColumnKind, value: Any) -> Any:
    found = kind.of(value)
    return found.text if isinstance(found, Call) else found
