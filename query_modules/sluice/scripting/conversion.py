"""
Turns values of Python's that Bolt has no form for into such that have one: dates and times, decimals, UUIDs, tuples,
and the scalars and arrays of numpy.

Runs in the transform process, before folding, which compares values as the server will.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from sluice.bolt.temporal import Unsendable, structure_of
from sluice.bolt.values import MAX_DEPTH, Structure, Value
from sluice.errors import LocalProtocolError
from sluice.host.decimals import Decimals

_PLAIN = frozenset({str, int, float, bool, type(None)})

_TIMES = (datetime.date, datetime.time, datetime.timedelta)

MAX_EXPONENT = 400
"Decimal places of a Decimal that is written out; others keep their exponent."


class Conversion:
    """How one server takes one stream's values. Converts a copy, and only if there is anything to convert."""

    def __init__(self, decimals: Decimals, *, zoned: bool) -> None:
        """
        Args:
            decimals: what becomes of a Decimal.
            zoned: whether the server has datetimes with a zone; else they are sent in UTC.
        """
        self._decimals = decimals
        self._zoned = zoned

    def parameters(self, parameters: dict[str, Value]) -> dict[str, Value]:
        """
        A query's parameters; the same object if they need no conversion. What nothing is known of stays as it is.

        Raises:
            LocalProtocolError: a value has no form; the text begins with its path, as those of `pack` do.
        """
        try:
            converted: dict[str, Value] = self._map(parameters, MAX_DEPTH)
        except _Refused as refused:
            path = "".join(reversed(refused.path)).removeprefix(".")[:200]
            raise LocalProtocolError(f"{path}: {refused}") from None
        return converted

    def _value(self, value: Any, depth: int) -> Any:
        if type(value) in _PLAIN:
            return value
        if isinstance(value, dict | list):
            if not depth:
                return value  # too deep, which `pack` refuses
            return self._map(value, depth - 1) if isinstance(value, dict) else self._list(value, depth - 1)
        if isinstance(value, Structure):
            return value
        if isinstance(value, tuple):
            return self._list(list(value), depth - 1) if depth else value
        try:
            return self._special(value, depth)
        except Unsendable as error:
            raise _Refused(str(error)) from None

    def _special(self, value: Any, depth: int) -> Any:
        if isinstance(value, _TIMES):
            if value != value:  # noqa: PLR0124 - pandas' NaT
                raise Unsendable(f"{value} is no time; give None")
            return structure_of(value, zoned=self._zoned)
        if isinstance(value, decimal.Decimal):
            return _float(value) if self._decimals is Decimals.FLOAT else _written(value)
        if isinstance(value, uuid.UUID):
            return str(value)
        if type(value).__module__.partition(".")[0] == "numpy" and not isinstance(value, str | float):
            return self._value(_of_numpy(value), depth)
        for kind, way_out in WAYS_OUT.items():
            if isinstance(value, kind) and not isinstance(value, str | int | float):
                raise Unsendable(f"Bolt cannot represent a value of type {type(value).__name__}; {way_out}")
        return value

    def _map(self, value: dict[str, Any], depth: int) -> Any:
        return self._items(value, value.items(), dict, depth, lambda key: f".{key:.40}" if isinstance(key, str) else "")

    def _list(self, value: list[Any], depth: int) -> Any:
        return self._items(value, enumerate(value), list, depth, lambda index: f"[{index}]")

    def _items(self, value: Any, items: Any, copy: Callable[[Any], Any], depth: int, step: Callable[[Any], str]) -> Any:
        changed = None
        for key, item in items:
            if type(item) in _PLAIN:
                continue
            try:
                converted = self._value(item, depth)
            except _Refused as refused:
                refused.path.append(step(key))
                raise
            if converted is not item:
                changed = copy(value) if changed is None else changed
                changed[key] = converted
        return value if changed is None else changed


class _Refused(Exception):
    """A value has no form; becomes `LocalProtocolError` once the path is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []
        "The steps to the value, the last one first."


WAYS_OUT: Mapping[type, str] = {
    set: "sort it into a list",
    frozenset: "sort it into a list",
    complex: "give its parts",
    Enum: "give its value",
    range: "make it a list",
}
"What to give instead of values of a type."


def _written(value: decimal.Decimal) -> str:
    exponent = value.as_tuple().exponent
    is_short = isinstance(exponent, int) and abs(exponent) <= MAX_EXPONENT
    return format(value, "f") if is_short else str(value)


def _float(value: decimal.Decimal) -> float:
    if value.is_snan():
        raise Unsendable("a signaling NaN is no number")
    return float(value)


def _of_numpy(value: Any) -> Any:
    """The Python value of a numpy scalar or array."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "tolist"):
        raise Unsendable(f"Bolt cannot represent a value of type {type(value).__name__}")
    if dtype.kind in "mM" and dtype.name.rpartition("[")[2] not in ("us]", "ms]", "s]", "m]", "h]", "D]"):
        raise Unsendable(f"numpy has {dtype} to nanoseconds, Memgraph to microseconds; use astype('{dtype.kind}8[us]')")
    if dtype.kind not in "biufmMUO":
        raise Unsendable(f"Bolt cannot represent numpy's {dtype}; convert it to numbers, text or a list")
    found = value.tolist()
    if type(found) is type(value):
        raise Unsendable(f"numpy has {dtype} in more than 64 bits; convert it with float()")
    return found
