"""Dates, decimals and their like become what the server has, or are refused by name with the way out."""

from __future__ import annotations

import datetime
import decimal
import enum
import re
import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from sluice.bolt.packstream import pack
from sluice.bolt.temporal import plain, refusal
from sluice.bolt.values import Structure
from sluice.errors import LocalProtocolError, RemoteProtocolError, TransformError
from sluice.folding import Need
from sluice.host.decimals import Decimals
from sluice.host.settings import Settings
from sluice.scripting.conversion import Conversion
from sluice.scripting.process import TransformProcess
from sluice.scripting.walk import check_values
from tests.unit.test_transform_process import batch, transform

UTC = datetime.timezone.utc
EAST = datetime.timezone(datetime.timedelta(hours=2))
NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, 5)
SECONDS = 1_709_208_000
"Of NOON, as if it were in UTC."


class Point(NamedTuple):
    x: int
    y: int


class Color(enum.Enum):
    RED = 1


SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0)


def converted(value: Any, *, zoned: bool = True, decimals: Decimals = Decimals.TEXT) -> Any:
    found = Conversion(decimals, zoned=zoned).parameters({"x": value})["x"]
    check_values(pack(found))  # the server may be sent it
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(datetime.date(2024, 2, 29), Structure(0x44, [19782]), id="a date"),
        pytest.param(datetime.date.min, Structure(0x44, [-719162]), id="the first date"),
        pytest.param(datetime.date.max, Structure(0x44, [2932896]), id="the last date"),
        pytest.param(datetime.time(23, 59, 59, 999999), Structure(0x74, [86_399_999_999_000]), id="a time"),
        pytest.param(NOON, Structure(0x64, [SECONDS, 5000]), id="a datetime without a zone"),
        pytest.param(datetime.datetime(1969, 12, 31), Structure(0x64, [-86400, 0]), id="midnight before 1970"),
        pytest.param(NOON.replace(tzinfo=UTC), Structure(0x49, [SECONDS, 5000, 0]), id="in UTC"),
        pytest.param(NOON.replace(tzinfo=EAST), Structure(0x49, [SECONDS - 7200, 5000, 7200]), id="in a zone"),
        pytest.param(
            NOON.replace(tzinfo=ZoneInfo("Europe/Berlin")),
            Structure(0x49, [SECONDS - 3600, 5000, 3600]),
            id="in a zone with a name",
        ),
        pytest.param(
            datetime.datetime(1900, 1, 1, 0, 0, 1, tzinfo=UTC), Structure(0x49, [-2208988799, 0, 0]), id="1900 in UTC"
        ),
        pytest.param(
            datetime.timedelta(days=-1, microseconds=1), Structure(0x45, [0, -1, 0, 1000]), id="a negative duration"
        ),
        pytest.param(decimal.Decimal("1E-8"), "0.00000001", id="a small decimal"),
        pytest.param(decimal.Decimal("0E-8"), "0.00000000", id="a decimal of nothing"),
        pytest.param(decimal.Decimal("1E+999999"), "1E+999999", id="a decimal that is not written out"),
        pytest.param(uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007", id="a UUID"),
        pytest.param((1, (datetime.date(1970, 1, 2),)), [1, [Structure(0x44, [1])]], id="tuples"),
        pytest.param(Point(1, 2), [1, 2], id="a named tuple"),
        pytest.param(OrderedDict(a=[uuid.UUID(int=0)]), {"a": [str(uuid.UUID(int=0))]}, id="in a map"),
    ],
)
def test_a_value_becomes_what_the_server_has(value: Any, expected: Any):
    assert converted(value) == expected


def test_a_server_without_zones_gets_datetimes_in_utc():
    assert converted(NOON.replace(tzinfo=EAST), zoned=False) == Structure(0x64, [SECONDS - 7200, 5000])


def test_decimals_are_floats_where_that_is_set():
    assert converted(decimal.Decimal("0.1"), decimals=Decimals.FLOAT) == 0.1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            datetime.datetime(1969, 12, 31, 0, 0, 1),
            "x: Memgraph takes no datetime before 1970 as a parameter, unless it is at midnight or has a zone; "
            "give it as text, and use localDateTime($name) in the query",
            id="before 1970",
        ),
        pytest.param(
            datetime.time(1, tzinfo=UTC), "x: Memgraph has no time with a zone; drop it", id="a time with a zone"
        ),
        pytest.param(datetime.timedelta.max, "x: a duration has at most 292,000 years", id="a long duration"),
        pytest.param(
            datetime.datetime.min.replace(tzinfo=EAST), "x: it is before the year 1, or after 9999", id="year 0 in UTC"
        ),
        pytest.param(
            NOON.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=23))),
            "x: its zone is more than 18 hours from UTC",
            id="a far zone",
        ),
        pytest.param(
            [{"a": {3}}], "x[0].a: Bolt cannot represent a value of type set; sort it into a list", id="a set"
        ),
        pytest.param(
            Color.RED,
            "x: Bolt cannot represent a value of type Color; give its value",
            id="an enum",
        ),
    ],
)
def test_what_has_no_form_is_refused_with_the_way_out(value: Any, message: str):
    with pytest.raises(LocalProtocolError) as caught:
        converted(value)
    assert str(caught.value).startswith(message)


class Scalar:
    """As numpy's are, which is not needed for this."""

    def __init__(self, value: Any, kind: str, name: str) -> None:
        self._value = value
        self.dtype = type("dtype", (), {"kind": kind, "name": name, "__str__": lambda _: name})()

    def tolist(self) -> Any:
        return self if self._value is Scalar else self._value


Scalar.__module__ = "numpy"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Scalar(7, "i", "int64"), 7, id="an integer"),
        pytest.param(Scalar(True, "b", "bool"), True, id="a truth"),
        pytest.param(Scalar([1.5, None], "f", "float64"), [1.5, None], id="an array"),
        pytest.param(Scalar(NOON, "M", "datetime64[us]"), Structure(0x64, [SECONDS, 5000]), id="a time"),
        pytest.param(Scalar(None, "M", "datetime64[ms]"), None, id="no time"),
    ],
)
def test_scalars_and_arrays_of_numpy_are_what_they_hold(value: Any, expected: Any):
    assert converted(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(Scalar(1, "M", "datetime64[ns]"), "use astype('M8[us]')", id="nanoseconds"),
        pytest.param(Scalar(1j, "c", "complex128"), "cannot represent numpy's complex128", id="a complex number"),
        pytest.param(
            Scalar(Scalar, "f", "float128"), "in more than 64 bits; convert it with float()", id="a long double"
        ),
    ],
)
def test_what_of_numpy_has_no_form_is_refused(value: Any, message: str):
    with pytest.raises(LocalProtocolError, match=re.escape(message)):
        converted(value)


def test_what_needs_no_conversion_is_not_copied():
    given = {"a": [1, {"b": "x"}], "c": None, "d": 0.5}
    assert Conversion(Decimals.TEXT, zoned=True).parameters(given) is given


def test_they_are_values_of_python_again_where_they_are_shown():
    given = {
        "date": datetime.date(2024, 2, 29),
        "time": datetime.time(1, 2, 3, 4),
        "datetime": NOON,
        "zoned": [NOON.replace(tzinfo=EAST)],
        "duration": datetime.timedelta(days=-1, microseconds=1),
    }
    assert plain(Conversion(Decimals.TEXT, zoned=True).parameters(dict(given))) == given


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        pytest.param(Structure(0x44, [99_999_999]), "it is before the year 1, or after 9999", id="a far date"),
        pytest.param(Structure(0x74, [86_400 * 10**9]), "it is no time of a day", id="24:00"),
        pytest.param(Structure(0x64, [-1, 0]), "Memgraph takes no datetime before 1970", id="before 1970"),
        pytest.param(Structure(0x64, [-86400, 7000]), "Memgraph takes no datetime before 1970", id="after midnight"),
        pytest.param(Structure(0x64, [1, 10**9]), "it has more than a second of nanoseconds", id="nanoseconds"),
        pytest.param(Structure(0x45, [1, 0, 0, 0]), "a duration has at most 292,000 years", id="months"),
        pytest.param(Structure(0x49, [0, 0, 64_801]), "its zone is more than 18 hours from UTC", id="a far zone"),
        pytest.param(Structure(0x69, [0, 0, "UTC"]), "as none does that a query takes", id="a zone by name"),
        pytest.param(Structure(0x44, ["1"]), "has a field that is no integer", id="a text in it"),
        pytest.param(Structure(0x44, [1, 2]), "as none does that a query takes", id="fields too many"),
        pytest.param(Structure(0x4E, [1, [], {}]), "as none does that a query takes", id="a node"),
    ],
)
def test_a_process_cannot_have_a_structure_sent_at_which_the_server_hangs_up(structure: Structure, reason: str):
    with pytest.raises(RemoteProtocolError, match=reason):
        check_values(pack({"x": structure}))


def test_what_is_cut_off_in_a_structure_is_refused():
    packed = pack([Structure(0x45, [0, 1, 70_000, 5])])
    check_values(packed)
    for end in range(1, len(packed)):
        with pytest.raises(RemoteProtocolError):
            check_values(packed[:end])


def test_the_refusal_is_of_what_the_fields_say():
    assert refusal(0x64, [SECONDS, 0]) == refusal(0x45, [0, 106_751_991, 0, 0]) == ""
    assert refusal(0x45, [0, 106_751_992, 0, 0])


VALUES = """
import datetime, decimal, uuid

def stream(batch):
    return [("CREATE (:N {at: $at, price: $price})", {
        "at": datetime.datetime(2024, 2, 29, 12, 0, 0, int(value), tzinfo=datetime.timezone.utc),
        "price": decimal.Decimal("0E-8"),
    }) for value in batch]
"""


@pytest.mark.parametrize("fold", [True, False])
def test_a_stream_sends_them_folded_or_not(fold: bool):
    with TransformProcess(transform(VALUES), SETTINGS) as process:
        packed = [process.pack([batch(b"1", b"2", b"3"), batch(b"4")], fold=fold) for _ in range(2)]
        rows = process.rows(batch(b"5"), frozenset([Need.ZONES]))
    assert [(item.error, item.batches, item.given, item.size) for item in packed] == [
        (None, 2, 4, 1 if fold else 4)
    ] * 2
    assert pack(Structure(0x49, [SECONDS, 3000, 0])) in bytes(packed[1].frames)
    assert rows[0][1] == {"at": Structure(0x64, [SECONDS, 5000]), "price": "0.00000000"}


def test_the_item_and_the_place_of_a_wrong_value_are_named():
    source = (
        "import datetime\n"
        "def stream(batch):\n"
        "    return [('RETURN $x', {'x': datetime.date.min, 'y': {1} if b == b'bad' else 1}) for b in batch]\n"
    )
    with TransformProcess(transform(source), SETTINGS) as process:
        for _ in range(2):
            found = process.pack([batch(b"1"), batch(b"2", b"bad"), batch(b"3")])
            assert (found.batches, found.failed, found.size) == (1, 1, 1)
            assert str(found.error).endswith(
                "the parameters of item 1 contain a value that a query cannot take: y: "
                "Bolt cannot represent a value of type set; sort it into a list"
            )
        with pytest.raises(TransformError, match="item 0 contain a value that a query cannot take: y: "):
            process.rows(batch(b"bad"))


def test_decimals_are_a_setting():
    with TransformProcess(transform(VALUES), replace(SETTINGS, decimals=Decimals.FLOAT)) as process:
        assert process.rows(batch(b"1"))[0][1]["price"] == 0.0
