"""Functions for Avro schemas: what they read, fastavro reads the same; what is broken, they do not take."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.decoding.avro_code import compiled

TREE: dict[str, Any] = {
    "type": "record",
    "name": "Tree",
    "fields": [
        {"name": "value", "type": "long"},
        {"name": "parts", "type": {"type": "array", "items": ["null", "Tree"]}},
    ],
}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}
PAIR = {"type": "fixed", "name": "Pair", "size": 2}

INTS, LONGS = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32, allow_nan=False)
TREES = st.recursive(
    st.fixed_dictionaries({"value": LONGS, "parts": st.just([])}),
    lambda inner: st.fixed_dictionaries({"value": LONGS, "parts": st.lists(st.none() | inner, max_size=3)}),
    max_leaves=8,
)
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("null", st.none()),
    ("boolean", st.booleans()),
    ("int", INTS),
    ("long", LONGS),
    ("float", FLOATS),
    ("double", st.floats(allow_nan=False)),
    ("bytes", st.binary(max_size=200)),
    ("string", st.text(max_size=100)),
    (["null", "string", "long"], st.none() | st.text() | LONGS),
    ({"type": "array", "items": "string"}, st.lists(st.text(), max_size=4)),
    ({"type": "map", "values": ["null", "double"]}, st.dictionaries(st.text(), st.none() | st.just(0.5), max_size=4)),
    (TREE, TREES),
]
LOGICAL = {"type": "long", "logicalType": "doubled"}

schemas = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)


def parsed(kinds: list[Any]) -> Any:
    """A record with a field of each type; a name is defined where it is met first."""
    fields: list[dict[str, Any]] = []
    for place, kind in enumerate(kinds):
        is_known = isinstance(kind, dict) and "name" in kind and kind in kinds[:place]
        fields.append({"name": f"f{place} '\\", "type": kind["name"] if is_known else kind})
    return fastavro.parse_schema({"type": "record", "name": "R", "fields": fields})


def written(schema: Any, value: Any) -> bytes:
    data = io.BytesIO()
    fastavro.schemaless_writer(data, schema, value)
    return data.getvalue()


def read(schema: Any, *values: bytes, start: int = 0, conversions: Mapping[str, Any] | None = None) -> list[Any]:
    """What the function for a schema makes of values that begin there."""
    found: list[Any] = []
    compiled(schema, conversions or {})(values, start, found)
    return found


def by_fastavro(schema: Any, data: bytes) -> Any:
    """What fastavro reads if that is all of the data; else None."""
    body = io.BytesIO(data)
    try:
        found = fastavro.schemaless_reader(body, schema, None)
    except Exception:
        return None
    return None if body.read() else found


@given(st.data(), schemas)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_read_is_what_fastavro_reads(data, chosen):
    schema = parsed([kind for kind, _ in chosen])
    value = {field["name"]: data.draw(values) for field, (_, values) in zip(schema["fields"], chosen, strict=True)}
    body = written(schema, value)
    assert read(schema, b"before" + body, b"before" + body, start=6) == [by_fastavro(schema, body)] * 2


@given(st.data(), schemas)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_broken_data_is_not_read_as_anything_else(data, chosen):
    schema = parsed([kind for kind, _ in chosen])
    value = {field["name"]: data.draw(values) for field, (_, values) in zip(schema["fields"], chosen, strict=True)}
    body = bytearray(written(schema, value))
    for _ in range(data.draw(st.integers(0, 3)) if body else 0):
        # Not with the highest bit: it may make a list so long that fastavro, too, would fill the memory.
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 127))
    broken = bytes(body[: data.draw(st.integers(0, len(body)))])
    try:
        found = read(schema, broken)
    except (LookupError, ValueError, struct.error):
        return
    assert not found or repr(found) == repr([by_fastavro(schema, broken)])


@pytest.mark.parametrize(
    ("kinds", "value"),
    [
        ([COLOUR, COLOUR], "GREEN"),
        ([PAIR, ["null", "Pair"]], b"ab"),
        ([[COLOUR, PAIR, "null"], "Pair"], b"ab"),
        ([{"type": "array", "items": {"type": "map", "values": PAIR}}], [{"a": b"ab"}, {}]),
        ([{"type": "record", "name": "Empty", "fields": []}, "Empty"], {}),
    ],
    ids=str,
)
def test_named_types_and_types_within_types(kinds, value):
    schema = parsed(kinds)
    record = {field["name"]: value for field in schema["fields"]}
    body = written(schema, record)
    assert read(schema, body, body) == [record, record]


def test_what_is_no_record_is_read_as_well():
    assert read("string", b"\4ab", b"\2c") == ["ab", "c"]


@pytest.mark.parametrize(("kind", "data"), [(LOGICAL, b"\6"), (["null", LOGICAL], b"\2\6")], ids=str)
def test_logical_types_are_converted(kind, data):
    [found] = read(parsed([kind]), data, conversions={"long-doubled": lambda value, _schema: 2 * value})
    assert list(found.values()) == [6]


def test_it_ends_at_what_does_not_end_where_its_data_does():
    assert read("string", b"\4ab", b"\4abc", b"\2c") == ["ab"]
    assert read("string", b"\4ab", b"\4a", b"\2c") == ["ab"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("long", b"\xff" * 9 + b"\2"),
        ("long", b"\xff" * 10 + b"\1"),
        ("string", b"\1a"),
        ("bytes", b"\x81\0"),
        (["null", "long"], b"\4\0"),
        (["null", "long"], b"\1\0"),
        (COLOUR, b"\4"),
        (COLOUR, b"\1"),
        ({"type": "array", "items": "long"}, b"\4\0"),
    ],
    ids=str,
)
def test_numbers_too_large_and_lengths_and_places_that_are_none_are_refused(kind, data):
    with pytest.raises((ValueError, LookupError)):
        read(parsed([kind]), data)


def test_blocks_may_say_how_long_they_are():
    schema = parsed([{"type": "array", "items": "long"}])
    [found] = read(schema, b"\3\4\2\4\2\6\0")
    assert list(found.values()) == [[1, 2, 3]]
