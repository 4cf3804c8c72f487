"""Which queries of a transform are refused before the server sees them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import TransformError
from sluice.scripting.contract import Entry, entry_of, queries_of
from sluice.values.record import VALUE

BLANKS = (" ", "\n", "\t", "\v", "\f", "\r\n", "\u00a0", "\u3000", "// x\n", "/* COMMIT */", ";")
"What may stand around a word without changing what it is."

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")


def refusal(query: str) -> str:
    """Why a query is refused; empty if it is not."""
    try:
        queries_of(entry_of({"stream": lambda _: [(query, {})]}), {VALUE: []})
    except TransformError as error:
        return str(error)
    return ""


@given(
    before=st.lists(st.sampled_from(BLANKS)).map("".join),
    word=st.sampled_from(CONTROL),
    after=st.lists(st.sampled_from(BLANKS)).map("".join),
    small=st.sets(st.integers(0, 7)),
)
def test_transaction_control_is_refused_in_any_disguise(before: str, word: str, after: str, small: set[int]) -> None:
    disguised = "".join(letter.lower() if index in small else letter for index, letter in enumerate(word))
    assert f"is {word}: a batch is one transaction" in refusal(before + disguised + after)


@pytest.mark.parametrize(
    "query",
    [
        "USING PERIODIC COMMIT 1 UNWIND range(1, 3) AS x CREATE (:A {id: x})",
        "using periodic\ncommit 10 MATCH (n) SET n.x = 1",
        "USING INDEX :L(p), PERIODIC /* x */ COMMIT 1 MATCH (n:L {p: 1}) DELETE n",
        "EXPLAIN USING PERIODIC COMMIT 1 CREATE ()",
        "UNWIND range(1, 9) AS x CALL { WITH x CREATE (:A {id: x}) } IN TRANSACTIONS OF 1 ROWS",
        "UNWIND [1] AS x CALL (x) { CREATE (:A {id: x}) }in\ttransactions of 1 rows RETURN x",
    ],
)
def test_a_query_that_commits_in_its_middle_is_refused(query: str) -> None:
    assert "commits in its middle" in refusal(query)


@pytest.mark.parametrize("query", ["CALL schema.assert()", "CALL `schema` . `assert`() YIELD *"])
def test_schema_assert_is_refused(query: str) -> None:
    assert "calls schema.assert" in refusal(query)


@pytest.mark.parametrize(
    "query",
    [
        "CREATE (:Commit {begin: 1})",
        "MATCH (n) SET n.periodic = 'PERIODIC COMMIT 1'",
        'CREATE (:Transactions {text: "} IN TRANSACTIONS OF 1 ROWS"}) // PERIODIC COMMIT',
        "MATCH (n:Transactions) WHERE n.id IN $transactions RETURN n",
        "MATCH (schema) RETURN schema.assert",
        "RETURN 'CALL schema.assert()' AS text",
        "WITH [1] AS transactions MATCH (n) WHERE n.x IN transactions DELETE n",
        "MATCH (n:Periodic)-[:COMMIT]->() DELETE n",
        "RETURN 'no end",
        "/* no end",
    ],
)
def test_words_that_only_look_alike_are_not(query: str) -> None:
    assert refusal(query) == ""


@pytest.mark.parametrize("text", [[], {}, None, b"RETURN 1"])
def test_what_is_no_text_is_no_query_whether_it_can_be_hashed_or_not(text: Any) -> None:
    queries: list[Any] = [("RETURN 1", {}), (text, {})]
    with pytest.raises(TransformError, match="the query of item 1 must be a str, got"):
        queries_of(Entry("stream", lambda _: queries), {VALUE: [b""]})


def test_a_kind_of_text_is_a_text() -> None:
    class Text(str):
        pass

    queries: list[Any] = [("RETURN 1", {}), (Text("RETURN 1"), {}), (Text("RETURN 2"), {})]
    assert queries_of(Entry("stream", lambda _: queries), {VALUE: [b""]}) == queries
