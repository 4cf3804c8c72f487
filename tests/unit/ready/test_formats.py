"""The bytes of messages as values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import decoding
from sluice.decoding.csv_format import CsvFormat
from sluice.decoding.json_text import JsonReader
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage, WrongOption

BOM = b"\xef\xbb\xbf"


def rows(options: dict[str, Any], *values: bytes) -> list[Any]:
    return CsvFormat(OptionReader(options)).read_all(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([b"1"], [1]),
        ([b'{"a": 1}', b" [1, 2] ", b"null", b'"x"'], [{"a": 1}, [1, 2], None, "x"]),
        ([BOM + b'{"a": 1}', b"2"], [{"a": 1}, 2]),
        (["\u2028 \u00e9".join('""').encode()], ["\u2028 \u00e9"]),
        ([b"123456789012345678901234567890"], ["123456789012345678901234567890"]),
    ],
)
def test_json(values: list[bytes], expected: list[Any]):
    assert JsonReader().read_all(values) == expected


# Together these would be JSON, though none of them is alone.
@pytest.mark.parametrize(
    "values",
    [
        [b"1,2", b"[3", b"4]"],
        [b'{"a":1},{"b":2}', b'{"c":[{}', b"{}]}"],
        [b'"a', b'b"'],
        [b"1", b""],
        [b"", b"1"],
        [b"1]", b"[2"],
        [b"1,2"],
        [b"1 // ", b"2"],
        [b"\xc3", b"\xa9"],
    ],
)
def test_messages_that_are_json_only_together_are_errors(values: list[bytes]):
    with pytest.raises(WrongMessage, match="^not (JSON|UTF-8)"):
        JsonReader().read_all(values)


@given(st.lists(st.text(alphabet='{}[],:"1a\\ null', max_size=6).map(str.encode), max_size=6))
def test_together_messages_are_what_they_are_alone(values: list[bytes]):
    def alone() -> list[Any]:
        return [json.loads(value) for value in values]

    try:
        expected = alone()
    except ValueError:
        with pytest.raises(WrongMessage):
            JsonReader().read_all(values)
    else:
        assert JsonReader().read_all(values) == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"\xff", "not UTF-8 text (byte 0)"),
        (
            b"\x00\x00\x00\x01\x7b\x02\x06",
            "not JSON: Expecting value: line 1 column 1 (char 0); this looks like a schema registry's frame, of "
            "schema 379: format avro, protobuf or jsonschema, with the option registry, reads it",
        ),
        (
            b"\x00\x00\x00\x00\x05\xff",
            "not UTF-8 text (byte 5); this looks like a schema registry's frame, of schema 5: "
            "format avro, protobuf or jsonschema, with the option registry, reads it",
        ),
        (b"\x1f\x8b\x08", "not UTF-8 text (byte 1); this looks like gzip"),
        (
            b"\x01" + bytes(16),
            "not JSON: Expecting value: line 1 column 1 (char 0); this looks like a schema registry's frame, of "
            "schema 00000000-0000-0000-0000-000000000000: format avro, protobuf or jsonschema, with the option "
            "registry, reads it",
        ),
        (b"Obj\x01", "not JSON: Expecting value: line 1 column 1 (char 0); this looks like a file of Avro records"),
        (b"[" * 100_000, "not JSON that can be read: it is nested too deeply"),
    ],
)
def test_what_is_not_json_says_what_it_looks_like(value: bytes, error: str):
    with pytest.raises(WrongMessage) as caught:
        JsonReader().read_all([b"1", value])
    assert str(caught.value) == error


def test_text():
    decoder = decoding.open("text")
    assert decoder.values([BOM + b"a\r\n", b""]) == ["a\r\n", ""]
    with pytest.raises(WrongMessage, match="^its value is not UTF-8 text"):
        decoder.values([b"\xff"])


@pytest.mark.parametrize(
    ("options", "value", "expected"),
    [
        ({"columns": ["a", "b"]}, b'"an\nn",bob', [{"a": "an\nn", "b": "bob"}]),
        ({"columns": ["a", "b"]}, b'"x\r\ny",bob\r\n1,2\r\n', [{"a": "x\r\ny", "b": "bob"}, {"a": "1", "b": "2"}]),
        ({"columns": ["a", "b"]}, "an\u2028n,b\x1co\u0085".encode(), [{"a": "an\u2028n", "b": "b\x1co\u0085"}]),
        ({"columns": ["a", "b"]}, BOM + b"1,2\n\n", [{"a": "1", "b": "2"}]),
        ({"header": True}, BOM + b"id, name\n1,Ada\n", [{"id": "1", "name": "Ada"}]),
        ({"header": True}, b"id,name", []),
        ({"columns": ["a", "b"], "delimiter": "\t"}, b"1\tx y", [{"a": "1", "b": "x y"}]),
        ({"columns": ["a", "b"], "delimiter": ";"}, b'1;"say ""hi"""', [{"a": "1", "b": 'say "hi"'}]),
        ({"columns": ["a", "b", "c", "d"], "types": {"a": "integer", "b": "float", "c": "boolean", "d": "text"}},
         b"7,1.5,TRUE,x\n,,,", [{"a": 7, "b": 1.5, "c": True, "d": "x"}, {"a": None, "b": None, "c": None, "d": ""}]),
        ({"columns": ["a"]}, b'"' + b"x" * 300_000 + b'"', [{"a": "x" * 300_000}]),
        ({"columns": ["a"]}, b"", []),
    ],
)  # fmt: skip
def test_csv(options: dict[str, Any], value: bytes, expected: list[dict[str, Any]]):
    assert rows(options, value) == [expected]


def test_each_message_has_its_own_header():
    assert rows({"header": True}, b"a,b\n1,2", b"b\n3") == [[{"a": "1", "b": "2"}], [{"b": "3"}]]


@pytest.mark.parametrize(
    ("options", "value", "error"),
    [
        ({"columns": ["a", "b"]}, b"1,2\n1,2,3", "not CSV of 2 columns: 3 fields (line 2)"),
        ({"columns": ["a", "b"]}, b"ann<U+2028>n", "not CSV of 2 columns: 1 fields (line 1)"),
        ({"columns": ["a"]}, b'"a', "not CSV: unexpected end of data (line 1)"),
        ({"columns": ["a"], "types": {"a": "integer"}}, b"1_000", "not CSV of these types: '1_000' in the column a "
         "(line 1)"),
        ({"columns": ["a"], "types": {"a": "boolean"}}, b"2", "not CSV of these types: '2' in the column a (line 1)"),
        ({"header": True, "types": {"z": "integer"}}, b"a\n1", "not CSV with the column z, which the option types "
         "names (line 2)"),
        ({"header": True}, b"a,a\n1,2", "not CSV with a name for each column: a, a"),
        ({"columns": ["a"]}, b"\xff", "not UTF-8 text (byte 0)"),
    ],
)  # fmt: skip
def test_what_is_not_csv(options: dict[str, Any], value: bytes, error: str):
    with pytest.raises(WrongMessage) as caught:
        rows(options, value)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"columns": ["a"], "header": True}, "CSV needs either the option columns"),
        ({"columns": ["a"], "delimiter": ";;"}, "the option delimiter must be one character, got ';;'"),
        ({"columns": ["a"], "types": {"a": "date"}}, "the option types must map columns to text, integer, float, "
         "boolean, got"),
        ({"columns": ["a"], "types": {"b": "text"}}, "the option types names the column b, which columns does not "
         "have"),
        ({"columns": ["a"], "types": 1}, "the option types must be a map, got 1"),
    ],
)  # fmt: skip
def test_wrong_options_of_csv(options: dict[str, Any], error: str):
    with pytest.raises(WrongOption) as caught:
        rows(options)
    assert str(caught.value).startswith(error)
