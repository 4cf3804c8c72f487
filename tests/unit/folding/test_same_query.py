"""Queries that are kept as a column of values are folded as the list of them would be."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sluice.folding import Folder
from sluice.folding.merge_reader import MergeReader
from sluice.values.same_query import SameParameter, SameQuery, joined

UPSERT = "MERGE (n:P {id: $value.id}) SET n += $value"
TEXTS = [
    UPSERT,
    "MERGE (n:P {id: $value.id}) SET n = $value",
    "CREATE (n:P {id: $value.id}) SET n = $value",
    "MERGE (n:P {id: $value.id, x: $value.x}) SET n.y = $value.y",
    "UNWIND $value.items AS item MERGE (n:P {id: item}) SET n.x = $value.x",
    "MATCH (n:P {id: $value.id}) SET n.x = n.x + 1",
    "MATCH (n:P) WHERE n.id IN $value SET n.x = 1",
    "MERGE (n:P {id: $value}) SET n.x = $other",
    "RETURN 1",
]
ODD: list[Any] = [
    {"id": 1, "x": 1},
    {"x": 2, "id": 2},
    {"id": 1.0, "x": 1},
    {"id": 1, "y": 5},
    {"id": math.nan, "x": 1},
    {"id": None},
    {},
    None,
    7,
    [1, 2],
    {"id": [1], "items": [1, 2, None]},
    {"id": "a", "items": 3},
]
COLUMNS = {
    "alike": [{"id": number % 150, "x": "x", "y": 1.5} for number in range(200)],
    "in another order": [{"id": 1, "x": 1}, {"x": 2, "id": 2}] * 60,
    "as many keys": [{"id": 1, "x": 1}, {"id": 2, "y": 2}] * 60,
    "with lists": [{"id": number, "x": 1, "items": [number, number + 1]} for number in range(40)],
    "odd": ODD * 2,
    "plain": list(range(120)),
    "none": [],
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("values", COLUMNS.values(), ids=COLUMNS.keys())
def test_a_column_is_folded_as_the_list_of_its_queries_is(text: str, values: list[Any]) -> None:
    column = SameQuery(text, SameParameter("value", values))
    queries = [(text, {"value": value}) for value in values]
    assert (list(column), len(column)) == (queries, len(queries))
    ours, theirs = Folder(), Folder()
    for _ in range(2):
        assert repr(ours.fold(column)) == repr(theirs.fold(queries))
    assert MergeReader().keys(column) == MergeReader().keys(queries)


def test_columns_of_one_text_become_one() -> None:
    first, second = (SameQuery(UPSERT, SameParameter("value", values)) for values in ([1, 2], [3]))
    together = joined([first, second])
    assert isinstance(together, SameQuery)
    assert list(together) == [*first, *second]
    assert list(together[1:]) == list(together)[1:]


@pytest.mark.parametrize(
    "other",
    [
        [(UPSERT, {"value": 3})],
        SameQuery("RETURN 1", SameParameter("value", [3])),
        SameQuery(UPSERT, SameParameter("other", [3])),
    ],
    ids=["a list", "another text", "another parameter"],
)
def test_others_are_kept_as_they_are(other: Any) -> None:
    column = SameQuery(UPSERT, SameParameter("value", [1, 2]))
    for parts in ([column, other], [other, column]):
        assert list(joined(parts)) == [query for part in parts for query in part]
    assert joined([]) == []
