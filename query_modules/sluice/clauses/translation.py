"""
Text into the CALL that does what it asks for.

Values travel as parameters, never as text. A value that the client gave as a parameter stays the client's parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sluice.clauses.binding import Argument, bind
from sluice.clauses.parser import Beginning, recognise
from sluice.clauses.printer import quoted
from sluice.clauses.statements import (
    AlterStream,
    Command,
    CreateStream,
    DropStream,
    Existing,
    Explain,
    Explanation,
    ReloadTransform,
    SeekStream,
    ShowCreateStream,
    ShowStreams,
    StartAllStreams,
    StartStream,
    StopAllStreams,
    StopStream,
    TestStream,
)
from sluice.clauses.values import Config, End, Item, Items, Map, Offsets, Parameter, Relative, Scalar, Target, Timestamp

DEFAULTS: Mapping[str, Scalar] = {"batch_interval": 100, "batch_size": 10, "config": None}
"The procedures'. Written out only where an argument that comes after is given."

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "streams.reload_transform": ("old_sha256", "new_sha256", "tried"),
    "streams.seek": ("partition", "from", "to", "messages", "effect"),
    "streams.show": ("name", "uri", "topic", "transform", "status"),
    "streams.show_create": ("statement",),
    "streams.test": ("query", "params"),
}
"Those of the procedures that have any, in the order in which a clause's result has them."

PLAN_COLUMNS: Mapping[Explanation, tuple[str, ...]] = {
    Explanation.EXPLAIN: ("QUERY PLAN",),
    Explanation.PROFILE: ("OPERATOR", "ACTUAL HITS", "RELATIVE TIME", "ABSOLUTE TIME"),
}
"Those of the server's plans."


@dataclass(frozen=True, slots=True)
class Translation:
    """What to send to the server instead of a stream clause."""

    query: str
    parameters: dict[str, Any] = field(repr=False)
    "The client's, untouched, then ours under names that the client does not use. May hold secrets: no repr, no logs."
    columns: tuple[str, ...]
    "What the result's columns are, in order. Empty: the clause has no result."
    kind: str = field(default="", compare=False)
    "The clause's keywords, such as START STREAM: for whoever counts."


class _Call(NamedTuple):
    procedure: str
    arguments: Mapping[str, Argument] = {}
    "Argument -> its value, in the procedure's order; None at the end is left to the procedure's default."


def translate(text: str, parameters: Mapping[str, Any] | None = None) -> Translation | None:
    """
    The CALL that a stream clause stands for.

    Args:
        text: any query.
        parameters: the client's, name -> value.

    Returns:
        None where `text` is not a stream clause and is to be sent as it is.

    Raises:
        ClauseError: it begins like a stream clause and goes on like none.
        SettingError: a parameter is of a type that cannot stand where the clause has it.
    """
    beginning = recognise(text)
    return None if beginning is None else translation_of(beginning, parameters or {})


def translation_of(beginning: Beginning, parameters: Mapping[str, Any]) -> Translation:
    """The same for a text that has been recognised."""
    statement = beginning.parse()
    if not isinstance(statement, Explain):
        return _translation(_kind(statement), _call(statement), parameters)
    plan, call = statement.plan, _translation(_kind(statement.statement), _call(statement.statement), parameters)
    columns, kind = PLAN_COLUMNS[plan], f"{plan.name} {call.kind}"
    return Translation(f"{plan.name} {call.query}", call.parameters, columns, kind)


def _call(statement: Command) -> _Call:
    # STOP is reserved up to Memgraph 2.15 and needs its backticks. The other names do not, in any version.
    match statement:
        case CreateStream():
            return _Call("streams.create", _creation(statement))
        case DropStream(name, if_exists):
            return _Call("streams.drop", {"name": name, "if_exists": if_exists or None})
        case AlterStream():
            return _Call("streams.alter", {"name": statement.name, "changes": _changes(statement)})
        case ReloadTransform(name):
            return _Call("streams.reload_transform", {"name": name})
        case SeekStream(name, to, dry_run):
            return _Call("streams.seek", {"name": name, "to": _to(to), "dry_run": dry_run or None})
        case ShowStreams():
            return _Call("streams.show")
        case ShowCreateStream(name):
            return _Call("streams.show_create", {"name": name})
        case StartStream(name, limit):
            return _Call("streams.start", {"name": name, "limit_batches": limit})
        case StopStream(name):
            return _Call("streams.`stop`", {"name": name})
        case StartAllStreams():
            return _Call("streams.start_all")
        case StopAllStreams():
            return _Call("streams.stop_all")
        case TestStream(name, limit):
            return _Call("streams.test", {"name": name, "limit_batches": limit})


def _creation(statement: CreateStream) -> dict[str, Argument]:
    refuses = statement.existing is Existing.REFUSE
    return {
        "name": statement.name,
        "uri": statement.uri,
        "topic": statement.topic,
        "transform": statement.transform,
        "batch_interval": statement.batch_interval_ms,
        "batch_size": statement.batch_size,
        "config": _config(statement.config),
        "existing": None if refuses else statement.existing.value,
    }


def _changes(statement: AlterStream) -> dict[str, Argument]:
    changes: dict[str, Argument] = {
        "batch_interval": statement.batch_interval_ms,
        "batch_size": statement.batch_size,
        "uri": statement.uri,
        "transform": statement.transform,
        "config": _config(statement.config),
    }
    return {key: value for key, value in changes.items() if value is not None}


def _config(config: Config | None) -> Argument:
    return None if config is None else _argument(config)


def _argument(item: Item) -> Argument:
    if isinstance(item, Map):
        return {key: _argument(value) for key, value in item.entries}
    return [_argument(value) for value in item.items] if isinstance(item, Items) else item


def _to(target: Target) -> Argument:
    match target:
        case End():
            return target.value
        case Timestamp():
            return {"timestamp": target.at}
        case Relative():
            return {"relative": target.count}
        case Offsets():
            return {str(partition): offset for partition, offset in target.entries}
        case Parameter():
            return target


def _kind(statement: Command) -> str:
    """`StartAllStreams` is START ALL STREAMS."""
    return re.sub("(?!^)(?=[A-Z])", " ", type(statement).__name__).upper()


def _translation(kind: str, call: _Call, client: Mapping[str, Any]) -> Translation:
    arguments = bind(call.arguments, client)
    while arguments and arguments[last := next(reversed(arguments))] is None:
        del arguments[last]
    # A parameter that the clause names and the client forgot has to stay missing, so that the server says so.
    values = _Values({*client, *_named(arguments)})
    references = [
        values.reference(argument, DEFAULTS[argument] if value is None else value)
        for argument, value in arguments.items()
    ]
    # Not YIELD *: that comes in alphabetical order.
    columns = COLUMNS.get(call.procedure, ())
    result = f" YIELD {', '.join(columns)}" if columns else ""
    query = f"CALL {call.procedure}({', '.join(references)}){result}"
    return Translation(query, {**client, **values.ours}, columns, kind)


class _Values:
    """Our parameters, as they come to be."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self.ours: dict[str, Any] = {}

    def reference(self, name: str, value: Argument) -> str:
        """How a query refers to `value`: as a parameter, called `name` if that is free."""
        if isinstance(value, Parameter):
            return "$" + quoted(value.name)
        if isinstance(value, dict) and _named(value):
            # A map with a parameter of the client's inside can be put together by the server only.
            items = (f"{quoted(key)}: {self.reference(name, item)}" for key, item in value.items())
            return "{" + ", ".join(items) + "}"
        if isinstance(value, list) and _named(value):
            return "[" + ", ".join(self.reference(name, item) for item in value) + "]"
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        self.ours[free] = value
        return "$" + free


def _named(value: Argument) -> set[str]:
    """The names of the parameters in a value."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return {name for item in items for name in _named(item)}
    return {value.name} if isinstance(value, Parameter) else set()
