"""The types that procedures declare for arguments and results (`mgp_type` in Memgraph's C API)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import native


@dataclass(frozen=True)
class CypherType:
    """A type: its name in error messages, and what belongs to it."""

    name: str
    accepts: Callable[[Any], bool]


def type_any() -> CypherType:
    """Everything but null."""
    return CypherType("ANY", lambda value: value is not None)


def type_bool() -> CypherType:
    """Truth values."""
    return _instances("BOOLEAN", bool)


def type_string() -> CypherType:
    """Text."""
    return _instances("STRING", str)


def type_int() -> CypherType:
    """Integers."""
    return CypherType("INTEGER", lambda value: isinstance(value, int) and not isinstance(value, bool))


def type_float() -> CypherType:
    """Floats."""
    return _instances("FLOAT", float)


def type_number() -> CypherType:
    """Integers and floats."""
    return CypherType("NUMBER", lambda value: isinstance(value, int | float) and not isinstance(value, bool))


def type_map() -> CypherType:
    """Maps, and what has properties."""
    return _instances("MAP", dict, native.Vertex, native.Edge)


def type_node() -> CypherType:
    """Vertices."""
    return _instances("NODE", native.Vertex)


def type_relationship() -> CypherType:
    """Edges."""
    return _instances("RELATIONSHIP", native.Edge)


def type_path() -> CypherType:
    """Paths."""
    return _instances("PATH", native.Path)


def type_date() -> CypherType:
    """Days."""
    return CypherType(
        "DATE", lambda value: isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    )


def type_local_time() -> CypherType:
    """Times of a day."""
    return _instances("LOCAL_TIME", datetime.time)


def type_local_date_time() -> CypherType:
    """Points in time, of no time zone."""
    return _instances("LOCAL_DATE_TIME", datetime.datetime)


def type_duration() -> CypherType:
    """Lengths of time."""
    return _instances("DURATION", datetime.timedelta)


def type_list(element: CypherType) -> CypherType:
    """Lists with nothing but `element` in them."""
    return CypherType(
        f"LIST OF {element.name}",
        lambda value: isinstance(value, list) and all(element.accepts(item) for item in value),
    )


def type_nullable(inner: CypherType) -> CypherType:
    """`inner`, or null."""
    if inner.name.endswith("?"):
        return inner
    return CypherType(f"{inner.name}?", lambda value: value is None or inner.accepts(value))


def _instances(name: str, *kinds: type) -> CypherType:
    return CypherType(name, lambda value: isinstance(value, kinds))
