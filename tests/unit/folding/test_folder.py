"""Which queries of a batch become one, and which stay as they are."""

from __future__ import annotations

import pytest

from sluice.folding import Folder, explain

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


def test_a_condition_on_what_earlier_rows_wrote_is_not_folded():
    assert sizes(*((LAST, {"id": 1, "v": i}) for i in range(5))) == [1] * 5


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


def test_parameters_become_rows():
    folder = Folder()
    queries = [(VERTEX, {"id": i}) for i in range(3)]
    folder.fold(queries)
    (folded,) = folder.fold(queries)
    assert folded.text.startswith("UNWIND $")
    ((name, rows),) = folded.parameters.items()
    assert f"${name}" in folded.text
    assert len(rows) == 3
