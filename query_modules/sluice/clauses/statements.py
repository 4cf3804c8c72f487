"""
The clauses as values. A statement that exists can be printed and translated: it is checked when it is made.

A value is what the text says, or the Parameter that will hold it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

from sluice.errors import SettingError


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` in place of a value. The server looks it up among the query's parameters."""

    name: str

    def __post_init__(self) -> None:
        _check_text("a parameter's name", self.name)


Text: TypeAlias = str | Parameter
Count: TypeAlias = int | Parameter
"From 0 to 2^63 - 1. Whether 0 makes sense is for the procedure to say, which sees parameters' values too."


@dataclass(frozen=True, slots=True)
class CreateStream:
    """`CREATE STREAM name AS LOAD DATA KAFKA uri WITH TOPIC topic WITH TRANSFORM transform [options]`."""

    name: Text
    uri: Text
    topic: Text
    transform: Text
    batch_interval_ms: Count | None = None
    "None: not given, which means 100."
    batch_size: Count | None = None
    "None: not given, which means 10 messages."

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class DropStream:
    """`DROP STREAM name`."""

    name: Text

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class ShowStreams:
    """`SHOW STREAMS`."""


@dataclass(frozen=True, slots=True)
class StartStream:
    """`START STREAM name [LIMIT limit_batches BATCHES]`."""

    name: Text
    limit_batches: Count | None = None
    "None: not given, no limit."

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class StopStream:
    """`STOP STREAM name`."""

    name: Text

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True)
class StartAllStreams:
    """`START ALL STREAMS`."""


@dataclass(frozen=True, slots=True)
class StopAllStreams:
    """`STOP ALL STREAMS`."""


@dataclass(frozen=True, slots=True)
class TestStream:
    """`TEST STREAM name [LIMIT limit_batches BATCHES]`."""

    name: Text
    limit_batches: Count | None = None
    "None: not given, which means 1."

    def __post_init__(self) -> None:
        _check(self)


Statement: TypeAlias = (
    CreateStream | DropStream | ShowStreams | StartStream | StopStream | StartAllStreams | StopAllStreams | TestStream
)


def is_unicode(text: str) -> bool:
    """Whether a query can carry `text`. A Python string can hold half a surrogate pair, UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_COUNTS = ("batch_interval_ms", "batch_size", "limit_batches")


def _check(statement: Statement) -> None:
    for field in fields(statement):
        value = getattr(statement, field.name)
        if isinstance(value, Parameter) or (value is None and field.default is None):
            continue
        if field.name in _COUNTS:
            _check_count(field.name, value)
        else:
            _check_text(field.name, value, may_be_empty=field.name != "name")


def _check_text(what: str, value: object, *, may_be_empty: bool = False) -> None:
    if not isinstance(value, str):
        raise SettingError(f"{what} has to be a string, not {type(value).__name__}")
    if not value and not may_be_empty:
        raise SettingError(f"{what} must not be empty")
    if not is_unicode(value):
        raise SettingError(f"{what} has half a surrogate pair, which no query can carry")


def _check_count(what: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise SettingError(f"{what} has to be an integer, not {type(value).__name__}")
    if not 0 <= value < 2**63:
        raise SettingError(f"{what} has to be from 0 to {2**63 - 1}, not {value if abs(value) < 10**30 else 'that'}")
