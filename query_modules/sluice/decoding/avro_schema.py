"""
Avro schemas as they are read by: references put in, and logical types under names of ours.

Whoever reads Avro takes a logical type that it does not know, or that does not fit its type, for the type itself. That
is how ours are told from those that a script may use fastavro for by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "sluice-"
"Begins the names of our logical types."

FIELD = "sluice_field"
"Attribute of a type: the field that has it, for errors."

PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "error", "enum", "fixed"})

LOGICAL: Mapping[str, tuple[str, ...]] = {
    "date": ("int",),
    "time-millis": ("int",),
    **dict.fromkeys(("time-micros", "time-nanos"), ("long",)),
    **{f"{zone}timestamp-{unit}": ("long",) for zone in ("", "local-") for unit in ("millis", "micros", "nanos")},
    "decimal": ("bytes", "fixed"),
    "uuid": ("fixed",),
    "duration": ("fixed",),
}
"Logical type -> the types that may have it; that of a text is the text."

SIZES = {"uuid": 16, "duration": 12}
"Bytes of a `fixed` that may have it."

Definitions = dict[str, tuple[dict[str, Any], str]]
"Full name -> what it names, and the namespace around that."


def renamed(schema: Any, others: list[Any], decimals: str) -> Any:
    """
    The schema, whole, with logical types of ours.

    Args:
        others: the schemas that it refers to; what is needed comes first.
        decimals: text or float.
    """
    definitions: Definitions = {}
    for other in others:
        definitions |= _definitions(other, "")
    return _Renaming(definitions, decimals).type(schema, "", "")


class _Renaming:
    """One schema's way through it."""

    def __init__(self, definitions: Definitions, decimals: str) -> None:
        self._definitions = definitions
        self._decimals = decimals
        self._defined: set[str] = set()

    def type(self, schema: Any, namespace: str, field: str) -> Any:
        """
        The same type.

        Args:
            namespace: around it.
            field: where it is.
        """
        if isinstance(schema, list):
            return [self.type(item, namespace, field) for item in schema]
        if isinstance(schema, str):
            return self._name(schema, namespace, field)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.type(kind, namespace, field)
        if kind in NAMED:
            return self._definition(schema, namespace, field)
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return {**schema, part: self.type(schema[part], namespace, f"{field}[]")}
        if kind in PRIMITIVE:
            return self._logical(schema, field)
        return self._name(kind, namespace, field)

    def _name(self, name: str, namespace: str, field: str) -> Any:
        if name in PRIMITIVE:
            return self._logical({"type": name}, field) if name == "bytes" else name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for one in (full, name):
            if one in self._definitions and one not in self._defined:
                definition, around = self._definitions[one]
                return self._definition(definition, around, field)
        return full if full in self._defined else name

    def _definition(self, schema: dict[str, Any], namespace: str, field: str) -> Any:
        full, inner = _full_name(schema, namespace)
        if full in self._defined:
            return full
        self._defined.add(full)
        made = {name: value for name, value in schema.items() if name != "namespace"}
        made["name"] = full
        if schema["type"] == "fixed":
            return self._logical(made, field)
        if "fields" in schema:
            made["fields"] = [
                {**one, "type": self.type(one["type"], inner, f"{field}.{one['name']}".lstrip("."))}
                for one in schema["fields"]
            ]
        return made

    def _logical(self, schema: dict[str, Any], field: str) -> dict[str, Any]:
        kind, logical = schema["type"], str(schema.get("logicalType"))
        made = {name: value for name, value in schema.items() if name != "logicalType"}
        fits = (
            logical in LOGICAL
            and kind in LOGICAL[logical]
            and schema.get("size") == SIZES.get(logical, schema.get("size"))
        )
        if fits and logical == "decimal":
            made["logicalType"] = f"{PREFIX}decimal-{self._decimals}"
        elif fits:
            made["logicalType"] = PREFIX + logical
        elif kind in ("bytes", "fixed"):
            made["logicalType"] = PREFIX + "bytes"
        return {**made, FIELD: field}


def _definitions(schema: Any, namespace: str) -> Definitions:
    return {full: (definition, around) for full, definition, around in _found(schema, namespace)}


def _found(schema: Any, namespace: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What a schema defines: full name, definition, and the namespace around it."""
    if isinstance(schema, list):
        for item in schema:
            yield from _found(item, namespace)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind in ("array", "map"):
            yield from _found(schema.get("items" if kind == "array" else "values"), namespace)
        elif isinstance(kind, str) and kind in NAMED:
            full, inner = _full_name(schema, namespace)
            yield full, schema, namespace
            for field in schema.get("fields", ()):
                yield from _found(field["type"], inner)
        elif not isinstance(kind, str):
            yield from _found(kind, namespace)


def _full_name(schema: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    """The full name of a definition, and the namespace within it."""
    name = str(schema["name"])
    if "." in name:
        return name, name.rpartition(".")[0]
    inner = str(schema.get("namespace", namespace) or "")
    return (f"{inner}.{name}" if inner else name), inner
