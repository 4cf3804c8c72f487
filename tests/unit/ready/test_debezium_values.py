"""Values of columns, as Debezium's JSON has them, and what they become."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sluice.decoding.refusals import WrongMessage
from tests.unit.ready import message, queries
from tests.unit.ready.test_debezium import event, with_schema

DEBEZIUM, CONNECT = "io.debezium", "org.apache.kafka.connect.data"


def decimal(scale: int) -> dict[str, Any]:
    return {"type": "bytes", "name": f"{CONNECT}.Decimal", "parameters": {"scale": str(scale)}}


VARIABLE = {"type": "struct", "name": f"{DEBEZIUM}.data.VariableScaleDecimal", "fields": []}


def of_time(name: str, kind: str = "int64") -> dict[str, Any]:
    return {"type": kind, "name": f"{DEBEZIUM}.time.{name}"}


def of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


# The schema; the name that the option `types` has for it, if any; the value as sent; the function, and the value.
VALUES = [
    (decimal(2), "decimal(2)", "SZYC0g==", "", "12345678.90"),
    (decimal(2), "decimal(2)", "/w==", "", "-0.01"),
    (decimal(8), "decimal(8)", "AA==", "", "0.00000000"),
    (decimal(8), "decimal(8)", "AQ==", "", "0.00000001"),
    (decimal(0), "decimal(0)", "AIA=", "", "128"),
    (decimal(-2), None, "AQ==", "", "100"),
    (VARIABLE, "decimal", {"scale": 3, "value": "E4g="}, "", "5.000"),
    (VARIABLE, None, {"scale": 0, "value": "AA=="}, "", "0"),
    ({"type": "double"}, "float", "NaN", "", math.nan),
    ({"type": "float"}, "float", "-Infinity", "", -math.inf),
    ({"type": "double"}, "float", 1.5, "", 1.5),
    (of_time("Date", "int32"), "date", -1, "date", "1969-12-31"),
    ({"type": "int32", "name": f"{CONNECT}.Date"}, "date", 20_000, "date", "2024-10-04"),
    (of_time("MicroTime"), "time", 45_296_700_000, "localTime", "12:34:56.700000"),
    (of_time("Time", "int32"), "time_millis", 1, "localTime", "00:00:00.001000"),
    (of_time("NanoTime"), "time_nanos", 1_999, "localTime", "00:00:00.000001"),
    (of_time("MicroTime"), "time", 86_400_000_000, "", 86_400_000_000),
    (of_time("MicroTimestamp"), "timestamp", -1, "localDateTime", "1969-12-31T23:59:59.999999"),
    (of_time("Timestamp"), "timestamp_millis", 0, "localDateTime", "1970-01-01T00:00:00"),
    (of_time("NanoTimestamp"), "timestamp_nanos", 1_000, "localDateTime", "1970-01-01T00:00:00.000001"),
    (of_time("MicroTimestamp"), "timestamp", 9_223_372_036_825_200_000, "", 9_223_372_036_825_200_000),
    (of_time("ZonedTimestamp", "string"), "timestamptz", "2026-11-29T04:46:05.9Z", "localDateTime",
     "2026-11-29T04:46:05.900000"),
    (of_time("ZonedTimestamp", "string"), "timestamptz", "2026-01-01T00:30:00+02:00", "localDateTime",
     "2025-12-31T22:30:00"),
    (of_time("ZonedTimestamp", "string"), "timestamptz", "infinity", "", "infinity"),
    (of_time("IsoDate", "string"), "iso_date", "2026-11-29Z", "date", "2026-11-29"),
    (of_time("IsoTimestamp", "string"), "timestamptz", "2026-11-29T01:02:03Z", "localDateTime", "2026-11-29T01:02:03"),
    (of_time("MicroDuration"), "interval", 1_500_000, "duration", "PT1.500000S"),
    (of_time("MicroDuration"), "interval", -60_000_001, "duration", "PT-60.000001S"),
    (of(decimal(3)), "decimal(3)[]", ["BOI=", None, "/w=="], "", ["1.250", None, "-0.001"]),
    (of(of_time("Date", "int32")), "date[]", [0, None], "", ["1970-01-01", None]),
    ({"type": "string", "name": f"{DEBEZIUM}.data.Uuid"}, None, "d3d94468-02a4", "", "d3d94468-02a4"),
    ({"type": "bytes"}, None, "AP8=", "", "AP8="),
    (of({"type": "string"}), None, ["a", None], "", ["a", None]),
]  # fmt: skip


def found(options: dict[str, Any], value: Any, schema: dict[str, Any] | None = None) -> tuple[str, Any]:
    """What a column's value becomes: the function in the query, and the parameter."""
    given: Any = event("c", "t", {"id": 1, "x": value})
    if schema is not None:
        fields = [{"field": "id", "type": "int32"}, {"field": "x", **schema}]
        given = with_schema(given, "shop.public.t.Envelope", [{"field": "after", "type": "struct", "fields": fields}])
    [(text, parameters)] = queries("debezium", options, message(given, {"id": 1}))
    _, _, assigned = text.partition("n.`x` = ")
    function = assigned.removeprefix("CASE WHEN $_x IS NULL THEN null ELSE ").removesuffix(" END").removesuffix("($_x)")
    return function.removeprefix("$_x"), parameters["_x"]


@pytest.mark.parametrize(("schema", "name", "value", "function", "becomes"), VALUES)
def test_by_the_schema_and_by_the_options(
    schema: dict[str, Any], name: str | None, value: Any, function: str, becomes: Any
):
    expected = (function, pytest.approx(becomes, nan_ok=True) if isinstance(becomes, float) else becomes)
    assert found({}, value, schema) == expected
    if name is not None:
        assert found({"tables": {"t": {"types": {"x": name}}}}, value) == expected


def test_null_has_the_text_of_its_column():
    assert found({}, None, of_time("Date", "int32")) == ("date", None)
    assert found({}, None, decimal(2)) == ("", None)


def test_decimals_as_floats():
    assert found({"decimals": "float"}, "SZYC0g==", decimal(2)) == ("", 12345678.90)
    assert found({"decimals": "float"}, {"scale": 1, "value": "DA=="}) == ("", 1.2)


def test_decimals_without_a_scale_are_known_by_their_form():
    assert found({}, {"scale": 3, "value": "E4g="}) == ("", "5.000")
    assert found({}, [{"scale": 1, "value": "DA=="}]) == ("", ["1.2"])
    assert found({}, {"x": 1.0, "y": 2.0, "wkb": "AQ==", "srid": None}) == (
        "",
        {"x": 1.0, "y": 2.0, "wkb": "AQ==", "srid": None},
    )


def test_a_key_that_is_a_date_stays_a_text():
    options = {"tables": {"t": {"key": "day", "types": {"day": "date"}}}}
    [(text, parameters)] = queries("debezium", options, message(event("c", "t", {"day": 1}), {"day": 1}))
    assert (text, parameters) == ("MERGE (n:`t__key` {`day`: $_day}) SET n:`t`", {"_day": "1970-01-02"})


@pytest.mark.parametrize("value", ["x", {"a": 1}, [1]])
def test_a_value_that_is_not_of_its_type_is_named(value: Any):
    with pytest.raises(WrongMessage, match="the column x of the table t is not of its type: "):
        found({"tables": {"t": {"types": {"x": "date"}}}}, value)


def test_a_schema_is_read_once_and_may_change():
    def sent(fields: list[dict[str, Any]], row: dict[str, Any]) -> Any:
        given = with_schema(event("c", "t", row), "t", [{"field": "after", "type": "struct", "fields": fields}])
        return message(given, {"id": row["id"]})

    date, text = {"field": "payload", **of_time("Date", "int32")}, {"field": "payload", "type": "string"}
    rows = queries(
        "debezium",
        {},
        *(sent([date], {"id": n, "payload": n}) for n in range(3)),
        sent([text], {"id": 3, "payload": ',"payload":{}}'}),
    )
    assert [parameters["_payload"] for _, parameters in rows] == [
        "1970-01-01",
        "1970-01-02",
        "1970-01-03",
        ',"payload":{}}',
    ]
