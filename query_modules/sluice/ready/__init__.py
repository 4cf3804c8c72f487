"""
Ready transforms: what `WITH TRANSFORM 'sluice:NAME'` means. Their code is a part of this package; a stream only gives
them options.

    cypher            queries of the options for each message      (template, merge_keys)
    patterns          patterns of Neo4j's connector                (pattern_parser)
    cud               events that say themselves what to do, as that connector has them
    debezium          rows of tables, from Debezium's change events
                                     (debezium_events, _payloads, _tables, _values, _queries)
    vertices          json and csv: a vertex for each object or row
      message         what of a message can be used, by name
      keys            values that something is found again by
      identifiers     names in backticks

`decoding` reads what messages hold, and the options.

A module of a ready transform has a function `configured(options)`. It returns the functions that a script would define,
`stream` or `stream_messages`, by their names, and raises WrongOption if the options are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from sluice.values.same_query import Queries

SCHEME = "sluice"
"Of their URIs: `sluice:json`."

MODULES = {
    **{name: name for name in ("cypher", "patterns", "cud", "debezium")},
    **dict.fromkeys(("json", "csv"), "vertices"),
}
"Name -> the module here that it is in."

Functions = dict[str, Callable[[list[Any]], Queries]]


def configure(name: str, namespace: dict[str, Any], options: Mapping[str, Any]) -> None:
    """
    Defines the functions of a ready transform among the names of its script, which hands itself on to this.

    Raises:
        WrongMessage: as `configured`.
    """
    namespace.update(configured(name, options))


def configured(name: str, options: Mapping[str, Any]) -> Functions:
    """
    The functions of a ready transform, by the names that a script has for them.

    Raises:
        WrongMessage: the options are wrong; the text is one line that says why.
    """
    module = import_module(f"{__name__}.{MODULES[name]}")
    functions: Functions = (
        module.configured(options, name) if MODULES[name] == "vertices" else module.configured(options)
    )
    return functions
