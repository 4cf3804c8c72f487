"""
Values that formats have and graphs have not, as text: decimals, times, bytes.

Texts of one kind have one length after the second, so that they sort as the times do. What cannot be said raises
ValueError; the text says what.
"""

from __future__ import annotations

import datetime
import functools
from base64 import b64encode

EPOCH = datetime.datetime(1970, 1, 1)
EPOCH_DAY = EPOCH.toordinal()

DIGITS = {"millis": 3, "micros": 6, "nanos": 9}
"Unit of a time -> its digits after the second."

SECONDS_A_DAY = 86_400

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"Of the integers that a graph has."


def decimal_text(unscaled: int, scale: int) -> str:
    """As it is written, with all digits of its scale: 0 with scale 8 is 0.00000000."""
    if scale <= 0:
        return str(unscaled * 10**-scale)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def decimal_of_bytes(data: bytes, scale: int) -> str:
    """The same, of the unscaled value in two's complement."""
    return decimal_text(int.from_bytes(data, "big", signed=True), scale)


def integer(value: int) -> int | str:
    """An integer, or its digits where a graph has no integers that large."""
    return value if INT_MIN <= value <= INT_MAX else str(value)


def base64_text(data: bytes) -> str:
    """Bytes as base64."""
    return b64encode(data).decode()


def date_text(days: int) -> str:
    """A day, counted from 1970."""
    try:
        return datetime.date.fromordinal(EPOCH_DAY + days).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(f"{days} days from 1970 are not within the years 1 to 9999") from None


def time_text(count: int, unit: str) -> str:
    """A time of day, counted from midnight."""
    digits = DIGITS[unit]
    seconds, fraction = divmod(count, 10**digits)
    if not 0 <= seconds < SECONDS_A_DAY:
        raise ValueError(f"{count} {unit} from midnight are not a time of day")
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{fraction:0{digits}}"


def timestamp_text(count: int, unit: str, zone: str) -> str:
    """
    A point in time, counted from 1970.

    Args:
        zone: what it ends with: Z, or nothing for a local one.
    """
    minute = 60 * 10 ** DIGITS[unit]
    minutes, rest = divmod(count, minute)
    try:
        begin = _minute_text(minutes)
    except OverflowError:
        raise ValueError(f"{count} {unit} from 1970 are not within the years 1 to 9999") from None
    # Two digits of seconds, then those of the unit, after one more that keeps zeros in front.
    digits = str(rest + 100 * minute // 60)
    return f"{begin}{digits[1:3]}.{digits[3:]}{zone}"


@functools.lru_cache(maxsize=10_000)
def _minute_text(minutes: int) -> str:
    """A minute, counted from 1970, up to where its seconds begin. Messages of one time have few."""
    return (EPOCH + datetime.timedelta(minutes=minutes)).isoformat()[:17]
