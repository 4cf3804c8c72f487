"""What a plan says of missing indexes. The plans are as Memgraph 2.14 prints them."""

from __future__ import annotations

import pytest

from sluice.engine.test_execution import doubles_of, warnings_of


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param(
            [" * Produce {n}", " * Filter (n :Node), {n.id}", " * ScanAll (n)", " * Once"],
            ["n: scans every vertex of the graph; CREATE INDEX ON :Node(id) would help"],
            id="neither index",
        ),
        pytest.param(
            [" * Produce {n}", " * Filter {n.id}", " * ScanAllByLabel (n :Node)", " * Once"],
            ["n: scans every vertex with the label Node; CREATE INDEX ON :Node(id) would help"],
            id="an index of the label only",
        ),
        pytest.param([" * Produce {n}", " * ScanAllByLabelPropertyValue (n :Node {id})", " * Once"], [], id="an index"),
        pytest.param([" * Delete", " * ScanAllByLabel (n :Node)", " * Once"], [], id="all of a label are wanted"),
        pytest.param(
            [" * Produce {n}", " * Filter (n :Node)", " * ScanAll (n)", " * Once"],
            ["n: scans every vertex of the graph; CREATE INDEX ON :Node would help"],
            id="a label without an index",
        ),
        pytest.param(
            [" * Produce {n}", " * ScanAll (n)", " * Once"], ["n: scans every vertex of the graph"], id="everything"
        ),
        pytest.param([" * Produce {0}", " * ScanAllById (k)", " * Once"], [], id="by id"),
        pytest.param(
            [
                " * EmptyResult",
                " * Merge",
                " |\\ On Match",
                " | * Filter (a :Account), {a.id}",
                " | * ScanAll (a)",
                " | * Once",
                " |\\ On Create",
                " | * CreateNode",
                " | * Once",
                " * Once",
            ],
            ["a: scans every vertex of the graph; CREATE INDEX ON :Account(id) would help"],
            id="in a branch",
        ),
        pytest.param(
            [
                " * Filter (a :A), {a.x}",
                " * Cartesian {a : b}",
                " |\\",
                " | * Filter (b :B), {b.y}",
                " | * ScanAll (b)",
                " | * Once",
                " * ScanAll (a)",
                " * Once",
            ],
            [
                "b: scans every vertex of the graph; CREATE INDEX ON :B(y) would help",
                "a: scans every vertex of the graph; CREATE INDEX ON :A(x) would help",
            ],
            id="two",
        ),
        pytest.param([], [], id="another engine's plan"),
    ],
)
def test_warnings(plan, expected):
    assert list(warnings_of(plan)) == expected


def test_what_other_clients_could_create_twice_is_named_until_a_constraint_prevents_it():
    text = "MATCH (c:City {name: $city}) MERGE (p:Person {id: $id}) MERGE (p)-[:IN]->(c)"
    [warning] = doubles_of(text, frozenset())
    assert "CREATE CONSTRAINT ON (n:Person) ASSERT n.id IS UNIQUE; prevents that" in warning
    assert list(doubles_of(text, {("Person", frozenset({"id"}))})) == []
    assert list(doubles_of("CREATE (p:Person {id: $id})", frozenset())) == []
