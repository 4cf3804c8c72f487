"""
Dates, times and durations: the structures that Bolt has for them, as far as Memgraph takes them as parameters.

Memgraph closes the connection at a parameter that it cannot read, which tells nobody what was wrong. So each structure
is checked before it is sent.

Source: Bolt documentation, "Structure semantics"; what Memgraph takes was tried on 2.14.1 and 3.12, and is in its
`communication/bolt/v1/decoder/decoder.hpp`.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from sluice.bolt.values import Structure

DATE, TIME, DATE_TIME, DURATION, ZONED = 0x44, 0x74, 0x64, 0x45, 0x49

FIELDS = {DATE: 1, TIME: 1, DATE_TIME: 2, DURATION: 4, ZONED: 3}
"Structure -> how many fields it has, which are integers."

_DAY, _MILLION, _BILLION = 86_400, 10**6, 10**9
_EPOCH = datetime.datetime(1970, 1, 1)
_UTC_EPOCH = _EPOCH.replace(tzinfo=datetime.timezone.utc)
_FIRST_DAY = 1 - _EPOCH.toordinal()
_LAST_DAY = datetime.date.max.toordinal() - _EPOCH.toordinal()
_MAX_OFFSET = 18 * 3600
"Seconds from UTC, either way."

BEFORE_1970 = (
    "Memgraph takes no datetime before 1970 as a parameter, unless it is at midnight or has a zone; "
    "give it as text, and use localDateTime($name) in the query"
)


class Unsendable(ValueError):
    """A value has no form that Memgraph takes; the text says why, and the way out."""


def structure_of(value: Any, *, zoned: bool) -> Structure:
    """
    The structure of a date, time, datetime or timedelta.

    Args:
        zoned: whether the server has datetimes with a zone. Otherwise such a datetime becomes one without, in UTC.

    Raises:
        Unsendable: Memgraph does not take it.
    """
    found = _structure(value, zoned=zoned)
    reason = refusal(found.tag, found.fields)
    if reason:
        raise Unsendable(reason)
    return found


def value_of(structure: Structure) -> Any:
    """The Python value of a structure that was checked (`refusal`)."""
    fields = structure.fields
    if structure.tag == DATE:
        return datetime.date.fromordinal(_EPOCH.toordinal() + fields[0])
    if structure.tag == TIME:
        return (_EPOCH + datetime.timedelta(microseconds=fields[0] // 1000)).time()
    if structure.tag == DURATION:
        return datetime.timedelta(days=fields[1], seconds=fields[2], microseconds=fields[3] // 1000)
    since = datetime.timedelta(seconds=fields[0], microseconds=fields[1] // 1000)
    if structure.tag == DATE_TIME:
        return _EPOCH + since
    offset = datetime.timedelta(seconds=fields[2])
    return (_EPOCH + since + offset).replace(tzinfo=datetime.timezone(offset))


def plain(value: Any) -> Any:
    """A value with Python's dates and times in place of their structures, in maps and lists too."""
    if isinstance(value, Structure):
        return value_of(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def refusal(tag: int, fields: Sequence[int]) -> str:
    """Why Memgraph does not take a structure of integers; empty if it does. Of a tag in FIELDS, with as many fields."""
    if tag == DURATION:
        months, days, seconds, nanoseconds = fields
        microseconds = (days * _DAY + seconds) * _MILLION + nanoseconds // 1000
        fits = not months and abs(days) < 2**27 and abs(seconds) < 2**47 and abs(microseconds) < 2**63
        return "" if fits else "a duration has at most 292,000 years"
    if tag == DATE:
        return "" if _FIRST_DAY <= fields[0] <= _LAST_DAY else "it is before the year 1, or after 9999"
    if tag == TIME:
        return "" if 0 <= fields[0] < _DAY * _BILLION else "it is no time of a day"
    seconds, nanoseconds = fields[:2]
    local = seconds + (fields[2] if tag == ZONED else 0)
    if not all(_FIRST_DAY * _DAY <= moment < (_LAST_DAY + 1) * _DAY for moment in (seconds, local)):
        return "it is before the year 1, or after 9999"
    if not 0 <= nanoseconds < _BILLION:
        return "it has more than a second of nanoseconds"
    if tag == ZONED:
        return "" if abs(fields[2]) <= _MAX_OFFSET else "its zone is more than 18 hours from UTC"
    # 2.14.1 gives one at midnight and a microsecond back as a second later.
    return BEFORE_1970 if seconds < 0 and (seconds % _DAY or nanoseconds) else ""


def _structure(value: Any, *, zoned: bool) -> Structure:
    if isinstance(value, datetime.datetime):
        return _date_time(value, zoned=zoned)
    if isinstance(value, datetime.date):
        return Structure(DATE, [value.toordinal() - _EPOCH.toordinal()])
    if isinstance(value, datetime.timedelta):
        return Structure(DURATION, [0, value.days, value.seconds, value.microseconds * 1000])
    if value.tzinfo is not None:
        raise Unsendable("Memgraph has no time with a zone; drop it with replace(tzinfo=None), or give a datetime")
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return Structure(TIME, [seconds * _BILLION + value.microsecond * 1000])


def _date_time(value: datetime.datetime, *, zoned: bool) -> Structure:
    offset = value.utcoffset()
    since = value.replace(tzinfo=None) - _EPOCH if offset is None else value - _UTC_EPOCH
    fields = [since.days * _DAY + since.seconds, since.microseconds * 1000]
    if offset is None or not zoned:
        return Structure(DATE_TIME, fields)
    return Structure(ZONED, [*fields, offset.days * _DAY + offset.seconds])
