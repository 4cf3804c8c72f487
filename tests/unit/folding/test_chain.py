"""Queries of which each finds what one before it has made become one query."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.folding import Folder
from sluice.folding.chain import ROOT, chains
from sluice.folding.folder import MAX_REFUSALS
from sluice.folding.plan import plan_of
from tests.unit.folding.batches import Query

LINK = "MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id})"


def links(*pairs: tuple[Any, Any]) -> list[Query]:
    return [(LINK, {"last": last, "id": new}) for last, new in pairs]


def folded(queries: list[Query], folder: Folder | None = None) -> list[tuple[str, list[int]]]:
    folder = folder or Folder()
    return [("chain" if ROOT in item.parameters else "query", item.indices) for item in folder.fold(queries)]


def test_a_chain_becomes_one_query() -> None:
    [query] = Folder().fold(links((1, 2), (2, 3), (3, 4), (4, 5)))
    assert query.text == (
        "MATCH (n:N {id: $root}) WITH count(*) AS found "
        "WITH assert(found > 0, 'there is nothing for the first link of a chain to begin with') AS found "
        "UNWIND $rows AS row MERGE (n:N {id: row[0]}) CREATE (n)-[:NEXT]->(:N {id: row[1]})"
    )
    assert query.parameters == {"root": 1, "rows": [[1, 2], [2, 3], [3, 4], [4, 5]]}


@pytest.mark.parametrize(
    ("text", "is_chain"),
    [
        (LINK, True),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N:Tail {id: $id, at: $at}), (:Log {id: $id})", True),
        ("MATCH (n:N {id: $last}) CREATE (m:N {id: $id}) CREATE (n)-[:NEXT]->(m)-[:OF]->(:List {name: $list})", True),
        ("MATCH (n:N {id: $event.last}) CREATE (n)-[:NEXT]->(:N {id: $event.id})", True),
        ("/* next */ match (:N {id: $last}) CREATE (:N {id: $id});", True),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id}) RETURN n", True),
        ("OPTIONAL MATCH (n:N {id: $last}) CREATE (:N {id: $id})", False),
        ("MATCH (n:N {id: $last}) WHERE n.open CREATE (n)-[:NEXT]->(:N {id: $id})", False),
        ("MATCH (n:N {id: $last, list: $list}) CREATE (n)-[:NEXT]->(:N {id: $id, list: $list})", False),
        ("MATCH (n {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id})", False),
        ("MATCH (n:N {id: $last})-[:OF]->(l) CREATE (n)-[:NEXT]->(:N {id: $id})", False),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(m:N {id: $id}) SET m.id = $other", False),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id}), (:N {id: $other})", False),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id}), (m:M $map)", False),
        ("MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id + 1})", False),
        ("MATCH (n:N {id: $event.a.last}) CREATE (n)-[:NEXT]->(:N {id: $id})", False),
    ],
)
def test_which_texts_make_chains(text: str, is_chain: bool) -> None:
    assert (plan_of(text).rewrites.chain is not None) == is_chain


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # A tree is a chain, and so are some chains in turns.
        ([(1, 2), (1, 3), (2, 4), (3, 5)], [[0, 1, 2, 3]]),
        ([("a", "b"), ("x", "y"), ("b", "c"), ("y", "z")], [[0, 2], [1, 3]]),
        # What finds what it makes, what would be found by two, what is no text or integer, many short ones, too few.
        ([(1, 2), (2, 3), (3, 4), (4, 4)], None),
        ([("a", "b"), ("x", "b"), ("b", "c"), ("y", "z")], None),
        ([("b", "c"), ("a", "b"), ("y", "z"), ("x", "w")], None),
        ([(1, 2), (2.0, 3), (3, 4), (4, 5)], None),
        ([(True, 2), (2, 3), (3, 4), (4, 5)], None),
        ([(None, 2), (2, 3), (3, 4), (4, 5)], None),
        ([(number, number + 100) for number in range(9)], None),
        ([(1, 2), (2, 3), (3, 4)], None),
    ],
)
def test_which_queries_are_chains(pairs: list[tuple[Any, Any]], expected: list[list[int]] | None) -> None:
    found, made = zip(*pairs, strict=True)
    assert chains(found, made) == expected


def test_a_stream_whose_chains_begin_with_nothing_does_without_them() -> None:
    folder, chain = Folder(), links(*((number, number + 1) for number in range(20)))
    for _ in range(MAX_REFUSALS):
        assert folded(chain, folder) == [("chain", list(range(20)))]
        folder.refused()
        folder.refused()  # part by part, the batch as it was
    assert [kind for kind, _ in folded(chain, folder)] == ["query", "query"]  # 16 and 4 in series


def test_what_is_refused_without_a_chain_in_it_is_no_chains_fault() -> None:
    folder = Folder()
    for _ in range(MAX_REFUSALS):
        folder.fold([("CREATE (:N {id: $id})", {"id": number}) for number in range(3)])
        folder.refused()
    assert folded(links((1, 2), (2, 3), (3, 4), (4, 5)), folder) == [("chain", [0, 1, 2, 3])]
