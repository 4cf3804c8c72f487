"""
`sluice:cud`: messages that say themselves what to create, merge, update or delete, as Neo4j's connector defines them.

    {"type": "node", "op": "merge", "labels": ["Person"], "ids": {"id": 7}, "properties": {"name": "Ada"}}
    {"type": "relationship", "op": "create", "rel_type": "KNOWS", "from": {...}, "to": {...}, "properties": {...}}

It has no options but `format`. Tombstones are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sluice.decoding.formats import decoder_of
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage
from sluice.ready.identifiers import field, labelled, looked_for, quoted
from sluice.ready.keys import check_key

Query = tuple[str, dict[str, Any]]

OPERATIONS = ("create", "merge", "update", "delete")

INTERNAL = ("_id", "_elementId")
"Names in `ids` of the host's own id."


class CudVertex(NamedTuple):
    """How a vertex is looked for, as far as its query's text says so."""

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    "Names of properties, or one of INTERNAL."
    merges: bool = False

    @property
    def is_internal(self) -> bool:
        """Whether it is looked for by the host's own id."""
        return bool(self.ids) and self.ids[0] in INTERNAL


class Shape(NamedTuple):
    """All of a message that is in the text of its query."""

    op: str
    ends: tuple[CudVertex, ...]
    "The vertex; or both ends of a relationship."
    rel_type: str = ""
    ids: tuple[str, ...] = ()
    "Of a relationship."
    detach: bool = False


JSON = decoder_of(OptionReader({}))
"What reads events."


def configured(given: Mapping[str, Any]) -> dict[str, Callable[[list[Any]], list[Query]]]:
    """The transform that these options mean: the name of its function, and the function. Raises WrongOption."""
    options = OptionReader(given)
    options.choice("format", ("json",), "json")
    options.done()
    return {"stream": stream}


def stream(batch: list[bytes | None]) -> list[Query]:
    """The queries for the values of messages. Raises WrongMessage at a message that is not of this form."""
    return [query_of(event) for event in JSON.values(batch) if event is not None]


def query_of(event: Any) -> Query:
    """The query of one event. Raises WrongMessage."""
    if not isinstance(event, dict):
        raise WrongMessage(f"a CUD event must be an object, got {event!r:.80}")
    op = _word(event, "op", OPERATIONS)
    if _word(event, "type", ("node", "relationship")) == "node":
        return _node(event, op)
    return _relationship(event, op)


def _node(event: Mapping[str, Any], op: str) -> Query:
    detach = event.get("detach", False)
    if not isinstance(detach, bool):
        raise WrongMessage(f"detach must be true or false, got {detach!r}")
    if op == "create":
        shape = Shape(op, (CudVertex(_labels(event), ()),))
        return text_of_node(shape), {"properties": _properties(event)}
    ids = _ids(event, "ids")
    shape = Shape(op, (_end(event, ids, merges=op == "merge"),), detach=detach)
    if op == "delete":
        return text_of_node(shape), {"ids": ids}
    return text_of_node(shape), {"ids": ids, "properties": _properties(event)}


def _relationship(event: Mapping[str, Any], op: str) -> Query:
    parameters: dict[str, Any] = {}
    ends = []
    for name in ("from", "to"):
        end = event.get(name)
        if not isinstance(end, dict):
            raise WrongMessage(f"a relationship's event must say its vertex {name!r}, got {end!r}")
        how = _word({"op": "match", **end}, "op", ("match", "merge"), f" of {name}")
        parameters[name] = _ids(end, f"the ids of {name}")
        ends.append(_end(end, parameters[name], merges=how == "merge"))
    ids = _ids(event, "ids") if event.get("ids") and op != "create" else {}
    if ids:
        parameters["ids"] = ids
    if op != "delete":
        parameters["properties"] = _properties(event)
    rel_type = event.get("rel_type")
    quoted(rel_type, "rel_type")
    return text_of_relationship(Shape(op, tuple(ends), str(rel_type), tuple(ids))), parameters


@lru_cache(maxsize=4096)
def text_of_node(shape: Shape) -> str:
    """The query for vertices of a shape."""
    [end] = shape.ends
    if shape.op == "create":
        return f"CREATE (n{labelled(end.labels)}) SET n = $properties"
    if shape.op == "delete":
        return f"{_clause('n', end, 'ids')} {'DETACH DELETE' if shape.detach else 'DELETE'} n"
    return f"{_clause('n', end, 'ids')} SET n += $properties"


@lru_cache(maxsize=4096)
def text_of_relationship(shape: Shape) -> str:
    """The query for relationships of a shape: its first vertex, its second, and what is done to the relationship."""
    start, end = shape.ends
    edge = f"-[r:{quoted(shape.rel_type, 'rel_type')}{looked_for(shape.ids, 'ids')}]->"
    verb, change = CHANGES[shape.op]
    if verb == "MATCH" and not any(one.merges or one.is_internal for one in shape.ends):
        return f"MATCH {_pattern('a', start, 'from')}{edge}{_pattern('b', end, 'to')} {change}"
    clauses = [_clause("a", start, "from"), _clause("b", end, "to"), f"{verb} (a){edge}(b) {change}"]
    text = clauses[0]
    for before, after, known in zip(clauses, clauses[1:], ("a", "a, b"), strict=False):
        # Cypher wants a WITH between a clause that writes and a MATCH.
        text += f" WITH {known} {after}" if before.startswith("MERGE") and after.startswith("MATCH") else f" {after}"
    return text


CHANGES = {
    "create": ("CREATE", "SET r = $properties"),
    "merge": ("MERGE", "SET r += $properties"),
    "update": ("MATCH", "SET r += $properties"),
    "delete": ("MATCH", "DELETE r"),
}


def _clause(variable: str, end: CudVertex, parameter: str) -> str:
    """MATCH or MERGE of one vertex. By the host's own id nothing is created."""
    where = f" WHERE id({variable}) = {field(parameter, end.ids[0])}" if end.is_internal else ""
    return f"{'MERGE' if end.merges else 'MATCH'} {_pattern(variable, end, parameter)}{where}"


def _pattern(variable: str, end: CudVertex, parameter: str) -> str:
    names = () if end.is_internal else end.ids
    return f"({variable}{labelled(end.labels)}{looked_for(names, parameter)})"


def _end(event: Mapping[str, Any], ids: Mapping[str, Any], *, merges: bool) -> CudVertex:
    end = CudVertex(_labels(event), tuple(ids), merges)
    return end._replace(merges=False) if end.is_internal else end


def _ids(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    ids = event.get("ids")
    if not isinstance(ids, dict) or not ids:
        raise WrongMessage(f"{name} must be a map of properties and values that is not empty, got {ids!r:.80}")
    internal = set(ids) & set(INTERNAL)
    if internal and len(ids) > 1:
        raise WrongMessage(f"{name} must have {internal.pop()} alone, or not at all")
    if not internal:
        return {key: check_key(key, value) for key, value in ids.items()}
    [(key, value)] = ids.items()
    if isinstance(value, bool) or not str(value).isdecimal():
        raise WrongMessage(f"{name}: {key} must be the number of a vertex of this graph, got {value!r:.80}")
    return {key: int(value)}


def _labels(event: Mapping[str, Any]) -> tuple[str, ...]:
    labels = event.get("labels") or []
    if not isinstance(labels, list):
        raise WrongMessage(f"labels must be a list of texts, got {labels!r:.80}")
    labelled(labels)
    return tuple(labels)


def _properties(event: Mapping[str, Any]) -> dict[str, Any]:
    properties = event.get("properties") or {}
    if not isinstance(properties, dict):
        raise WrongMessage(f"properties must be a map, got {properties!r:.80}")
    return properties


def _word(event: Mapping[str, Any], name: str, allowed: Sequence[str], of: str = "") -> str:
    found = event.get(name)
    word = found.lower() if isinstance(found, str) else ""
    if word not in allowed:
        raise WrongMessage(f"{name}{of} must be one of {', '.join(allowed)}, got {found!r:.80}")
    return word
