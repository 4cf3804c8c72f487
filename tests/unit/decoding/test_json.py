"""JSON, with and without a schema: exact numbers, and what is no JSON."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from sluice import decoding
from tests.unit.decoding.registry_server import RegistryServer

LARGE = 2**63

EXACT = [
    ("9223372036854775807", LARGE - 1),
    ("9223372036854775808", str(LARGE)),
    ("-9223372036854775808", -LARGE),
    ("-9223372036854775809", str(-LARGE - 1)),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("9" * 5000, "9" * 5000),
    ('"9223372036854775808"', str(LARGE)),
    ("0.1", 0.1),
    ("12", 12),
    ("null", None),
]


@pytest.mark.parametrize("quick", [True, False], ids=["orjson", "json"])
def test_numbers_keep_their_digits(monkeypatch, quick: bool):
    if quick:
        pytest.importorskip("orjson")
    else:
        monkeypatch.setattr("sluice.decoding.json_text.find_spec", lambda name: None)
    decoder = decoding.open("json")
    for text, value in EXACT:
        assert decoder.value(f'{{"x": {text}}}'.encode()) == {"x": value}
    assert decoder.values([text.encode() for text, _ in EXACT]) == [value for _, value in EXACT]
    assert decoder.values([text.encode() for text, _ in EXACT[7:]]) == [value for _, value in EXACT[7:]]


def test_many_digits_in_one_message_change_nothing_in_the_others():
    decoder = decoding.open("json")
    others = [b'{"a": 1.5, "b": "1234567890123456789012", "c": 12}', b'{"d": 1234567890123456789}']
    expected = [{"a": 1.5, "b": "1234567890123456789012", "c": 12}, {"d": 1234567890123456789}]
    assert decoder.values(others) == expected
    assert decoder.values([b'{"x": 98765432109876543210}', *others]) == [{"x": "98765432109876543210"}, *expected]


def test_decimals_are_texts_where_that_is_asked_for():
    decoder = decoding.open("json", decimals="text")
    assert decoder.values([b'{"x": 1.10, "y": [1E3, 7]}', None, b"0.00000000"]) == [
        {"x": "1.10", "y": ["1E3", 7]},
        None,
        "0.00000000",
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not JSON: Expecting property name"),
        (b"1,2", "not JSON: Extra data"),
        (b"{}\n{}", "not JSON: Extra data: line 2 .*: there is more than one JSON text in the message"),
        (b" ", "not JSON: it is empty"),
        (b"\xff", "not UTF-8 text (byte 0)"),
        (b"\0\0\0\0\1{}", "not JSON: Expecting value.*; this looks like a schema registry's frame, of schema 1: "),
        (b"\0\0\1\xff\xff\4", "not UTF-8 text .*; this looks like a schema registry's frame, of schema 131071: "),
        (
            b"\0\0\0\0\1",
            "not JSON: .*frame, of schema 1: format avro, protobuf or jsonschema, with the option registry",
        ),
        (b"\1" + bytes(16), "not JSON: .*frame, of schema 00000000-0000-0000-0000-000000000000: "),
        (b"Obj\1", "not JSON: .*; this looks like a file of Avro records"),
        (b"\x1f\x8b", "not UTF-8 text .*; this looks like gzip"),
        (b"[" * 100_000, "not JSON that can be read: it is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_json_is_named(value: bytes, reason: str):
    decoder = decoding.open("json")
    reason = reason.replace("(byte 0)", r"\(byte 0\)")
    with pytest.raises(decoding.WrongMessage, match=f"^its value is {reason}"):
        decoder.values([b"1", value])


def test_a_message_does_not_run_into_the_next():
    decoder = decoding.open("json")
    for parts in ((b'{"a": "', b'"}'), (b"[1", b"2]"), (b"1, 2", b"3"), (b"", b"1")):
        with pytest.raises(decoding.WrongMessage, match="^its value is not JSON"):
            decoder.values(list(parts))


def test_a_byte_order_mark_is_no_part_of_it():
    assert decoding.open("json").values([b"\xef\xbb\xbf[]", b"1"]) == [[], 1]
    assert decoding.open("text").values([b"\xef\xbb\xbfa", None]) == ["a", None]


def framed(number: int, value: Any) -> bytes:
    return struct.pack(">bI", 0, number) + json.dumps(value).encode()


def test_json_with_a_schema_needs_no_registry_unless_it_is_validated():
    decoder = decoding.open("jsonschema", registry={"url": "http://127.0.0.1:1"})
    assert decoder.values([framed(5, {"a": 1}), None]) == [{"a": 1}, None]
    with pytest.raises(decoding.WrongMessage, match="this looks like JSON: format 'json' reads it"):
        decoder.value(b'{"a": 1}')


def test_json_is_compared_with_its_schema_and_what_that_refers_to():
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    with RegistryServer() as registry:
        registry.put({**draft, "type": "object", "properties": {"zip": {"type": "string"}}}, "JSON", subject="a")
        schema = {
            **draft,
            "properties": {"home": {"$ref": "address.json"}, "x": {"type": "number"}},
            "required": ["id"],
        }
        number = registry.put(schema, "JSON", [("address.json", "a")])
        avro = registry.put({"type": "record", "name": "R", "fields": []})
        wrong = registry.put({**draft, "type": 7}, "JSON")
        decoder = decoding.open("jsonschema", registry={"url": registry.url}, validate=True, decimals="text")
        assert decoder.value(framed(number, {"id": 1, "home": {"zip": "8"}, "x": 0.5}))["x"] == "0.5"
        for value, reason in (
            ({"home": {}}, "at [$]: 'id' is a required property"),
            ({"id": 1, "home": {"zip": 8}}, "at [$].home.zip: 8 is not of type 'string'"),
        ):
            with pytest.raises(decoding.WrongMessage, match=f"^its value is not as schema {number} says, {reason}"):
                decoder.value(framed(number, value))
        with pytest.raises(decoding.WrongMessage, match=f"of schema {avro}, which is AVRO and not JSON"):
            decoder.value(framed(avro, {}))
        with pytest.raises(decoding.WrongMessage, match=f"of schema {wrong}, which cannot be used: "):
            decoder.value(framed(wrong, {}))
