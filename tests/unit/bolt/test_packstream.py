from __future__ import annotations

import contextlib
import enum
import math
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neo4j._codec.packstream import v1

from sluice.bolt.packstream import BULK, MAX_DEPTH, Structure, Value, pack, pack_into, unpack
from sluice.errors import LocalProtocolError, RemoteProtocolError

neo4j_codec: Any = v1  # which has no types

WIRE = [
    pytest.param(None, "C0", id="null"),
    pytest.param(True, "C3", id="true"),
    pytest.param(False, "C2", id="false"),
    pytest.param(0, "00", id="0"),
    pytest.param(127, "7F", id="largest in one byte"),
    pytest.param(-16, "F0", id="smallest in one byte"),
    pytest.param(-17, "C8EF", id="8 bit"),
    pytest.param(-128, "C880", id="smallest of 8 bit"),
    pytest.param(128, "C90080", id="16 bit"),
    pytest.param(-32768, "C98000", id="smallest of 16 bit"),
    pytest.param(32768, "CA00008000", id="32 bit"),
    pytest.param(-(2**31), "CA80000000", id="smallest of 32 bit"),
    pytest.param(2**31, "CB0000000080000000", id="64 bit"),
    pytest.param(2**63 - 1, "CB7FFFFFFFFFFFFFFF", id="largest"),
    pytest.param(-(2**63), "CB8000000000000000", id="smallest"),
    pytest.param(1.1, "C13FF199999999999A", id="float"),
    pytest.param(math.inf, "C17FF0000000000000", id="infinity"),
    pytest.param("", "80", id="empty string"),
    pytest.param("a" * 15, "8F" + "61" * 15, id="string of 15"),
    pytest.param("a" * 16, "D010" + "61" * 16, id="string of 16"),
    pytest.param("é", "82C3A9", id="two bytes of UTF-8"),
    pytest.param("a" * 256, "D10100" + "61" * 256, id="string of 256"),
    pytest.param("a" * 65536, "D200010000" + "61" * 65536, id="string of 65536"),
    pytest.param([], "90", id="empty list"),
    pytest.param([1, "a"], "92018161", id="list"),
    pytest.param([0] * 16, "D410" + "00" * 16, id="list of 16"),
    pytest.param([0] * 256, "D50100" + "00" * 256, id="list of 256"),
    pytest.param([0] * 65536, "D600010000" + "00" * 65536, id="list of 65536"),
    pytest.param({}, "A0", id="empty map"),
    pytest.param({"a": {"b": None}}, "A18161A18162C0", id="map in a map"),
    pytest.param(
        {chr(65 + i): i for i in range(16)},
        "D810" + "".join(f"81{65 + i:02X}{i:02X}" for i in range(16)),
        id="map of 16",
    ),
    pytest.param(Structure(0x4E, [1, [], {}]), "B34E0190A0", id="structure"),
]


@pytest.mark.parametrize(("value", "wire"), WIRE)
def test_a_value_has_one_form_and_comes_back_from_it(value: Value, wire: str) -> None:
    assert pack(value).hex().upper() == wire
    back = unpack(bytes.fromhex(wire))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        pytest.param("CB0000000000000001", 1, id="1 in 64 bit"),
        pytest.param("C801", 1, id="1 in 8 bit"),
        pytest.param("D00161", "a", id="long form of a short string"),
        pytest.param("D60000000101", [1], id="long form of a short list"),
        pytest.param("DA00000001816101", {"a": 1}, id="long form of a small map"),
        pytest.param("A2816101816102", {"a": 2}, id="a key twice: the last counts"),
        pytest.param("CC00", b"", id="no bytes"),
        pytest.param("CC020102", b"\x01\x02", id="bytes"),
        pytest.param("CD0100" + "00" * 256, bytes(256), id="256 bytes"),
    ],
)
def test_what_is_not_written_is_read_all_the_same(wire: str, value: Value) -> None:
    assert unpack(bytes.fromhex(wire)) == value


class Colour(str, enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3000


class Celsius(float): ...


class Rows(list[int]): ...


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        pytest.param(Colour.RED, "red", id="str enum"),
        pytest.param({Colour.RED: 1}, {"red": 1}, id="str enum as key"),
        pytest.param(Size.BIG, 3000, id="int enum"),
        pytest.param(Celsius(1.5), 1.5, id="float subclass"),
        pytest.param(Rows([1]), [1], id="list subclass"),
        pytest.param(OrderedDict(a=1), {"a": 1}, id="dict subclass"),
    ],
)
def test_subclasses_are_packed_as_what_they_are(value: Value, plain: Value) -> None:
    assert pack(value) == pack(plain)


def nest(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE += [CYCLE, CYCLE]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"rows": [0, 1, 2, {"x": 10**30}]}, f"rows[3].x: integer {10**30} is outside 64 bit", id="big"),
        pytest.param({"n": -(2**63) - 1}, "n: integer -9223372036854775809 is outside 64 bit", id="small"),
        pytest.param({"n": 10**5000}, "n: integer of 16610 bits is outside 64 bit", id="too big to print"),
        pytest.param((1,), "value: Bolt cannot represent a value of type tuple", id="tuple"),
        pytest.param({"a": [(1,)]}, "a[0]: Bolt cannot represent a value of type tuple", id="tuple inside"),
        pytest.param({"a": {1: 2}}, "a: a key is of type int, not str", id="key"),
        pytest.param({"a": "\ud800"}, "a: text holds the lone surrogate U+D800", id="surrogate"),
        pytest.param({"\udfff": 1}, "value: text holds the lone surrogate U+DFFF", id="surrogate in a key"),
        pytest.param(
            {"a": [b"x"]}, "a[0]: Memgraph does not accept bytes; convert them to text with decode()", id="bytes"
        ),
        pytest.param({"a": {1, 2}}, "a: Bolt cannot represent a value of type set", id="set"),
        pytest.param(
            Structure(1, [0, object()]), "[1]: Bolt cannot represent a value of type object", id="in a structure"
        ),
        pytest.param(Structure(200, []), "value: no structure has tag 200 and 0 fields", id="tag"),
        pytest.param(nest(MAX_DEPTH + 1), "nested deeper than 200", id="deep"),
        pytest.param(CYCLE, "nested deeper than 200", id="cycle"),
    ],
)
def test_what_bolt_cannot_carry_is_an_error_that_says_where(value: Value, text: str) -> None:
    buffer = bytearray(b"before")
    with pytest.raises(LocalProtocolError) as caught:
        pack_into(buffer, value)
    assert text in str(caught.value)
    assert buffer == b"before"


def test_what_is_as_deep_as_allowed_goes_through() -> None:
    assert unpack(pack(nest(MAX_DEPTH))) == nest(MAX_DEPTH)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        pytest.param("", "message ends inside a value", id="nothing"),
        pytest.param("D0", "message ends inside a size", id="no size"),
        pytest.param("8261", "message ends inside a string", id="short string"),
        pytest.param("D2FFFFFFFF61", "message ends inside a string", id="a string of 4 GB, it says"),
        pytest.param("CC0201", "message ends inside bytes", id="short bytes"),
        pytest.param("C13FF1", "message ends inside a float", id="short float"),
        pytest.param("CA0000", "message ends inside an integer", id="short integer"),
        pytest.param("9201", "message ends inside a value", id="short list"),
        pytest.param("D6FFFFFFFF01", "message ends inside a value", id="a list of 4 G, it says"),
        pytest.param("A18161", "message ends inside a value", id="short map"),
        pytest.param("B1", "message ends inside a structure", id="structure without a tag"),
        pytest.param("A10102", "a map's key is of type int, not a string", id="key"),
        pytest.param("81FF", "text is not UTF-8", id="not UTF-8"),
        pytest.param("C4", "no value begins with the byte C4", id="unknown marker"),
        pytest.param("0102", "message goes on for 1 bytes after its end", id="something after"),
        pytest.param("91" * (MAX_DEPTH + 1) + "00", "message is nested deeper than 200", id="deep"),
    ],
)
def test_what_is_no_value_is_the_peers_fault(wire: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        unpack(bytes.fromhex(wire))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=20), inner, max_size=20),
    max_leaves=30,
)


@settings(deadline=None)
@given(values)
def test_values_come_back(value: Value) -> None:
    assert unpack(pack(value)) == value


@settings(deadline=None)
@given(values)
def test_the_neo4j_driver_reads_what_is_written_and_the_other_way_round(value: Value) -> None:
    buffer = neo4j_codec.PackableBuffer()
    neo4j_codec.Packer(buffer).pack(value)
    assert unpack(bytes(buffer.data)) == value
    assert neo4j_codec.Unpacker(neo4j_codec.UnpackableBuffer(pack(value))).unpack() == value


@settings(deadline=None)
@given(
    st.sampled_from([st.integers(-most - 1, most) for most in (0xF, 0x7F, 0x7FFF, 0x7FFFFFFF, 2**63 - 1)]).flatmap(
        lambda integers: st.lists(integers, min_size=BULK, max_size=2 * BULK)
    )
    | st.lists(st.floats(allow_nan=False), min_size=BULK, max_size=2 * BULK),
    st.sampled_from([[], [None], [True], ["1"], [0.5], [2]]),
)
def test_numbers_that_are_packed_together_come_back(numbers: list[Value], more: list[Value]) -> None:
    value = numbers + more
    found = neo4j_codec.Unpacker(neo4j_codec.UnpackableBuffer(pack(value))).unpack()
    assert list(map(repr, found)) == list(map(repr, value)) == list(map(repr, unpack(pack(value))))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_among_many_that_bolt_has_no_form_for_is_named(number: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"^\[7\]: integer -?\d+ is outside 64 bit"):
        pack([*range(7), number, *range(30)])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_the_peers_fault(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        unpack(data)


@settings(deadline=None)
@given(values, st.data())
def test_a_message_cut_short_is_noticed(value: Value, data: st.DataObject) -> None:
    packed = pack(value)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RemoteProtocolError):
        unpack(packed[:cut])
