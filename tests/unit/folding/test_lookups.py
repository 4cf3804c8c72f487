"""By which parameters texts look for vertices and relationships, and that a NaN among them is found."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sluice.folding.lookups import lookups_of, nan_sought

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "lookups"),
    [
        ("CREATE (n:N {id: $id})", []),
        ("MERGE (n:N {id: $id}) SET n.v = $v", ["id"]),
        ("MERGE (n:N {id: $id}) ON CREATE SET n.a = $a ON MATCH SET n.b = $b RETURN n.c = $c", ["id"]),
        ("MERGE (n:N $map)", ["map"]),
        ("MERGE (n:Match {merge: $a, `b c`: $`d e`}) SET n.match = $m", ["a", "d e"]),
        ("MERGE (n:N {id: $row.key.id})", ["row.key.id"]),
        ("MERGE (n:N {id: $a + '-' + toString($b)}) SET n.v = $v", ["a", "b"]),
        ("MATCH (a:A {id: $a}), (b:B {id: $b}) CREATE (a)-[:R {v: $v}]->(b)", ["a", "b"]),
        ("MATCH p = (a {x: $x})-[r:T|U *1..3 {k: $k}]->() RETURN p", ["k", "x"]),
        ("OPTIONAL MATCH (n:N {id: $id}) WITH n WHERE n IS NULL CREATE (:N {id: $new})", ["id"]),
        ("MATCH (a:A {id: $id}) MERGE (b:B {ref: a.ref}) SET b.v = $v", ["id"]),
        ("MATCH (n:N) WHERE n.id = $id AND n.v < $v AND n:L SET n.w = $w", ["id"]),
        ("UNWIND $ids AS id MATCH (n:N) WHERE id = n.id RETURN n", ["ids"]),
        # What is only compared is not looked for.
        ("MATCH (n:N {id: $id}) WHERE NOT n.v = $v SET n.v = $v", ["id"]),
        ("MATCH (n:N {id: $id}) WHERE n.u = $u OR n.v = $v SET n.v = $v", ["id"]),
        ("MATCH (n:N {id: $id}) WITH n, n.v = $v AS same SET n.v = $v", ["id"]),
        # Values with names.
        ("UNWIND $rows AS row MERGE (n:N {id: row.id}) SET n += row", ["rows.id"]),
        ("UNWIND $rows AS row UNWIND row.items AS item MERGE (n:N {id: item.id})", ["rows.items.id"]),
        ("UNWIND $rows AS row WITH row.key AS k, row.v AS v MERGE (n:N {id: k}) SET n.v = v", ["rows.key"]),
        ("UNWIND $rows AS row WITH row.key + $x AS k, row.v AS v MERGE (n:N {id: k}) SET n.v = v", ["rows.key", "x"]),
        ("WITH {id: $x, v: $v} AS m MERGE (n:N {id: m.id})", ["v", "x"]),
        ("UNWIND [x IN $xs | x.id] AS id MERGE (n:N {id: id})", ["xs", "xs.id"]),
        ("FOREACH (x IN $xs | MERGE (:N {id: x.a})-[:R {k: x.b.c}]->(:M {d: 1}) SET n.c = x.d)", ["xs.a", "xs.b.c"]),
        # Any parameter.
        ("CALL p($x) YIELD y MERGE (n:N {id: y})", [""]),
        # What the server refuses.
        ("MATCH (", []),
        ("MERGE", []),
        ("MATCH (n) WHERE", []),
        ("WITH $x AS", []),
        ("MERGE (n {id: $id}) SET n.a = 'x", []),
    ],
)
def test_parameters_in_patterns_are_looked_for(text: str, lookups: list[str]) -> None:
    assert sorted(map(".".join, lookups_of(text))) == lookups


def test_names_that_are_made_of_names_take_no_time() -> None:
    names = " ".join(f"WITH a{n} + a{n} AS a{n + 1}" for n in range(200))
    assert lookups_of(f"WITH $x AS a0 {names} MERGE (n:N {{id: a200}})") == {("x",)}


@pytest.mark.parametrize(
    ("text", "parameters", "place"),
    [
        ("MERGE (n:N {id: $id}) SET n.v = $v", {"id": 1, "v": NAN}, None),
        ("MERGE (n:N {id: $id}) SET n.v = $v", {"id": NAN, "v": 1}, "id"),
        ("MERGE (n:N {id: $id})", {"id": -NAN}, "id"),
        ("MERGE (n:N {id: $id})", {"id": math.inf}, None),
        ("MERGE (n:N {id: $id})", {"id": None}, None),
        ("MERGE (n:N {id: $id})", {}, None),
        ("MERGE (n:N {id: $id})", {"id": [1, {"a": NAN}]}, "id[1].a"),
        ("MERGE (n:N {id: $row.id})", {"row": {"id": NAN}}, "row.id"),
        ("MERGE (n:N {id: $row.id})", {"row": NAN}, None),
        ("UNWIND $rows AS row MERGE (n:N {id: row.id}) SET n += row", {"rows": [{"id": 1, "v": NAN}]}, None),
        ("UNWIND $rows AS row MERGE (n:N {id: row.id})", {"rows": [{"id": 1}, {}, {"id": NAN}]}, "rows[2].id"),
        ("CALL p($x) YIELD y MERGE (n:N {id: y})", {"x": 1, "z": {"a": [1, NAN]}}, "z.a[1]"),
    ],
)
def test_nan_is_found_where_it_is_looked_for(text: str, parameters: dict[str, Any], place: str | None) -> None:
    assert nan_sought(text, parameters) == place
