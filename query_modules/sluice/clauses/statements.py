"""
The clauses as values. A statement that exists can be printed and translated: it is checked when it is made.

A value is what the text says, or the Parameter that will hold it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import TypeAlias

from sluice.clauses.values import Config, Count, Parameter, Target, Text, check_integer, check_text
from sluice.errors import SettingError

_COUNTS = ("batch_interval_ms", "batch_size", "limit_batches")
_TEXTS = ("name", "uri", "topic", "transform")


class Existing(enum.Enum):
    """What CREATE does if there is a stream of that name."""

    REFUSE = "refuse"
    KEEP = "keep"
    "`IF NOT EXISTS`: nothing, and says nothing."
    REPLACE = "replace"
    "`OR REPLACE`."


class _Checked:
    """Refuses fields that cannot be written in a clause."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Parameter) or (value is None and field.default is None):
                continue
            if field.name in _COUNTS:
                check_integer(field.name, value)
            elif field.name in _TEXTS:
                check_text(field.name, value, may_be_empty=field.name != "name")


@dataclass(frozen=True, slots=True)
class CreateStream(_Checked):
    """`CREATE STREAM name AS LOAD DATA KAFKA uri WITH TOPIC topic WITH TRANSFORM transform [options]`."""

    name: Text
    uri: Text
    topic: Text
    transform: Text
    batch_interval_ms: Count | None = None
    "None: not given, which means 100."
    batch_size: Count | None = None
    "None: not given, which means 10 messages."
    config: Config | None = None
    existing: Existing = Existing.REFUSE


@dataclass(frozen=True, slots=True)
class DropStream(_Checked):
    """`DROP STREAM [IF EXISTS] name`."""

    name: Text
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterStream(_Checked):
    """`ALTER STREAM name SET change, ...`; at least one change."""

    name: Text
    batch_interval_ms: Count | None = None
    batch_size: Count | None = None
    uri: Text | None = None
    transform: Text | None = None
    config: Config | None = None

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if all(getattr(self, field.name) is None for field in fields(self)[1:]):
            raise SettingError("ALTER STREAM has to change something")


@dataclass(frozen=True, slots=True)
class ReloadTransform(_Checked):
    """`RELOAD TRANSFORM OF STREAM name`."""

    name: Text


@dataclass(frozen=True, slots=True)
class SeekStream(_Checked):
    """`SEEK STREAM name TO target [DRY RUN]`."""

    name: Text
    to: Target
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ShowStreams:
    """`SHOW STREAMS`."""


@dataclass(frozen=True, slots=True)
class ShowCreateStream(_Checked):
    """`SHOW CREATE STREAM name`."""

    name: Text


@dataclass(frozen=True, slots=True)
class StartStream(_Checked):
    """`START STREAM name [LIMIT limit_batches BATCHES]`."""

    name: Text
    limit_batches: Count | None = None
    "None: not given, no limit."


@dataclass(frozen=True, slots=True)
class StopStream(_Checked):
    """`STOP STREAM name`."""

    name: Text


@dataclass(frozen=True, slots=True)
class StartAllStreams:
    """`START ALL STREAMS`."""


@dataclass(frozen=True, slots=True)
class StopAllStreams:
    """`STOP ALL STREAMS`."""


@dataclass(frozen=True, slots=True)
class TestStream(_Checked):
    """`TEST STREAM name [LIMIT limit_batches BATCHES]`."""

    name: Text
    limit_batches: Count | None = None
    "None: not given, which means 1."


Command: TypeAlias = (
    CreateStream
    | DropStream
    | AlterStream
    | ReloadTransform
    | SeekStream
    | ShowStreams
    | ShowCreateStream
    | StartStream
    | StopStream
    | StartAllStreams
    | StopAllStreams
    | TestStream
)
"What a text asks for."


class Explanation(enum.Enum):
    """How a clause is explained."""

    EXPLAIN = "what the server would do"
    PROFILE = "what it does, and how long each part takes"


@dataclass(frozen=True, slots=True)
class Explain:
    """`EXPLAIN clause` and `PROFILE clause`: the server's plan for the CALL that the clause becomes."""

    statement: Command
    plan: Explanation = Explanation.EXPLAIN


Statement: TypeAlias = Command | Explain
"What a text says."
