"""
`sluice:patterns`: each message is a vertex or a relationship, as a pattern of Neo4j's connector says.

    pattern                        a pattern, or a list of them
    merge_node_properties          true: what a message does not name stays. Otherwise a vertex has what the message says
    merge_relationship_properties  the same for relationships
    on_null                        delete: a tombstone deletes what the message's key names. ignore: it is passed over
    format, key_format             as for `sluice:cypher`; the key is JSON if nothing is said

The vertices of a relationship's pattern keep the properties that it does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sluice.ready.formats import Decoder, key_decoder, value_decoder
from sluice.ready.identifiers import labelled, property_map, quoted
from sluice.ready.keys import check_key
from sluice.ready.message import HEADERS, KEY, VALUE, Context, contexts, read_present
from sluice.ready.options import OptionReader
from sluice.ready.pattern_parser import TIMESTAMP, EdgePattern, NodePattern, Selection, Selector, parse_pattern
from sluice.values.record import Record

Query = tuple[str, dict[str, Any]]

DELETE, IGNORE = "delete", "ignore"


def configured(given: Mapping[str, Any]) -> dict[str, Callable[[list[Any]], list[Query]]]:
    """The transform that these options mean: the name of its function, and the function. Raises ValueError."""
    options = OptionReader(given)
    patterns = [parse_pattern(text) for text in options.texts("pattern")]
    replaces_node = not options.flag("merge_node_properties", False)
    replaces_edge = not options.flag("merge_relationship_properties", False)
    deletes = options.choice("on_null", (DELETE, IGNORE), DELETE) == DELETE
    read, many = value_decoder(options)
    keys = key_decoder(options, "json")
    options.done()
    writers = [
        NodeWriter(one, replaces_node) if isinstance(one, NodePattern) else EdgeWriter(one, replaces_edge)
        for one in patterns
    ]
    transform = PatternTransform(writers, read, keys, many=many, deletes=deletes)
    return {"stream_messages": transform.of_messages}


class Fields:
    """What a message has, nested fields by their paths: `address.city`."""

    def __init__(self, parts: Context) -> None:
        """
        Args:
            parts: its value, or None if it is a tombstone; its key, headers and timestamp.

        Raises:
            ValueError: the value is not an object.
        """
        value = parts[VALUE]
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"its value is not an object of fields and values, but {type(value).__name__}")
        self.is_tombstone = value is None
        self._key = parts[KEY]
        self._timestamp = parts[TIMESTAMP]
        self._flat = {VALUE: flattened(value), KEY: flattened(parts[KEY]), HEADERS: flattened(parts[HEADERS])}
        self._used: set[str] = set()

    def keys(self, selection: Selection) -> dict[str, Any]:
        """The values that something is looked for by. Raises ValueError if one is missing or null."""
        return {one.name: check_key(one.name, self._key_value(one, selection)) for one in selection.keys}

    def properties(self, selection: Selection) -> dict[str, Any]:
        """The other properties; those that the message does not have are left out."""
        found: dict[str, Any] = {}
        if selection.everything:
            found = {name: value for name, value in self._flat[VALUE].items() if name not in self._used}
            for name in selection.excluded:
                found = {one: value for one, value in found.items() if one != name and not one.startswith(f"{name}.")}
        for one in selection.included:
            found |= self._included(one)
        return found

    def _key_value(self, one: Selector, selection: Selection) -> Any:
        if one.origin == TIMESTAMP:
            return self._timestamp
        path = ".".join(one.path)
        origins = (one.origin,) if one.origin else (VALUE, KEY)
        if self.is_tombstone:
            origins = tuple(KEY if origin == VALUE else origin for origin in origins)
        for origin in origins:
            if path in self._flat[origin]:
                if origin == VALUE:
                    self._used.add(path)
                return self._flat[origin][path]
        is_plain = KEY in origins and not isinstance(self._key, dict) and len(selection.keys) == 1
        return self._key if is_plain else None

    def _included(self, one: Selector) -> dict[str, Any]:
        if one.origin == TIMESTAMP:
            return {one.name: self._timestamp}
        path, fields = ".".join(one.path), self._flat[one.origin or VALUE]
        found = [name for name in fields if name == path or name.startswith(f"{path}.")]
        if (one.origin or VALUE) == VALUE:
            self._used.update(found)
        return {one.name + name[len(path) :]: fields[name] for name in found}


def flattened(source: Any) -> dict[str, Any]:
    """The fields of an object by their paths; none of what is not an object."""
    if not isinstance(source, dict):
        return {}
    if dict not in set(map(type, source.values())):
        return source
    found = {}
    for name, value in source.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": item for inner, item in flattened(value).items()}
        else:
            found[name] = value
    return found


class NodeWriter:
    """The queries of a vertex's pattern."""

    def __init__(self, pattern: NodePattern, replaces: bool) -> None:
        self._selection = pattern.selection
        self._replaces = replaces
        found = _vertex("n", pattern, "keys")
        self._upsert = f"MERGE {found} SET n {'=' if replaces else '+='} $properties"
        self._delete = f"MATCH {found} DETACH DELETE n"

    def query(self, fields: Fields) -> Query:
        """The query for a message. Raises ValueError."""
        keys = fields.keys(self._selection)
        if fields.is_tombstone:
            return self._delete, {"keys": keys}
        properties = fields.properties(self._selection)
        return self._upsert, {"keys": keys, "properties": {**keys, **properties} if self._replaces else properties}


class EdgeWriter:
    """The queries of a relationship's pattern."""

    def __init__(self, pattern: EdgePattern, replaces: bool) -> None:
        self._pattern = pattern
        self._replaces = replaces
        start, end = _vertex("a", pattern.start, "start"), _vertex("b", pattern.end, "end")
        edge = f"-[r:{quoted(pattern.type, 'a type')}{_keys(pattern.selection, 'keys')}]->"
        self._upsert = (
            f"MERGE {start}{_extended('a', pattern.start, 'start')} MERGE {end}{_extended('b', pattern.end, 'end')} "
            f"MERGE (a){edge}(b) SET r {'=' if replaces else '+='} $properties"
        )
        self._delete = f"MATCH {start}{edge}{end} DELETE r"

    def query(self, fields: Fields) -> Query:
        """The query for a message. Raises ValueError."""
        start, end, selection = self._pattern.start.selection, self._pattern.end.selection, self._pattern.selection
        parameters: dict[str, Any] = {"start": fields.keys(start), "end": fields.keys(end)}
        keys = fields.keys(selection)
        if keys:
            parameters["keys"] = keys
        if fields.is_tombstone:
            return self._delete, parameters
        for name, one in (("start", start), ("end", end)):
            if one.included:
                parameters[f"{name}_properties"] = fields.properties(one)
        properties = fields.properties(selection)
        parameters["properties"] = {**keys, **properties} if self._replaces else properties
        return self._upsert, parameters


class PatternTransform:
    """Queries for messages. Its function raises ValueError at a message that cannot be applied."""

    def __init__(
        self, writers: list[NodeWriter | EdgeWriter], read: Decoder, keys: Decoder, *, many: bool, deletes: bool
    ) -> None:
        self._writers = writers
        self._read = read
        self._keys = keys
        self._many = many
        self._deletes = deletes

    def of_messages(self, batch: list[Record]) -> list[Query]:
        """The queries for messages."""
        values = read_present([record.value for record in batch], self._read, "its value")
        found = zip(values, contexts(batch, (KEY, HEADERS, TIMESTAMP), self._keys), strict=True)
        return [
            writer.query(Fields({**context, VALUE: row}))
            for value, context in found
            for row in self._rows(value)
            for writer in self._writers
        ]

    def _rows(self, value: Any) -> Iterable[Any]:
        if value is None:
            return [None] if self._deletes else []
        return value if self._many else [value]


def _vertex(variable: str, pattern: NodePattern, parameter: str) -> str:
    return f"({variable}{labelled(pattern.labels)}{_keys(pattern.selection, parameter)})"


def _keys(selection: Selection, parameter: str) -> str:
    names = [one.name for one in selection.keys]
    return property_map(names, [f"${parameter}.{quoted(name, 'a property')}" for name in names])


def _extended(variable: str, pattern: NodePattern, parameter: str) -> str:
    return f" SET {variable} += ${parameter}_properties" if pattern.selection.included else ""
