"""
`sluice:patterns`: each message is a vertex or a relationship, as a pattern of Neo4j's connector says.

    pattern                        a pattern, or a list of them
    merge_node_properties          true: what a message does not name stays. Otherwise a vertex has what it says
    merge_relationship_properties  the same for relationships
    on_null                        delete: a tombstone deletes what the message's key names. ignore: it is passed over
    format, key_format             as for `sluice:cypher`; the key is JSON if nothing is said

The vertices of a relationship's pattern keep the properties that it does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sluice.decoding.decoder import Decoder
from sluice.decoding.formats import decoder_of
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.texts import kind_of
from sluice.ready.identifiers import labelled, looked_for, quoted
from sluice.ready.keys import check_key
from sluice.ready.message import HEADERS, KEY, VALUE, headers_as_map
from sluice.ready.pattern_parser import TIMESTAMP, EdgePattern, NodePattern, Selection, Selector, parse_pattern
from sluice.values.record import Record

Query = tuple[str, dict[str, Any]]

DELETE, IGNORE = "delete", "ignore"


def configured(given: Mapping[str, Any]) -> dict[str, Callable[[list[Any]], list[Query]]]:
    """The transform that these options mean: the name of its function, and the function. Raises WrongOption."""
    options = OptionReader(given)
    patterns = [parse_pattern(text) for text in options.texts("pattern")]
    replaces_node = not options.flag("merge_node_properties", False)
    replaces_edge = not options.flag("merge_relationship_properties", False)
    deletes = options.choice("on_null", (DELETE, IGNORE), DELETE) == DELETE
    decoder = decoder_of(options, key_default="json")
    options.done()
    writers = [
        NodeWriter(one, replaces_node) if isinstance(one, NodePattern) else EdgeWriter(one, replaces_edge)
        for one in patterns
    ]
    transform = PatternTransform(writers, decoder, deletes=deletes)
    return {"stream_messages": transform.of_messages}


class Fields:
    """What a message has, nested fields by their paths: `address.city`. Its key is read only if it is needed."""

    def __init__(self, record: Record, value: Any, decoder: Decoder) -> None:
        """
        Args:
            value: what its value holds; None if it is a tombstone.

        Raises:
            WrongMessage: the value is not an object.
        """
        if value is not None and not isinstance(value, dict):
            raise WrongMessage(f"its value is not an object of fields and values, but {kind_of(value)}")
        self.is_tombstone = value is None
        self.value = flattened(value)
        self.used: set[str] = set()
        "The paths in the value that keys and named properties have taken."
        self._record = record
        self._decoder = decoder
        self._key: Any = None

    def keys(self, selection: Selection) -> dict[str, Any]:
        """The values that something is looked for by. Raises WrongMessage if one is missing or null."""
        found = {}
        for name, origin, path in selection.keys:
            if origin in ("", VALUE) and path in self.value:
                self.used.add(path)
                found[name] = check_key(name, self.value[path])
            else:
                found[name] = check_key(name, self._other_key(origin, path, is_single=len(selection.keys) == 1))
        return found

    def properties(self, selection: Selection) -> dict[str, Any]:
        """The other properties; those that the message does not have are left out."""
        found: dict[str, Any] = {}
        if selection.everything:
            found = {name: value for name, value in self.value.items() if name not in self.used}
            for name in selection.excluded:
                found = {one: value for one, value in found.items() if one != name and not one.startswith(f"{name}.")}
        for one in selection.included:
            found |= self._included(one)
        return found

    def _other_key(self, origin: str, path: str, *, is_single: bool) -> Any:
        """A key that the value does not have. A message's key that is not an object is itself the only key."""
        if origin == VALUE and not self.is_tombstone:
            return None
        fields = self._of(KEY if origin in ("", VALUE) else origin)
        if path not in fields and is_single and origin in ("", VALUE) and not isinstance(self._key, dict):
            return self._key
        return fields.get(path)

    def _included(self, one: Selector) -> dict[str, Any]:
        fields = self._of(one.origin or VALUE)
        found = [one.path] if one.path in fields else [name for name in fields if name.startswith(f"{one.path}.")]
        if fields is self.value:
            self.used.update(found)
        return {one.name + name[len(one.path) :]: fields[name] for name in found}

    def _of(self, origin: str) -> dict[str, Any]:
        if origin == VALUE:
            return self.value
        if origin == HEADERS:
            return dict(headers_as_map(self._record))
        if origin == TIMESTAMP:
            return {"": self._record.timestamp}
        self._key = self._decoder.key(self._record)
        return flattened(self._key)


def flattened(source: Any) -> dict[str, Any]:
    """The fields of an object by their paths; none of what is not an object."""
    if not isinstance(source, dict):
        return {}
    if dict not in set(map(type, source.values())):
        return source
    found: dict[str, Any] = {}
    for name, value in source.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": item for inner, item in flattened(value).items()}
        else:
            found[name] = value
    return found


class NodeWriter:
    """The queries of a vertex's pattern."""

    def __init__(self, pattern: NodePattern, replaces: bool) -> None:
        self._selection = selection = pattern.selection
        self._replaces = replaces
        is_renamed = any(one.origin not in ("", VALUE) or one.name != one.path for one in selection.keys)
        self._is_whole = (
            replaces and selection.everything and not (selection.included or selection.excluded or is_renamed)
        )
        "Whether a vertex has the value's fields just as they are."
        found = _vertex("n", pattern, "keys")
        self._upsert = f"MERGE {found} SET n {'=' if replaces else '+='} $properties"
        self._delete = f"MATCH {found} DETACH DELETE n"

    def query(self, fields: Fields) -> Query:
        """The query for a message. Raises WrongMessage."""
        keys = fields.keys(self._selection)
        if fields.is_tombstone:
            return self._delete, {"keys": keys}
        if self._is_whole and len(fields.used) == len(keys):
            return self._upsert, {"keys": keys, "properties": fields.value}
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
        """The query for a message. Raises WrongMessage."""
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
    """Queries for messages. Its function raises WrongMessage at a message that cannot be applied."""

    def __init__(self, writers: list[NodeWriter | EdgeWriter], decoder: Decoder, *, deletes: bool) -> None:
        self._writers = writers
        self._decoder = decoder
        self._deletes = deletes

    def of_messages(self, batch: list[Record]) -> list[Query]:
        """The queries for messages."""
        values = self._decoder.values(batch)
        return [
            writer.query(Fields(record, row, self._decoder))
            for record, value in zip(batch, values, strict=True)
            for row in self._rows(value)
            for writer in self._writers
        ]

    def _rows(self, value: Any) -> Iterable[Any]:
        if value is None:
            return [None] if self._deletes else []
        return value if self._decoder.many else [value]


def _vertex(variable: str, pattern: NodePattern, parameter: str) -> str:
    return f"({variable}{labelled(pattern.labels)}{_keys(pattern.selection, parameter)})"


def _keys(selection: Selection, parameter: str) -> str:
    return looked_for([one.name for one in selection.keys], parameter)


def _extended(variable: str, pattern: NodePattern, parameter: str) -> str:
    return f" SET {variable} += ${parameter}_properties" if pattern.selection.included else ""
