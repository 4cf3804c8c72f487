"""
Text into the CALL that does what it asks for.

Values travel as parameters, never as text. A value that the client gave as a parameter stays the client's parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sluice.clauses.parser import parse
from sluice.clauses.printer import quoted
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

DEFAULT_BATCH_INTERVAL_MS = 100
"The specification's. Written out only where BATCH_SIZE, the argument after it, is given without it."


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
    arguments: Mapping[str, Text | Count | None] = {}
    "Argument -> its value, in the procedure's order. None, and all that follows, is left to the procedure's default."
    columns: tuple[str, ...] = ()


def translate(text: str, parameters: Mapping[str, Any] | None = None) -> Translation | None:
    """
    The CALL that a stream clause stands for.

    Args:
        text: any query.
        parameters: the client's, name -> value; values are passed on and not looked at.

    Returns:
        None where `text` is not a stream clause and is to be sent as it is.

    Raises:
        ClauseError: it begins like a stream clause and goes on like none.
    """
    statement = parse(text)
    if statement is None:
        return None
    return _translation(_kind(statement), _call(statement), parameters or {})


def _call(statement: Statement) -> _Call:
    # STOP is reserved up to Memgraph 2.15 and needs its backticks. The other names do not, in any version.
    match statement:
        case CreateStream(name, uri, topic, transform, interval, size):
            if interval is None and size is not None:
                interval = DEFAULT_BATCH_INTERVAL_MS
            values = {"name": name, "uri": uri, "topic": topic, "transform": transform}
            return _Call("streams.create", {**values, "batch_interval": interval, "batch_size": size})
        case DropStream(name):
            return _Call("streams.drop", {"name": name})
        case ShowStreams():
            return _Call("streams.show", columns=("name", "uri", "topic", "transform", "status"))
        case StartStream(name, limit):
            return _Call("streams.start", {"name": name, "limit_batches": limit})
        case StopStream(name):
            return _Call("streams.`stop`", {"name": name})
        case StartAllStreams():
            return _Call("streams.start_all")
        case StopAllStreams():
            return _Call("streams.stop_all")
        case TestStream(name, limit):
            return _Call("streams.test", {"name": name, "limit_batches": limit}, columns=("query", "params"))


def _kind(statement: Statement) -> str:
    """`StartAllStreams` is START ALL STREAMS."""
    return re.sub("(?!^)(?=[A-Z])", " ", type(statement).__name__).upper()


def _translation(kind: str, call: _Call, client: Mapping[str, Any]) -> Translation:
    # A parameter that the clause names and the client forgot has to stay missing, so that the server says so.
    taken = {*client, *(value.name for value in call.arguments.values() if isinstance(value, Parameter))}
    ours: dict[str, str | int] = {}
    references = []
    for argument, value in call.arguments.items():
        if value is None:
            break
        if isinstance(value, Parameter):
            references.append("$" + quoted(value.name))
        else:
            name = _free(argument, taken)
            ours[name] = value
            references.append("$" + name)
    # Not YIELD *: that comes in alphabetical order.
    result = f" YIELD {', '.join(call.columns)}" if call.columns else ""
    query = f"CALL {call.procedure}({', '.join(references)}){result}"
    return Translation(query, {**client, **ours}, call.columns, kind)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or `name_2`, `name_3` ... where the client has that one."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
