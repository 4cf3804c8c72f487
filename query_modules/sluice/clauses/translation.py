"""
Text into the CALL that does what it asks for.

Values travel as parameters, never as text. A value that the client gave as a parameter stays the client's parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sluice.clauses import statements
from sluice.clauses.binding import Argument, bind
from sluice.clauses.parser import Beginning, recognise
from sluice.clauses.printer import keywords, quoted
from sluice.clauses.values import End, Item, Items, Map, Offsets, OffsetsByTopic, Parameter, Relative, Scalar, Timestamp

DEFAULTS: Mapping[str, Scalar] = {"batch_interval": 100, "batch_size": 10, "config": None}
"The procedures'. Written out only where an argument that comes after is given."

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "streams.reload_transform": ("old_sha256", "new_sha256", "tried"),
    "streams.seek": ("partition", "from", "to", "messages", "effect", "topic"),
    "streams.show": ("name", "uri", "topic", "transform", "status"),
    "streams.show_create": ("statement",),
    "streams.test": ("query", "params"),
}
"Those of the procedures that have any, in the order in which a clause's result has them."

PLAN_COLUMNS: Mapping[statements.Explanation, tuple[str, ...]] = {
    statements.Explanation.EXPLAIN: ("QUERY PLAN",),
    statements.Explanation.PROFILE: ("OPERATOR", "ACTUAL HITS", "RELATIVE TIME", "ABSOLUTE TIME"),
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


# `stop` is reserved up to Memgraph 2.15 and needs its backticks. The other names do not, in any version.
PROCEDURES: Mapping[type[statements.Command], str] = {
    statements.AlterStream: "streams.alter",
    statements.CreateStream: "streams.create",
    statements.DropStream: "streams.drop",
    statements.ReloadTransform: "streams.reload_transform",
    statements.SeekStream: "streams.seek",
    statements.ShowCreateStream: "streams.show_create",
    statements.ShowStreams: "streams.show",
    statements.StartAllStreams: "streams.start_all",
    statements.StartStream: "streams.start",
    statements.StopAllStreams: "streams.stop_all",
    statements.StopStream: "streams.`stop`",
    statements.TestStream: "streams.test",
}


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
    if not isinstance(statement, statements.Explain):
        return _translation(statement, parameters)
    plan, call = statement.plan, _translation(statement.statement, parameters)
    columns, kind = PLAN_COLUMNS[plan], f"{plan.name} {call.kind}"
    return Translation(f"{plan.name} {call.query}", call.parameters, columns, kind)


def _arguments(statement: statements.Command) -> dict[str, Argument]:
    """
    Argument -> its value, in the procedure's order, which is that of the statement's fields. None at the end is left to
    the procedure's default.
    """
    given = {item.name.removesuffix("_ms"): _argument(getattr(statement, item.name)) for item in fields(statement)}
    if not isinstance(statement, statements.AlterStream):
        return given
    return {"name": given.pop("name"), "changes": {key: value for key, value in given.items() if value is not None}}


def _argument(value: Any) -> Argument:
    match value:
        case bool():
            return value or None
        case statements.Existing():
            return None if value is statements.Existing.REFUSE else value.value
        case Map():
            return _plain(value)
        case End():
            return value.value
        case Timestamp():
            return {"timestamp": value.at}
        case Relative():
            return {"relative": value.count}
        case Offsets():
            return {str(partition): offset for partition, offset in value.entries}
        case OffsetsByTopic():
            return {topic: _argument(offsets) for topic, offsets in value.entries}
    argument: Argument = value
    return argument


def _plain(item: Item) -> Argument:
    if isinstance(item, Map):
        return {key: _plain(value) for key, value in item.entries}
    return [_plain(value) for value in item.items] if isinstance(item, Items) else item


def _translation(statement: statements.Command, client: Mapping[str, Any]) -> Translation:
    procedure = PROCEDURES[type(statement)]
    arguments = bind(_arguments(statement), client)
    while arguments and arguments[last := next(reversed(arguments))] is None:
        del arguments[last]
    # A parameter that the clause names and the client forgot has to stay missing, so that the server says so.
    values = _Values({*client, *_named(arguments)})
    references = [
        values.reference(argument, DEFAULTS[argument] if value is None else value)
        for argument, value in arguments.items()
    ]
    # Not YIELD *: that comes in alphabetical order.
    columns = COLUMNS.get(procedure, ())
    result = f" YIELD {', '.join(columns)}" if columns else ""
    query = f"CALL {procedure}({', '.join(references)}){result}"
    return Translation(query, {**client, **values.ours}, columns, keywords(statement))


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
