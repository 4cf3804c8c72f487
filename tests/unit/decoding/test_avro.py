"""Avro in a registry's frame: logical types, evolution, references, and what is no such record."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from sluice import decoding
from sluice.decoding import plain
from tests.unit.decoding.registry_server import RegistryServer


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


def written(number: int, schema: Any, value: Any) -> bytes:
    """A value in its frame, written by a schema without logical types."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(_plain(schema)), value)
    return struct.pack(">bI", 0, number) + data.getvalue()


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _plain(item) for name, item in schema.items() if name != "logicalType"}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def one(kind: Any) -> dict[str, Any]:
    """A record with a field of that type."""
    return {"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "f", "type": kind}]}


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


FIXED = {"name": "F"}
NANOS = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (logical("bytes", "decimal", precision=12, scale=8), b"\0", "0.00000000"),
        (logical("bytes", "decimal", precision=12, scale=8), b"\1", "0.00000001"),
        (logical("bytes", "decimal", precision=12, scale=2), b"\xfb\x1e", "-12.50"),
        (logical("bytes", "decimal", precision=3), b"\x7f", "127"),
        (logical("fixed", "decimal", precision=12, scale=2, size=4, **FIXED), b"\0\0\4\xe2", "12.50"),
        (logical("fixed", "uuid", size=16, **FIXED), uuid.UUID(int=5).bytes, str(uuid.UUID(int=5))),
        (logical("string", "uuid"), "u", "u"),
        (logical("fixed", "duration", size=12, **FIXED), struct.pack("<III", 1, 2, 3004), "P1M2DT3.004S"),
        (logical("int", "date"), -1, "1969-12-31"),
        (logical("int", "time-millis"), 86_399_999, "23:59:59.999"),
        (logical("long", "time-micros"), 1, "00:00:00.000001"),
        (logical("long", "timestamp-millis"), NANOS // 10**6, "2023-11-14T22:13:20.123Z"),
        (logical("long", "timestamp-micros"), -1, "1969-12-31T23:59:59.999999Z"),
        (logical("long", "timestamp-nanos"), NANOS, "2023-11-14T22:13:20.123456789Z"),
        (logical("long", "local-timestamp-millis"), 0, "1970-01-01T00:00:00.000"),
        (logical("long", "local-timestamp-nanos"), NANOS, "2023-11-14T22:13:20.123456789"),
        (logical("string", "decimal"), "not one, then", "not one, then"),
        (logical("fixed", "uuid", size=2, **FIXED), b"\xff\0", "/wA="),
        ("bytes", b"\xff\0", "/wA="),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        (["null", {"type": "array", "items": logical("int", "date")}], [0], ["1970-01-01"]),
        ({"type": "map", "values": "bytes"}, {"a": b"\0"}, {"a": "AA=="}),
    ],
    ids=str,
)
def test_types_become_what_a_graph_has(registry, kind, value, expected):
    number = registry.put(one(kind))
    decoder = decoding.open("avro", registry={"url": registry.url})
    assert decoder.value(written(number, one(kind), {"f": value})) == {"f": expected}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (
            logical("long", "timestamp-millis"),
            253_402_300_800_000,
            "timestamp-millis .* field f: 253402300800000 millis",
        ),
        (logical("long", "timestamp-micros"), 2**62, "timestamp-micros .* not within the years 1 to 9999"),
        (logical("int", "date"), 2**30, "date .* field f: 1073741824 days from 1970 are not within"),
        (logical("int", "time-millis"), 86_400_000, "time-millis .* field f: 86400000 millis .* not a time of day"),
        (logical("long", "time-micros"), -1, "time-micros .* field f: -1 micros from midnight"),
    ],
    ids=str,
)
def test_a_value_that_no_text_can_say_is_an_error_of_its_message(registry, kind, value, reason):
    number = registry.put(one(kind))
    decoder = decoding.open("avro", registry={"url": registry.url})
    with pytest.raises(decoding.WrongMessage, match=f"^its value is Avro with a {reason}"):
        decoder.value(written(number, one(kind), {"f": value}))


def test_fastavro_is_the_scripts_own_as_well(registry):
    number = registry.put(one(logical("int", "date")))
    decoding.open("avro", registry={"url": registry.url})
    schema = fastavro.parse_schema(one(logical("int", "date")))
    data = io.BytesIO(written(number, one("int"), {"f": 1})[5:])
    assert fastavro.schemaless_reader(data, schema, None)["f"].isoformat() == "1970-01-02"


def test_right_records_are_read_without_fastavro(registry, monkeypatch):
    number = registry.put(one("long"))
    decoder = decoding.open("avro", registry={"url": registry.url})
    right, cut = written(number, one("long"), {"f": 300}), written(number, one("long"), {"f": 300})[:-1]
    with pytest.raises(decoding.WrongMessage, match=f"not Avro of schema {number}: .*"):
        decoder.value(cut)
    monkeypatch.setattr(fastavro, "schemaless_reader", None)
    assert decoder.values([right, right]) == [{"f": 300}, {"f": 300}]


ADDRESS: dict[str, Any] = {
    "type": "record",
    "name": "Address",
    "namespace": "x",
    "fields": [
        {"name": "zip", "type": "bytes"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}},
    ],
}


def test_references_are_followed(registry):
    registry.put(ADDRESS, subject="address")
    street = {"type": "record", "name": "x.Street", "fields": [{"name": "in", "type": "Address"}]}
    registry.put(street, references=[("x.Address", "address")], subject="street/1")
    schema = {
        "type": "record",
        "name": "x.Person",
        "fields": [
            {"name": "kind", "type": "Kind"},
            {"name": "home", "type": "Street"},
            {"name": "work", "type": ["null", "x.Street"]},
            {"name": "boss", "type": ["null", "Person"]},
        ],
    }
    number = registry.put(schema, references=[("x.Street", "street/1"), ("x.Address", "address")])
    kind, home = ADDRESS["fields"][1]["type"], {"in": {"zip": b"8", "kind": "A"}}
    inner = {**ADDRESS, "fields": [ADDRESS["fields"][0], {"name": "kind", "type": "x.Kind"}]}
    whole = json.loads(json.dumps(schema))
    whole["fields"][0]["type"] = kind
    whole["fields"][1]["type"] = {**street, "fields": [{"name": "in", "type": inner}]}
    boss = {"kind": "A", "home": home, "work": None, "boss": None}
    decoder = decoding.open("avro", registry={"url": registry.url})
    found = decoder.value(written(number, whole, {**boss, "work": home, "boss": boss}))
    place = {"in": {"zip": "OA==", "kind": "A"}}
    read = {"kind": "A", "home": place, "work": None, "boss": None}
    assert found == {**read, "work": place, "boss": read}
    assert registry.asked.count("/subjects/address/versions/1") == 1


def test_a_topic_of_several_types_is_a_union_of_references(registry):
    registry.put(one("long"), subject="r")
    registry.put(ADDRESS, subject="address")
    number = registry.put(["n.R", "x.Address"], references=[("n.R", "r"), ("x.Address", "address")])
    decoder = decoding.open("avro", registry={"url": registry.url})
    values = [written(number, [one("long"), ADDRESS], value) for value in ({"f": 1}, {"zip": b"8", "kind": "A"})]
    assert decoder.values(values) == [{"f": 1}, {"zip": "OA==", "kind": "A"}]


def test_evolution_each_record_is_read_by_the_schema_that_wrote_it(registry):
    older, newer = one("int"), one("int")
    newer["fields"] = [*newer["fields"], {"name": "since", "type": "string", "default": "v2"}]
    numbers = registry.put(older), registry.put(newer)
    values = [written(numbers[0], older, {"f": 1}), written(numbers[1], newer, {"f": 2, "since": "v3"})]
    as_written = decoding.open("avro", registry={"url": registry.url})
    assert as_written.values(values) == [{"f": 1}, {"f": 2, "since": "v3"}]
    as_wanted = decoding.open("avro", registry={"url": registry.url}, schema=json.dumps(newer))
    assert as_wanted.values(values) == [{"f": 1, "since": "v2"}, {"f": 2, "since": "v3"}]
    as_before = decoding.open("avro", registry={"url": registry.url}, schema=older)
    assert as_before.values(values) == [{"f": 1}, {"f": 2}]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not a schema registry's frame: it is empty"),
        (b"\0\0", "not a schema registry's frame: it is cut off after 2 bytes"),
        (b"\1" + bytes(15), "not a schema registry's frame: it is cut off after 16 bytes"),
        (b'{"f": 1}', "not a schema registry's frame: this looks like JSON: format 'json' reads it"),
        (b"Obj\1rest", "not a schema registry's frame: this looks like a file of Avro records"),
        (b"\xc3\x01rest", "not a schema registry's frame: this looks like Avro's single-object encoding"),
        (b"\2x", "not a schema registry's frame: it begins with 02 78, and frames begin with 00 or 01"),
        (struct.pack(">bI", 0, 1), "not Avro of schema 1: "),
        (struct.pack(">bI", 0, 1) + b"\2\2", "not Avro of schema 1: it is longer by 1 than its schema says"),
        (struct.pack(">bI", 0, 2), "of schema 2, which is PROTOBUF and not Avro"),
        (struct.pack(">bI", 0, 3), "of schema 3, which cannot be read: "),
        (struct.pack(">bI", 0, 77), "of schema 77, which the schema registry at http"),
        (b"\1" + bytes(16), "of schema 00000000-0000-0000-0000-000000000000, which the schema registry at http"),
    ],
    ids=repr,
)
def test_what_is_no_such_record_is_named(registry, value, reason):
    registry.put(one("int"))
    registry.put('syntax = "proto3";', "PROTOBUF")
    registry.put({"type": "record", "name": "R", "fields": [{"name": "f", "type": "Unknown"}]})
    decoder = decoding.open("avro", registry={"url": registry.url})
    with pytest.raises(decoding.WrongMessage) as caught:
        decoder.value(value)
    assert str(caught.value).startswith(f"its value is {reason}")


def test_decimals_are_written_out():
    assert [plain.decimal_text(-5, 3), plain.decimal_text(5, -3), plain.decimal_text(10**30, 1)] == [
        "-0.005",
        "5000",
        "1" + "0" * 29 + ".0",
    ]
