"""Values on their way between Bolt and Python."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import Any

from sandbox import native
from sluice.bolt.messages import Version
from sluice.bolt.values import Structure, Value

_NODE, _RELATIONSHIP = 0x4E, 0x52
_DATE, _TIME, _DATE_TIME, _DURATION = 0x44, 0x74, 0x64, 0x45

_EPOCH = datetime.datetime(1970, 1, 1)
_DAY = 24 * 60 * 60
_NANO = 10**9


def to_result(value: Any) -> Any:
    """
    What a procedure returned, as Bolt has it; vertices and edges become `native` ones, which `to_bolt` takes.

    Raises:
        OverflowError: an integer beyond 64 bit.
        ValueError: a value that Memgraph has no type for.
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError("Python int too large to convert to C long")
        return value
    if isinstance(value, list | tuple):
        return [to_result(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("Dictionary keys must be strings")
        return {key: to_result(item) for key, item in value.items()}
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return value
    mgp = sys.modules["mgp"]
    if isinstance(value, mgp.Vertex):
        return value._vertex
    if isinstance(value, mgp.Edge):
        return value._edge
    raise ValueError("Unsupported PyObject conversion")


def to_bolt(value: Any, version: Version) -> Value:
    """A value of `to_result`, as the given version of Bolt writes it."""
    if isinstance(value, list):
        return [to_bolt(item, version) for item in value]
    if isinstance(value, dict):
        return {key: to_bolt(item, version) for key, item in value.items()}
    if isinstance(value, native.Vertex):
        labels = [value.label_at(index) for index in range(value.labels_count())]
        return _entity(_NODE, [value.get_id()], [labels, value.all_properties()], version)
    if isinstance(value, native.Edge):
        ids = [value.get_id(), value.from_vertex().get_id(), value.to_vertex().get_id()]
        return _entity(_RELATIONSHIP, ids, [value.get_type_name(), value.all_properties()], version)
    for kind, write in _TEMPORAL:
        if isinstance(value, kind):
            return write(value)
    return value


def from_bolt(value: Value) -> Any:
    """An argument as Python sees it."""
    if isinstance(value, Structure):
        read = _READERS.get(value.tag)
        return value if read is None else read(*value.fields)
    if isinstance(value, list):
        return [from_bolt(item) for item in value]
    if isinstance(value, dict):
        return {key: from_bolt(item) for key, item in value.items()}
    return value


def _entity(tag: int, ids: list[int], rest: list[Value], version: Version) -> Structure:
    texts = [str(number) for number in ids] if version.major >= 5 else []  # element ids
    return Structure(tag, [*ids, *rest, *texts])


def _nanoseconds(time: datetime.time | datetime.datetime) -> int:
    return (time.hour * 3600 + time.minute * 60 + time.second) * _NANO + time.microsecond * 1000


def _microseconds(span: datetime.timedelta) -> int:
    return span // datetime.timedelta(microseconds=1)


def _date_time_structure(value: datetime.datetime) -> Structure:
    seconds, microseconds = divmod(_microseconds(value - _EPOCH), 10**6)
    return Structure(_DATE_TIME, [seconds, microseconds * 1000])


def _duration_structure(value: datetime.timedelta) -> Structure:
    seconds, microseconds = divmod(_microseconds(value), 10**6)
    days, seconds = divmod(seconds, _DAY)
    return Structure(_DURATION, [0, days, seconds, microseconds * 1000])


# In this order: a datetime is a date too.
_TEMPORAL: tuple[tuple[type, Callable[[Any], Structure]], ...] = (
    (datetime.datetime, _date_time_structure),
    (datetime.date, lambda value: Structure(_DATE, [value.toordinal() - _EPOCH.toordinal()])),
    (datetime.time, lambda value: Structure(_TIME, [_nanoseconds(value)])),
    (datetime.timedelta, _duration_structure),
)

_READERS: dict[int, Callable[..., Any]] = {
    _DATE: lambda days: datetime.date.fromordinal(_EPOCH.toordinal() + days),
    _TIME: lambda nanoseconds: (_EPOCH + datetime.timedelta(microseconds=nanoseconds // 1000)).time(),
    _DATE_TIME: lambda seconds, nanoseconds: (
        _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    ),
    _DURATION: lambda months, days, seconds, nanoseconds: datetime.timedelta(
        days=30 * months + days, seconds=seconds, microseconds=nanoseconds // 1000
    ),
}
