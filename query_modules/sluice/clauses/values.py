"""
What may stand in a clause in place of a value: literals, maps, lists, parameters, and where a stream can be sent.

A value that exists can be printed: it is checked when it is made.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sluice.errors import SettingError

MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` in place of a value. The server looks it up among the query's parameters."""

    name: str

    def __post_init__(self) -> None:
        check_text("a parameter's name", self.name)


Text: TypeAlias = str | Parameter
Count: TypeAlias = int | Parameter
"From 0 to 2^63 - 1. Whether 0 makes sense is for the procedure to say, which sees parameters' values too."
Signed: TypeAlias = int | Parameter
"From -(2^63 - 1) to 2^63 - 1."
Scalar: TypeAlias = str | int | float | bool | None
Item: TypeAlias = "Scalar | Parameter | Map | Items"
"What a map or a list in a clause may hold."


@dataclass(frozen=True, slots=True)
class Items:
    """`[value, ...]`."""

    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        for item in self.items:
            _check_item("a value in a list", item)


@dataclass(frozen=True, slots=True)
class Map:
    """`{key: value, ...}`, in the order in which it is written; no key twice."""

    entries: tuple[tuple[str, Item], ...] = ()

    def __post_init__(self) -> None:
        keys = [key for key, _ in self.entries]
        for key in keys:
            check_text("a key of a map", key)
        if len(set(keys)) < len(keys):
            raise SettingError("a map has a key twice")
        for key, value in self.entries:
            _check_item(key, value)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Map:
        """The map with these entries; dicts and lists among them become maps and lists."""
        return cls(tuple((key, _item_of(value)) for key, value in values.items()))


Config: TypeAlias = Map | Parameter


class End(enum.Enum):
    """One end of a topic."""

    EARLIEST = "earliest"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The first messages that are not older."""

    at: str | Count
    "Milliseconds since 1970 in UTC, or ISO 8601."

    def __post_init__(self) -> None:
        if isinstance(self.at, str):
            check_text("at", self.at, may_be_empty=True)
        elif not isinstance(self.at, Parameter):
            check_integer("at", self.at)


@dataclass(frozen=True, slots=True)
class Relative:
    """So many messages on, or back if negative, in each partition."""

    count: Signed

    def __post_init__(self) -> None:
        if not isinstance(self.count, Parameter):
            check_integer("count", self.count, -MAX_INTEGER)


@dataclass(frozen=True, slots=True)
class Offsets:
    """Partition -> offset; the other partitions stay where they are."""

    entries: tuple[tuple[int, Count], ...]

    def __post_init__(self) -> None:
        if len({partition for partition, _ in self.entries}) < len(self.entries) or not self.entries:
            raise SettingError("give offsets for at least one partition, and only once for each")
        for partition, offset in self.entries:
            check_integer("a partition", partition)
            if not isinstance(offset, Parameter):
                check_integer("an offset", offset)


@dataclass(frozen=True, slots=True)
class OffsetsByTopic:
    """Topic -> offsets of its partitions; the other topics stay where they are."""

    entries: tuple[tuple[str, Offsets], ...]

    def __post_init__(self) -> None:
        if len({topic for topic, _ in self.entries}) < len(self.entries) or not self.entries:
            raise SettingError("give offsets for at least one topic, and only once for each")
        for topic, _ in self.entries:
            check_text("a topic", topic)
            if topic.isascii() and topic.isdecimal():
                raise SettingError("a topic whose name is a number would be a partition")


Target: TypeAlias = End | Timestamp | Relative | Offsets | OffsetsByTopic | Parameter


def is_unicode(text: str) -> bool:
    """Whether a query can carry `text`. A Python string can hold half a surrogate pair, UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def check_text(what: str, value: object, *, may_be_empty: bool = False) -> None:
    """Raises SettingError unless `value` is text that a query can carry."""
    if not isinstance(value, str):
        raise SettingError(f"{what} has to be a string, not {type(value).__name__}")
    if not value and not may_be_empty:
        raise SettingError(f"{what} must not be empty")
    if not is_unicode(value):
        raise SettingError(f"{what} has half a surrogate pair, which no query can carry")


def check_integer(what: str, value: object, least: int = 0) -> None:
    """Raises SettingError unless `value` is an integer from `least` on that a query can carry."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingError(f"{what} has to be an integer, not {type(value).__name__}")
    if not least <= value <= MAX_INTEGER:
        raise SettingError(f"{what} has to be from {least} to {MAX_INTEGER}, not {_shown(value)}")


def _item_of(value: Any) -> Item:
    if isinstance(value, dict):
        return Map.of(value)
    return Items(tuple(map(_item_of, value))) if isinstance(value, list) else cast("Item", value)


def _check_item(key: str, value: object) -> None:
    if isinstance(value, str):
        check_text(key, value, may_be_empty=True)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SettingError(f"{key} has to be finite, not {value}")
    elif isinstance(value, int) and not isinstance(value, bool):
        check_integer(key, value, -MAX_INTEGER)
    elif not (value is None or isinstance(value, bool | Parameter | Map | Items)):
        kinds = "a string, a number, true, false, null, a map or a list"
        raise SettingError(f"{key} has to be {kinds}, not {type(value).__name__}")


def _shown(value: int) -> str:
    return str(value) if abs(value) < 10**30 else "that"
