"""A statement into text: the clause as the specification writes it, on one line, without a semicolon."""

from __future__ import annotations

from sluice.clauses.lexer import is_decimal, name_end
from sluice.clauses.statements import (
    Count,
    CreateStream,
    DropStream,
    Parameter,
    ShowStreams,
    StartAllStreams,
    StartStream,
    Statement,
    StopAllStreams,
    StopStream,
    TestStream,
    Text,
)

_ESCAPES = {"\\": r"\\", "'": r"\'", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def to_text(statement: Statement) -> str:
    """The clause that parses to `statement`."""
    match statement:
        case CreateStream():
            clause = (
                f"CREATE STREAM {_name(statement.name)} AS LOAD DATA KAFKA {_string(statement.uri)}"
                f" WITH TOPIC {_string(statement.topic)} WITH TRANSFORM {_string(statement.transform)}"
            )
            interval = _option(" BATCH_INTERVAL {}", statement.batch_interval_ms)
            return clause + interval + _option(" BATCH_SIZE {}", statement.batch_size)
        case DropStream():
            return f"DROP STREAM {_name(statement.name)}"
        case ShowStreams():
            return "SHOW STREAMS"
        case StartStream():
            return f"START STREAM {_name(statement.name)}" + _option(" LIMIT {} BATCHES", statement.limit_batches)
        case StopStream():
            return f"STOP STREAM {_name(statement.name)}"
        case StartAllStreams():
            return "START ALL STREAMS"
        case StopAllStreams():
            return "STOP ALL STREAMS"
        case TestStream():
            return f"TEST STREAM {_name(statement.name)}" + _option(" LIMIT {} BATCHES", statement.limit_batches)


def quoted(name: str) -> str:
    """`name` in backticks, which every version of Memgraph takes, whatever its keywords."""
    return "`" + name.replace("`", "``") + "`"


def _name(value: Text) -> str:
    return _parameter(value) if isinstance(value, Parameter) else _plain_or_quoted(value)


def _string(value: Text) -> str:
    if isinstance(value, Parameter):
        return _parameter(value)
    return "'" + "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in value) + "'"


def _option(words: str, value: Count | None) -> str:
    if value is None:
        return ""
    return words.format(_parameter(value) if isinstance(value, Parameter) else value)


def _parameter(parameter: Parameter) -> str:
    return "$" + (parameter.name if is_decimal(parameter.name) else _plain_or_quoted(parameter.name))


def _plain_or_quoted(name: str) -> str:
    return name if name_end(name, 0) == len(name) else quoted(name)
