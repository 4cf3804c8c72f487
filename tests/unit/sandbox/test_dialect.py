"""What becomes of a statement."""

from __future__ import annotations

import pytest

from sandbox.calls import Call
from sandbox.dialect import Control, Passed, assertion_in, columns_of, read


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("CREATE (:Node {id: 1})", id="data"),
        pytest.param("MATCH (n) RETURN n.assert", id="a property by the name of assert"),
        pytest.param("RETURN 'assert(false)' AS x", id="assert inside of a string"),
        pytest.param("RETURN 1 AS x // assert(false)", id="assert inside of a comment"),
        pytest.param("MATCH (n) CALL { WITH n RETURN 1 AS x } RETURN x", id="a subquery"),
        pytest.param("SHOW INDEXES", id="a SHOW that the graph knows itself"),
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert read(text) == Passed(None)


def test_a_call_is_recognised_behind_comments_and_before_a_semicolon() -> None:
    assert read("// hello\n /* a\nb */ CALL m.p() ; ") == Call("m.p", (), None, "")


@pytest.mark.parametrize("text", ["BEGIN", " commit ;", "/* x */ Rollback;;"])
def test_transactions_may_be_begun_and_ended_by_statements(text: str) -> None:
    assert read(text) == Control(text.strip(" ;").split()[-1].upper())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("show replication  role;", "RETURN 'main' AS `replication role`"),
        ("CREATE INDEX ON :Person", "FINISH"),
        ("CREATE INDEX ON :Person(id)", "CREATE INDEX IF NOT EXISTS FOR (n:Person) ON (n.id)"),
        ("create index on :`A b`(`c d`)", "CREATE INDEX IF NOT EXISTS FOR (n:`A b`) ON (n.`c d`)"),
        (
            "DROP CONSTRAINT ON (p:Person) ASSERT p.id IS UNIQUE;",
            "DROP CONSTRAINT constraint_Person_id_unique",
        ),
        (
            "CREATE CONSTRAINT ON (p:Person) ASSERT p.id IS UNIQUE",
            "CREATE CONSTRAINT IF NOT EXISTS FOR (p:Person) REQUIRE (p . id) IS UNIQUE",
        ),
        (
            "CREATE CONSTRAINT ON (p:Person) ASSERT EXISTS (p.id)",
            "CREATE CONSTRAINT IF NOT EXISTS FOR (p:Person) REQUIRE p . id IS NOT NULL",
        ),
    ],
)
def test_what_has_other_words(text: str, expected: str) -> None:
    assert read(text) == Passed(expected)


def test_an_assertion_becomes_an_expression_that_fails() -> None:
    statement = read("MATCH (n) WITH assert(n.x = f(1, 2), 'a, (b') AS held SET n.y = 1")

    assert statement == Passed(
        "MATCH (n) WITH (CASE WHEN n.x = f(1, 2) THEN true "
        "ELSE date('sandbox assertion: ' + 'Assertion failed: ' + ('a, (b') + '.') IS NULL END) AS held SET n.y = 1"
    )


def test_assertions_inside_of_assertions_are_all_replaced() -> None:
    statement = read("RETURN assert(assert(true), 'x') AS a, ASSERT(false) AS b")

    assert isinstance(statement, Passed)
    assert statement.rewritten is not None
    assert statement.rewritten.count("CASE WHEN") == 3
    assert "assert(" not in statement.rewritten.lower()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            "date() cannot parse 'sandbox assertion: Assertion failed: it's.' as a date or timezone",
            "Assertion failed: it's.",
        ),
        ("date() cannot parse 'x' as a date or timezone", None),
    ],
)
def test_the_text_of_an_assertion_is_found_in_the_error(error: str, expected: str | None) -> None:
    assert assertion_in(error) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MATCH (n) RETURN n", ["n"]),
        ("MATCH (n) RETURN n.a, count(*) AS c, f(1, 2)", ["n.a", "c", "f(1, 2)"]),
        ("MATCH (n) RETURN DISTINCT n.`a b` AS `c d` ORDER BY n.x SKIP 1 LIMIT 2;", ["c d"]),
        ("MATCH (n) CALL { WITH n RETURN 1 AS x } RETURN x AS y", ["y"]),
        ("RETURN 1 AS a UNION RETURN 2 AS a", ["a"]),
        ("MATCH (n) RETURN *", []),
        ("CREATE (n)", []),
        ("CREATE (n {a: 'RETURN b'})", []),
    ],
)
def test_columns_of(text: str, expected: list[str]) -> None:
    assert columns_of(text) == expected
