"""Frames that Confluent's serializers have written, read with the schemas that they have registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sluice import decoding
from sluice.decoding.schema_ids import KEY_HEADER, VALUE_HEADER
from sluice.values.record import Headers, Record
from tests.unit.decoding.registry_server import RECORDED, RegistryServer

ADA = {
    "id": 7,
    "name": "Ada",
    "owes": "0.00000001",
    "seen": "2026-11-26T10:00:00.123Z",
    "born": "1815-12-10",
    "wakes": "06:30:00.000",
    "uuid": "00000000-0000-0000-0000-000000000005",
    "raw": "/wA=",
    "tags": ["a", "b"],
    "extra": {"x": 1},
}
ORDER = {
    "id": 5,
    "note": None,
    "at": "2023-11-14T22:13:20.000000Z",
    "lines": [{"sku": "x", "part_of": None}],
    "counts": {"a": 1},
    "kind": "OLD",
    "large": "18446744073709551615",
    "raw": "AQ==",
    "card": None,
    "cash": 0,
}

EXPECTED = [
    ("avro", "avro", ADA),
    ("avro", "avro zero", {**ADA, "owes": "0.00000000", "name": None}),
    ("avro", "avro, id in a header", ADA),
    ("jsonschema", "json schema", {"id": 7, "total": 0.5}),
    ("jsonschema", "json schema, id in a header", {"id": 8}),
    ("protobuf", "protobuf", ORDER),
    ("protobuf", "protobuf nested", {"sku": "y", "part_of": None}),
    ("protobuf", "protobuf second", {"s": "z"}),
    ("protobuf", "protobuf, id in a header", {"s": "z"}),
]


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        server.put_recorded()
        yield server


def recorded(name: str) -> Record:
    """A message that was recorded."""
    message = RECORDED["messages"][name]
    headers: Headers = [(name, bytes.fromhex(value)) for name, value in message["headers"]]
    return Record(bytes.fromhex(message["data"]), None, headers, "t", 0, 0, None)


@pytest.mark.parametrize(("form", "name", "expected"), EXPECTED, ids=[name for _, name, _ in EXPECTED])
def test_what_was_recorded_is_read(registry, form: str, name: str, expected: Any):
    options = {"validate": True} if form == "jsonschema" else {}
    decoder = decoding.open(form, registry={"url": registry.url}, **options)
    message = recorded(name)
    assert decoder.value(message) == expected
    if not message.headers:
        assert decoder.value(message.value) == expected
    assert decoder.values([message, message._replace(value=None)]) == [expected, None]


def test_text_of_a_protobuf_schema_is_as_good_as_its_descriptor(registry):
    registry.serialized.clear()
    decoder = decoding.open("protobuf", registry={"url": registry.url})
    for form, name, expected in EXPECTED:
        if form == "protobuf":
            assert decoder.value(recorded(name)) == expected
    assert registry.asked.count("/schemas/ids/4") == 1


def test_a_key_has_a_header_of_its_own(registry):
    message = recorded("avro key, id in a header")
    key = Record(recorded("avro").value, message.value, message.headers, "t", 0, 0, None)
    decoder = decoding.open("avro", registry={"url": registry.url})
    assert [name for name, _ in key.headers] == [KEY_HEADER]
    assert (decoder.key(key), decoder.value(key)) == ({"id": 7}, ADA)
    with pytest.raises(decoding.WrongMessage, match="its key is not a schema registry's frame"):
        decoder.key(key._replace(headers=[(VALUE_HEADER, message.headers[0][1])]))


def test_keys_may_be_of_another_format(registry):
    decoder = decoding.open("avro", key_format="text", registry={"url": registry.url})
    message = recorded("avro")._replace(key=b"k7")
    assert (decoder.key(message), decoder.value(message), decoder.key(message._replace(key=None))) == ("k7", ADA, None)


def test_a_schema_is_fetched_once(registry):
    decoder = decoding.open("avro", registry={"url": registry.url})
    decoder.values([recorded("avro"), recorded("avro zero")] * 20)
    assert registry.asked == ["/schemas/ids/1"]


def test_floats_where_they_are_wanted(registry):
    decoder = decoding.open("avro", registry={"url": registry.url}, decimals="float")
    assert decoder.value(recorded("avro"))["owes"] == 1e-8
