"""A statement into text: the clause as the specification writes it, on one line, without a semicolon."""

from __future__ import annotations

import re

from sluice.clauses import statements
from sluice.clauses.values import (
    Config,
    Count,
    End,
    Item,
    Items,
    Map,
    Offsets,
    OffsetsByTopic,
    Parameter,
    Relative,
    Scalar,
    Target,
    Text,
    Timestamp,
)  # fmt: skip
from sluice.cypher.lexer import is_decimal, name_end

_ESCAPES = {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}

_CREATE = {
    statements.Existing.REFUSE: "CREATE STREAM",
    statements.Existing.KEEP: "CREATE STREAM IF NOT EXISTS",
    statements.Existing.REPLACE: "CREATE OR REPLACE STREAM",
}


def to_text(statement: statements.Statement) -> str:
    """The clause that parses to `statement`."""
    if isinstance(statement, statements.Explain):
        return f"{statement.plan.name} {_command(statement.statement)}"
    return _command(statement)


def _command(statement: statements.Command) -> str:
    match statement:
        case statements.CreateStream():
            return (
                f"{_CREATE[statement.existing]} {_name(statement.name)} AS LOAD DATA KAFKA {_scalar(statement.uri)}"
                f" WITH TOPIC {_scalar(statement.topic)} WITH TRANSFORM {_scalar(statement.transform)}"
                + ("" if statement.config is None else f" WITH CONFIG {_map(statement.config)}")
                + _option(" BATCH_INTERVAL {}", statement.batch_interval_ms)
                + _option(" BATCH_SIZE {}", statement.batch_size)
            )
        case statements.DropStream():
            return f"DROP STREAM {'IF EXISTS ' if statement.if_exists else ''}{_name(statement.name)}"
        case statements.AlterStream():
            return f"ALTER STREAM {_name(statement.name)} SET {', '.join(_changes(statement))}"
        case statements.ReloadTransform():
            return f"RELOAD TRANSFORM OF STREAM {_name(statement.name)}"
        case statements.SeekStream():
            dry_run = " DRY RUN" if statement.dry_run else ""
            return f"SEEK STREAM {_name(statement.name)} TO {_target(statement.to)}{dry_run}"
        case statements.StartStream() | statements.TestStream():
            limit = _option(" LIMIT {} BATCHES", statement.limit_batches)
            return f"{keywords(statement)} {_name(statement.name)}{limit}"
        case statements.ShowCreateStream() | statements.StopStream():
            return f"{keywords(statement)} {_name(statement.name)}"
        case statements.ShowStreams() | statements.StartAllStreams() | statements.StopAllStreams():
            return keywords(statement)


def keywords(statement: statements.Command) -> str:
    """`StartAllStreams` is START ALL STREAMS."""
    return re.sub("(?!^)(?=[A-Z])", " ", type(statement).__name__).upper()


def quoted(name: str) -> str:
    """`name` in backticks, which every version of Memgraph takes, whatever its keywords."""
    return "`" + name.replace("`", "``") + "`"


def _changes(statement: statements.AlterStream) -> list[str]:
    changes = {
        "BATCH_INTERVAL": _option("{}", statement.batch_interval_ms),
        "BATCH_SIZE": _option("{}", statement.batch_size),
        "KAFKA": "" if statement.uri is None else _scalar(statement.uri),
        "TRANSFORM": "" if statement.transform is None else _scalar(statement.transform),
        "CONFIG": "" if statement.config is None else _map(statement.config),
    }
    return [f"{word} {value}" for word, value in changes.items() if value]


def _target(target: Target) -> str:
    match target:
        case End():
            return target.name
        case Timestamp():
            return f"TIMESTAMP {_scalar(target.at)}"
        case Relative():
            return f"RELATIVE {_scalar(target.count)}"
        case Offsets():
            return "{" + ", ".join(f"{partition}: {_scalar(offset)}" for partition, offset in target.entries) + "}"
        case OffsetsByTopic():
            return "{" + ", ".join(f"{_plain_or_quoted(key)}: {_target(each)}" for key, each in target.entries) + "}"
        case Parameter():
            return _parameter(target)


def _map(value: Config) -> str:
    if isinstance(value, Parameter):
        return _parameter(value)
    return "{" + ", ".join(f"{_plain_or_quoted(key)}: {_item(item)}" for key, item in value.entries) + "}"


def _item(value: Item) -> str:
    if isinstance(value, Map):
        return _map(value)
    return f"[{', '.join(map(_item, value.items))}]" if isinstance(value, Items) else _scalar(value)


def _name(value: Text) -> str:
    return _parameter(value) if isinstance(value, Parameter) else _plain_or_quoted(value)


def _scalar(value: Scalar | Parameter) -> str:
    if isinstance(value, Parameter):
        return _parameter(value)
    if isinstance(value, str):
        return _string(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value).replace("e+", "e")  # an exponent has no plus in Cypher


def _string(value: str) -> str:
    # In the quotes that it has none of: consoles show a backslash twice, so that the clause could not be pasted back.
    quote = '"' if "'" in value and '"' not in value else "'"
    escapes = {**_ESCAPES, quote: "\\" + quote}
    return quote + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in value) + quote


def _option(words: str, value: Count | None) -> str:
    return "" if value is None else words.format(_scalar(value))


def _parameter(parameter: Parameter) -> str:
    return "$" + (parameter.name if is_decimal(parameter.name) else _plain_or_quoted(parameter.name))


def _plain_or_quoted(name: str) -> str:
    return name if name_end(name, 0) == len(name) else quoted(name)
