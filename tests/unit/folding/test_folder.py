"""Which queries of a batch become one, and which stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.folding import FOLDED, Folder, explain
from sluice.folding.plan import plan_of
from tests.unit.folding.batches import Query

VERTEX = "CREATE (:Node {id: $id})"
EDGE = "MATCH (n:Node {id: $a}), (m:Node {id: $b}) CREATE (n)-[:Edge]->(m)"
UPSERT = "MERGE (n:Node {id: $id}) SET n.name = $name"
COUNT = "MATCH (n:Node {id: $id}) SET n.count = n.count + 1"
LAST = "MATCH (n:Node {id: $id}) WHERE n.v < $v SET n.v = $v"
CALL = "CALL mg.procedures() YIELD name RETURN name"


def sizes(*queries: tuple[str, dict]) -> list[int]:
    """How many queries of the batch each folded one stands for; a folder looks into a text when it meets it again."""
    folder = Folder()
    folder.fold(list(queries))
    folded = folder.fold(list(queries))
    assert sorted(index for item in folded for index in item.indices) == list(range(len(queries)))
    return [len(item.indices) for item in folded]


def test_equal_creates_become_one():
    assert sizes(*((VERTEX, {"id": i}) for i in range(100))) == [100]


def test_equal_edges_become_one():
    assert sizes(*((EDGE, {"a": i, "b": i + 1}) for i in range(100))) == [100]


def test_upserts_become_one_also_where_keys_repeat():
    assert sizes(*((UPSERT, {"id": i % 3, "name": str(i)}) for i in range(100))) == [100]


def test_counters_become_one():
    assert sizes(*((COUNT, {"id": 1}) for _ in range(10))) == [10]


def test_an_edge_may_pass_vertices_that_it_does_not_meet():
    queries = [(VERTEX, {"id": 1}), (EDGE, {"a": 7, "b": 8}), (VERTEX, {"id": 2}), (EDGE, {"a": 8, "b": 9})]
    assert sorted(sizes(*queries)) == [2, 2]


def test_an_edge_may_not_pass_the_vertex_that_it_needs():
    queries = [(EDGE, {"a": 1, "b": 2}), (VERTEX, {"id": 2}), (EDGE, {"a": 1, "b": 2}), (VERTEX, {"id": 3})]
    folder = Folder()
    folder.fold(queries)
    order = [index for item in folder.fold(queries) for index in item.indices]
    assert order.index(0) < order.index(1) < order.index(2)


def test_queries_that_look_for_what_earlier_ones_wrote_come_in_series():
    assert sizes(*((LAST, {"id": 1, "v": i}) for i in range(3))) == [1] * 3
    assert sizes(*((LAST, {"id": 1, "v": i}) for i in range(30))) == [16, 4, 4, 4, 1, 1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CALL, id="a procedure"),
        pytest.param("MATCH (n:Node) RETURN count(n)", id="an aggregate"),
        pytest.param("this is no Cypher $id", id="what is not understood"),
    ],
)
def test_what_is_not_understood_stays_in_its_place(text: str):
    queries = [(text, {"id": 1}), (VERTEX, {"id": 1}), (text, {"id": 2}), (VERTEX, {"id": 2})]
    folder = Folder()
    folder.fold(queries)
    assert [item.indices for item in folder.fold(queries)] == [[0], [1], [2], [3]]
    assert explain(text) != explain(VERTEX)


TAGS = "MERGE (n:N {id: $id}) WITH n UNWIND $tags AS tag MERGE (t:Tag {name: tag}) MERGE (n)-[:HAS]->(t)"
LATEST = (
    "MATCH (s:S {id: $id}) OPTIONAL MATCH (s)-[old:LATEST]->() DELETE old CREATE (s)-[:LATEST]->(:Reading {at: $at})"
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        pytest.param(
            "WITH $event AS event MERGE (n:N {id: event.id}) SET n += event.rest",
            "UNWIND $rows AS row WITH row AS event, row MERGE (n:N {id: event.id}) SET n += event.rest",
            id="a parameter gets a name",
        ),
        pytest.param(
            TAGS,
            "UNWIND $rows AS row MERGE (n:N {id: row[0]}) WITH n, row UNWIND row[1] AS tag "
            "MERGE (t:Tag {name: tag}) MERGE (n)-[:HAS]->(t)",
            id="the row goes on through WITH",
        ),
        pytest.param(
            "MERGE (n:N {id: $id}) FOREACH (x IN $xs | CREATE (n)-[:HAS]->(:X $map)) RETURN count(*)",
            "UNWIND $rows AS row MERGE (n:N {id: row[0]}) "
            "FOREACH (x IN row[1] | CREATE (n)-[:HAS]->(made_1:X ) SET made_1 = row[2]) ",
            id="FOREACH, and a result that nobody sees",
        ),
        pytest.param(
            LATEST,
            "UNWIND $rows AS row MATCH (s:S {id: row[0]}) OPTIONAL MATCH (s)-[old:LATEST]->() DELETE old "
            "CREATE (s)-[:LATEST]->(:Reading {at: row[1]})",
            id="OPTIONAL MATCH, and what comes after DELETE",
        ),
    ],
)
def test_what_a_text_becomes(text: str, folded: str):
    assert plan_of(text).rewrites.rows.text == folded
    assert explain(text) == FOLDED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("MATCH (n:N {id: $id}) WITH n LIMIT 1 SET n.x = 1", "WITH orders or counts rows"),
        ("MATCH (n:N {id: $id}) WITH DISTINCT n SET n.x = 1", "WITH leaves out rows that are alike"),
        ("MATCH (n:N) WITH count(n) AS c CREATE (:C {n: c})", "the function count is not known"),
        (
            "MERGE (a:N {id: $a}) MERGE (b:N {id: $b}) WITH a MERGE (a)-[:R]->(b)",
            "the variable b is not known",
        ),
        ("FOREACH (x IN $xs | MERGE (n:N {id: x})) SET n.x = 1", "the variable n is not known"),
        ("MATCH (n:N {id: $id}) SET n.x = 1 WITH n RETURN n", "it writes nothing after its last WITH"),
        ("CREATE (n:N) WITH n MATCH (m:N {id: $id}) RETURN m", "it writes nothing after its last WITH"),
        ("CREATE (n:N) WITH n UNWIND $xs AS x RETURN count(*)", "it writes nothing after its last WITH"),
    ],
)
def test_what_is_not_folded_says_why(text: str, reason: str):
    assert explain(text).startswith(f"sent as it is: {reason}")


def test_rows_that_meet_are_kept_apart_where_the_query_is_done_in_parts():
    # All rows get through MERGE before any gets to what comes after WITH.
    edge = "MERGE (a:N {id: $a}) WITH a MATCH (b:N {id: $b}) CREATE (a)-[:R]->(b)"
    assert sizes(*((edge, {"a": i, "b": i + 100}) for i in range(10))) == [10]
    assert sizes(*((edge, {"a": i, "b": i + 1}) for i in range(10))) == [4, 4, 1, 1]


def test_a_latest_reading_of_each_sensor_is_folded_and_several_of_one_are_not():
    assert sizes(*((LATEST, {"id": i, "at": 1}) for i in range(10))) == [10]
    assert sizes(*((LATEST, {"id": i % 5, "at": i}) for i in range(10))) == [5, 5]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param(LAST, "MATCH (n:Node {id: $p#_0}) WHERE n.v < $p#_1 SET n.v = $p#_1", id="a parameter twice"),
        pytest.param("// one\nCREATE (:N {k: $a}) // two\n; // three", "// one\nCREATE (:N {k: $p#_0})", id="comments"),
        pytest.param("CREATE (:N {k: $`a b`}) RETURN count(*);", "CREATE (:N {k: $p#_0}) ", id="a result"),
        pytest.param("CREATE (:N {k: $a.b, j: $a})", "CREATE (:N {k: $p#_0.b, j: $p#_0})", id="a part of a value"),
        pytest.param("CREATE (:N {k: $p1_0, j: $p0_0})", "CREATE (:N {k: $p#_0, j: $p#_1})", id="names like ours"),
        pytest.param("CREATE (n $a) // two", "CREATE (n ) SET n = $p#_0", id="a map"),
        pytest.param(
            "WITH $a AS a, $b AS b CREATE (:N {k: a})", "WITH $p#_0 AS a, $p#_1 AS b CREATE (:N {k: a})", id="WITH"
        ),
    ],
)
def test_what_a_series_looks_like(text: str, part: str):
    series = plan_of(text).rewrites.series
    assert series is not None
    assert series.text(4) == " WITH count(*) AS done ".join(part.replace("#", str(number)) for number in range(4))


def test_a_series_has_a_name_that_its_text_has_not():
    series = plan_of("MATCH (done:N {k: $a}) SET done.`Done_1` = $b").rewrites.series
    assert series is not None
    assert series.text(4).count("WITH count(*) AS done_2 MATCH") == 3


def test_a_series_has_the_values_of_its_queries():
    queries = [(LAST, {"id": 1, "v": i}) for i in range(4)]
    folder = Folder()
    folder.fold(queries)
    (folded,) = folder.fold(queries)
    assert folded.indices == [0, 1, 2, 3]
    assert folded.parameters == {f"p{i}_{place}": value for i in range(4) for place, value in enumerate((1, i))}


def test_a_series_of_a_text_without_parameters_has_none():
    queries: list[tuple[str, dict]] = [("MATCH (n:Node) WHERE n.v < 3 SET n.v = n.v + 1", {})] * 5
    folder = Folder()
    folder.fold(queries)
    assert [(item.indices, item.parameters) for item in folder.fold(queries)] == [([0, 1, 2, 3], {}), ([4], {})]


def test_what_takes_the_server_long_to_plan_comes_in_no_series():
    for text in (
        "MATCH (n:N {id: $id})-[r:R]->(m) DELETE r",
        "MATCH (n:N {id: $a}), (m:N {id: $b}) SET n.id = m.id",
        "MATCH (n:N {id: $a}) MERGE (n)-[:R]->(m:N {id: $b})",
        "MATCH (n:N {id: $a}) FOREACH (x IN $xs | MERGE (n)-[:R]->(:N {id: x}))",
        "MATCH (n:N {id: $a}) SET n.id = 1 WITH n MATCH (m:N {id: $b}) SET m.v = 1",
    ):
        assert plan_of(text).rewrites.series is None, text


NUMBERED = "MERGE (n:A {k: $k}) SET n.v = $v"
LISTED = "UNWIND $list AS x MERGE (n:A {k: x.k})"


def test_a_merge_of_1_and_one_of_1_0_stay_in_their_order():
    numbers = [1, 2, 1.0, 3, 2.5, 4]
    assert sizes(*((NUMBERED, {"k": k, "v": 0}) for k in numbers)) == [1, 1, 1, 3]
    assert sizes(*((NUMBERED, {"k": k, "v": 0}) for k in (1, 2, 3.5, 4.0))) == [4]
    assert sizes(*((LISTED, {"list": [{"k": k}]}) for k in numbers)) == [1, 1, 1, 3]
    assert (
        sizes((NUMBERED, {"k": 1, "v": 0}), (LISTED, {"list": [{"k": 1.0}]}), (NUMBERED, {"k": 1, "v": 0})) == [1] * 3
    )
    whole = "MERGE (n:A {k: toInteger($k)}) SET n.v = $v"
    assert sizes(*((whole, {"k": k, "v": 0}) for k in ("1", "2"))) == [2]
    assert sizes((whole, {"k": "1", "v": 0}), (NUMBERED, {"k": 1.0, "v": 0}), (whole, {"k": "2", "v": 0})) == [1] * 3


def test_a_map_that_replaces_all_and_keeps_the_key_is_folded():
    for text in (
        "MERGE (n:N {id: $id}) SET n = {id: $id, name: $name}",
        "MATCH (n:N {id: $id}) SET n = {id: $id, x: $x}",
    ):
        assert explain(text) == FOLDED
    assert explain("MATCH (n:N {id: $id}) SET n = {id: $other, name: $name}") != FOLDED


def test_parameters_become_rows():
    folder = Folder()
    queries = [(VERTEX, {"id": i}) for i in range(3)]
    folder.fold(queries)
    (folded,) = folder.fold(queries)
    assert folded.text.startswith("UNWIND $")
    ((name, rows),) = folded.parameters.items()
    assert f"${name}" in folded.text
    assert len(rows) == 3


PERSON = "MERGE (n:P {id: $id}) SET n += $map"


def folded(*queries: Query) -> list[tuple[str, Any]]:
    return [(item.text, item.parameters) for item in Folder().fold(queries)]


def test_maps_with_the_same_keys_are_sent_as_their_values():
    people = [(PERSON, {"id": i, "map": {"name": f"n{i}", "end": None}}) for i in range(2)]
    assert folded(*people) == [
        (
            "UNWIND $rows AS row MERGE (n:P {id: row[0]}) SET n += {`name`: row[1], `end`: row[2]}",
            {"rows": [[0, "n0", None], [1, "n1", None]]},
        )
    ]
    wide = [("CREATE (:P $map)", {"map": {"a": i, "b": [i]}}) for i in range(2)]
    assert folded(*wide) == [
        (
            "UNWIND $rows AS row CREATE (made_1:P ) SET made_1 = {`a`: row[0], `b`: row[1]}",
            {"rows": [[0, [0]], [1, [1]]]},
        )
    ]


@pytest.mark.parametrize(
    "maps",
    [
        pytest.param([{"a": 1}, {"b": 1}], id="other keys"),
        pytest.param([{"a": 1}, {"a": 1, "b": 2}], id="more keys"),
        pytest.param([{}, {}], id="none"),
        pytest.param([{"a b": 1}] * 2, id="no name"),
        pytest.param([{"a`": 1}] * 2, id="a quote"),
        pytest.param([{f"k{i}": i for i in range(101)}] * 2, id="too many"),
    ],
)
def test_other_maps_stay_maps(maps: list[dict[str, Any]]):
    rows = [[number, values] for number, values in enumerate(maps)]
    assert folded(*((PERSON, {"id": number, "map": values}) for number, values in rows)) == [
        ("UNWIND $rows AS row MERGE (n:P {id: row[0]}) SET n += row[1]", {"rows": rows})
    ]


def test_of_a_map_only_what_is_asked_is_sent():
    text = "MERGE (n:P {id: $event.id}) SET n.name = $event.after.name, n.seen = $seen"
    events = [({"id": i, "after": {"name": f"n{i}"}, "more": "x" * 99}, i) for i in range(2)]
    assert folded(*((text, {"event": event, "seen": seen}) for event, seen in events)) == [
        (
            "UNWIND $rows AS row MERGE (n:P {id: row[0]}) SET n.name = (row[1]).name, n.seen = row[2]",
            {"rows": [[0, {"name": "n0"}, 0], [1, {"name": "n1"}, 1]]},
        )
    ]
    [(_, parameters)] = folded(*((text, {"event": {}, "seen": 1}) for _ in range(2)))
    assert parameters == {"rows": [[None, None, 1]] * 2}


def test_a_map_may_be_asked_and_given_as_a_whole():
    text = "MERGE (n:P {id: $map.id}) SET n += $map"
    assert folded(*((text, {"map": {"id": i, "x": i}}) for i in range(2))) == [
        (
            "UNWIND $rows AS row MERGE (n:P {id: row[0]}) SET n += {`id`: row[0], `x`: row[1]}",
            {"rows": [[0, 0], [1, 1]]},
        )
    ]
    [(found, _)] = folded(*((text, {"map": {"x": i}}) for i in range(2)))
    assert found == "UNWIND $rows AS row MERGE (n:P {id: row.id}) SET n += row"


def test_ever_new_keys_are_not_ever_new_texts():
    folder = Folder()
    texts = set()
    for i in range(100):
        texts |= {item.text for item in folder.fold([(PERSON, {"id": j, "map": {f"k{i}": 1}}) for j in range(2)])}
    assert len(texts) == 17
