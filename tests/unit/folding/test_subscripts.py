"""Fields of parameters as subscripts, for servers that mistake them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sluice.folding import Folder, subscripted

VALUE = {"id": 1, "a": {"b": None, "c's": 2}, "day": datetime.date(2024, 2, 29), "none": None}


def sent(text: str, **parameters: Any) -> str:
    [(sent_text, same)] = subscripted([(text, parameters)])
    assert same is parameters
    return sent_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MATCH (n:N {id: $value.id}) RETURN n", "MATCH (n:N {id: $value['id']}) RETURN n"),
        ("MATCH (n) WHERE n.id = $value . id SET n += $value", "MATCH (n) WHERE n.id = $value['id'] SET n += $value"),
        ("RETURN $value.a.b, $value.a.`c's`", "RETURN $value['a']['b'], $value['a']['c\\'s']"),
        ("RETURN $value.none.x, $value.away.x", "RETURN $value['none']['x'], $value['away']['x']"),
        ("RETURN $`value`.id AS id // $value.id", "RETURN $`value`['id'] AS id // $value.id"),
        ("RETURN '$value.id', n.value.id, $value", "RETURN '$value.id', n.value.id, $value"),
        ("RETURN $value.day.year, $day.year", "RETURN $value.day.year, $day.year"),
        ("RETURN $value['a'].b, (row[1]).b.c, f(row[1]).b", "RETURN $value['a'].b, (row[1])['b']['c'], f(row[1]).b"),
        ("RETURN $value.id + 'never ends", "RETURN $value.id + 'never ends"),
        ("", ""),
    ],
)
def test_fields_of_maps_become_subscripts(text: str, expected: str) -> None:
    assert sent(text, value=VALUE, day=VALUE["day"]) == expected


def test_folded_queries_have_no_fields_of_columns_left() -> None:
    text = "MATCH (a:A {id: $value.a.id}), (b:B {id: $value.b}) MERGE (a)-[:R]->(b) SET a += $value"
    queries = [(text, {"value": {"a": {"id": number}, "b": number}}) for number in range(3)]
    folded = [(item.text, item.parameters) for item in Folder().fold(queries)]
    assert len(folded) == 1
    assert "(row[" in folded[0][0]
    [(text_sent, _)] = subscripted(folded)
    assert "]).id" in folded[0][0]
    assert "])['id']" in text_sent
    assert "])." not in text_sent
