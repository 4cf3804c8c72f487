"""Queries of which each finds what one before it has made become one query."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.folding import Folder
from sluice.folding.chain import ROOT, chains
from sluice.folding.folder import MAX_REFUSALS
from tests.unit.folding.batches import Query

LINK = "MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id})"


def links(*pairs: tuple[Any, Any]) -> list[Query]:
    return [(LINK, {"last": last, "id": new}) for last, new in pairs]


def folded(queries: list[Query], folder: Folder | None = None) -> list[tuple[str, list[int]]]:
    folder = folder or Folder()
    return [("chain" if ROOT in item.parameters else "query", item.indices) for item in folder.fold(queries)]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # What is found before it is made, what is no text or integer, many short ones: `golden/` has others.
        ([("b", "c"), ("a", "b"), ("y", "z"), ("x", "w")], None),
        ([(True, 2), (2, 3), (3, 4), (4, 5)], None),
        ([(None, 2), (2, 3), (3, 4), (4, 5)], None),
        ([(number, number + 100) for number in range(9)], None),
        ([(number // 3 * 100, number + 1) for number in range(9)], [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
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
