"""Statements of Memgraph's dialect, on the graph that the sandbox has."""

from __future__ import annotations

from typing import Any

import neo4j
import pytest
from neo4j.exceptions import ClientError

from tests.unit.sandbox.conftest import Run


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SHOW REPLICATION ROLE", [{"replication role": "main"}]),
        ("show version;", [{"version": "2.14.1"}]),
        ("CREATE INDEX ON :Indexed", []),
        ("CREATE INDEX ON :Indexed(id)", []),
        ("CREATE INDEX ON :Indexed(id);", []),
        ("CREATE CONSTRAINT ON (n:Constrained) ASSERT n.a, n.b IS UNIQUE", []),
        ("CREATE CONSTRAINT ON (n:Constrained) ASSERT EXISTS (n.c)", []),
        ("RETURN assert(true, 'x')", [{"assert(true, 'x')": True}]),
        ("UNWIND [3, 1] AS x RETURN x ORDER BY x;", [{"x": 1}, {"x": 3}]),
    ],
)
def test_a_statement_is_understood(run: Run, query: str, expected: list[dict[str, Any]]) -> None:
    assert run(query) == expected


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("false, 'it\\'s wrong'", "Assertion failed: it's wrong."),
        ("null, $text", "Assertion failed: from a parameter."),
        ("1 = 2, 'sum: ' + toString(1 + 1)", "Assertion failed: sum: 2."),
        ("false", "Assertion failed."),
    ],
)
@pytest.mark.parametrize("query", ["RETURN assert({})", "WITH assert({}) AS x CREATE (:Asserted)"])
def test_an_assertion_fails_with_its_text(run: Run, query: str, condition: str, text: str) -> None:
    with pytest.raises(ClientError) as caught:
        run(query.format(condition), text="from a parameter")

    assert caught.value.message == text
    assert run("MATCH (n:Asserted) RETURN count(n) AS n") == [{"n": 0}]


def test_a_uniqueness_constraint_is_kept(run: Run) -> None:
    run("CREATE CONSTRAINT ON (n:Unique) ASSERT n.id IS UNIQUE")
    run("CREATE (:Unique {id: 1})")

    with pytest.raises(ClientError, match="unique constraint violation") as caught:
        run("CREATE (:Unique {id: 1})")
    assert caught.value.code == "Memgraph.ClientError.MemgraphError.MemgraphError"


def test_the_size_of_the_graph_is_told(run: Run) -> None:
    before = {row["storage info"]: row["value"] for row in run("SHOW STORAGE INFO")}
    run("CREATE (:Sized)-[:TO]->(:Sized)")
    after = {row["storage info"]: row["value"] for row in run("SHOW STORAGE INFO")}

    assert after == {"vertex_count": before["vertex_count"] + 2, "edge_count": before["edge_count"] + 1}


def test_columns_are_named_also_when_there_are_no_records(driver: neo4j.Driver) -> None:
    with driver.session() as session:
        assert [*session.run("MATCH (n:Nothing) RETURN n.a AS a, count(n), n.b").keys()] == ["a", "count(n)", "n.b"]


@pytest.mark.parametrize("query", ["NONSENSE", "RETURN $missing", "RETURN 1 / 0", "CALL nothing()"])
def test_every_error_of_the_client_has_memgraphs_code(run: Run, query: str) -> None:
    with pytest.raises(ClientError) as caught:
        run(query)

    assert caught.value.code == "Memgraph.ClientError.MemgraphError.MemgraphError"


@pytest.mark.parametrize("query", ["MATCH (n) WHERE id(n) = $id RETURN n", "MATCH (n) WHERE id(n) IN [$id] RETURN n"])
def test_a_vertex_is_found_by_its_id(run: Run, query: str) -> None:
    (row,) = run("CREATE (n:Found {name: 'x'}) RETURN id(n) AS id")

    assert [dict(found["n"]) for found in run(query, **row)] == [{"name": "x"}]


def test_a_vertex_is_deleted_only_if_it_is_marked(run: Run) -> None:
    query = "MATCH (n) WHERE id(n) = $id AND n.dropped DETACH DELETE n"
    (row,) = run("CREATE (n:Marked)-[:TO]->(:Other) RETURN id(n) AS id")
    run(query, **row)
    assert run("MATCH (n:Marked) RETURN count(n) AS n") == [{"n": 1}]
    run("MATCH (n) WHERE id(n) = $id SET n.dropped = true", **row)
    run(query, **row)
    assert run("MATCH (n:Marked) RETURN count(n) AS n") == [{"n": 0}]
