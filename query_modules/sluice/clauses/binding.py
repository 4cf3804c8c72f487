"""
The values of a clause's parameters, checked against what may stand in their places.

A wrong one is answered in the clause's words, before any procedure sees it. A whole float is the integer that it is:
plain numbers of JavaScript arrive as floats.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, Union

from sluice.clauses.values import Parameter, Scalar
from sluice.cypher.lexer import shown
from sluice.errors import SettingError

Argument: TypeAlias = Union[Scalar, Parameter, "dict[str, Argument]", "list[Argument]"]
"A procedure's: a value, or a map or list of them."

Check: TypeAlias = Callable[[Any], Any]
"The value itself, or what to send in its place; raises SettingError."

Rule: TypeAlias = Callable[[Argument, Mapping[str, Any]], Argument]
"The same for an argument that may be, or hold, parameters."

_MAX_FLOAT = 2.0**63
"Whole floats below it, of either sign, are integers of 64 bits."


def bind(arguments: Mapping[str, Argument], client: Mapping[str, Any]) -> dict[str, Argument]:
    """
    The arguments of a procedure, with parameters replaced where their values are to be sent differently.

    Args:
        client: the client's parameters, name -> value. One that is missing is left for the server to report.

    Raises:
        SettingError: a value is of a type that the clause has no use for.
    """
    return {
        name: _RULES[name](argument, client) if name in _RULES else argument for name, argument in arguments.items()
    }


def _rule(check: Check) -> Rule:
    """The rule for an argument that is a literal or a parameter."""

    def rule(argument: Argument, client: Mapping[str, Any]) -> Argument:
        if not isinstance(argument, Parameter) or argument.name not in client:
            return argument
        value = client[argument.name]
        fitting: Argument = check(value)
        return argument if fitting is value else fitting

    return rule


def _string(what: str) -> Rule:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise SettingError(f"{what} must be a string, got {_shown(value)}")
        return value

    return _rule(check)


def _integer(what: str, *, signed: bool = False) -> Rule:
    def check(value: Any) -> Any:
        number = _whole(value)
        if not isinstance(number, int) or isinstance(number, bool):
            raise SettingError(f"{what} must be an integer, got {_shown(value)}")
        if number < 0 and not signed:
            raise SettingError(f"{what} must be a positive integer, got {_shown(value)}")
        return number

    return _rule(check)


def _timestamp(value: Any) -> Any:
    number = _whole(value)
    if not isinstance(number, str | int) or isinstance(number, bool):
        forms = "ISO 8601 in a string, or milliseconds since 1970"
        raise SettingError(f"TIMESTAMP must be {forms}, got {_shown(value)}")
    return number


def _anywhere(value: Any) -> Any:
    """The whole target of a SEEK."""
    target = _whole(value)
    if not isinstance(target, str | int | dict) or isinstance(target, bool):
        raise SettingError(f"the target of SEEK must be a string, an integer or a map, got {_shown(value)}")
    return target


def _map(value: Any) -> Any:
    if value is None:
        return value
    if not isinstance(value, dict):
        # Not shown: a config may hold secrets.
        kind = "a string" if isinstance(value, str) else _shown(value)
        raise SettingError(f"CONFIG must be a map, got {kind}")
    return _whole(value)


def _whole(value: Any) -> Any:
    """The same with whole floats as integers, in maps and lists too; the value itself where there are none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_FLOAT:
        return int(value)
    if isinstance(value, dict):
        whole = {key: _whole(item) for key, item in value.items()}
        return value if all(whole[key] is item for key, item in value.items()) else whole
    if isinstance(value, list):
        items = [_whole(item) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    return value


def _config(argument: Argument, client: Mapping[str, Any]) -> Argument:
    return _items(argument, client) if isinstance(argument, dict) else _rule(_map)(argument, client)


def _items(argument: Argument, client: Mapping[str, Any]) -> Argument:
    if isinstance(argument, dict):
        return {key: _items(item, client) for key, item in argument.items()}
    if isinstance(argument, list):
        return [_items(item, client) for item in argument]
    return _rule(_whole)(argument, client)


def _target(argument: Argument, client: Mapping[str, Any]) -> Argument:
    if not isinstance(argument, dict):
        return _rule(_anywhere)(argument, client)
    rules = {"timestamp": _rule(_timestamp), "relative": _integer("RELATIVE", signed=True)}
    return {
        key: _target(item, client)
        if isinstance(item, dict)
        else rules.get(key, _integer(f"the offset of partition {key}"))(item, client)
        for key, item in argument.items()
    }


def _changes(argument: Argument, client: Mapping[str, Any]) -> Argument:
    # null puts a setting back to its default.
    assert isinstance(argument, dict)
    return {
        key: item if isinstance(item, Parameter) and client.get(item.name, 0) is None else _RULES[key](item, client)
        for key, item in argument.items()
    }


def _shown(value: Any) -> str:
    """A value as Cypher writes it, or its type in words."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if isinstance(value, int | float):
        return str(value)
    return "a map" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a value of another type"


_RULES: Mapping[str, Rule] = {
    "name": _string("the stream's name"),
    "uri": _string("KAFKA"),
    "topic": _string("TOPIC"),
    "transform": _string("TRANSFORM"),
    "batch_interval": _integer("BATCH_INTERVAL"),
    "batch_size": _integer("BATCH_SIZE"),
    "limit_batches": _integer("LIMIT"),
    "config": _config,
    "to": _target,
    "changes": _changes,
}
"A procedure's argument -> its rule."
