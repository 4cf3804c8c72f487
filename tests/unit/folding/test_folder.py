"""What a folder says of a batch, and remembers; `golden/` has what batches become."""

from __future__ import annotations

from sluice.folding import Folder

VERTEX = "CREATE (:Node {id: $id})"
EDGE = "MATCH (n:Node {id: $a}), (m:Node {id: $b}) CREATE (n)-[:Edge]->(m)"
LAST = "MATCH (n:Node {id: $id}) WHERE n.v < $v SET n.v = $v"
PERSON = "MERGE (n:P {id: $id}) SET n += $map"


def test_each_query_is_in_one_of_the_folded() -> None:
    queries = [(VERTEX, {"id": 1}), (EDGE, {"a": 7, "b": 8}), (VERTEX, {"id": 2}), (EDGE, {"a": 8, "b": 9})]
    assert [item.indices for item in Folder().fold(queries)] == [[0, 2], [1, 3]]


def test_a_series_has_one_of_few_sizes() -> None:
    folded = Folder().fold([(LAST, {"id": 1, "v": number}) for number in range(30)])
    assert [len(item.indices) for item in folded] == [16, 4, 4, 4, 1, 1]
    assert [index for item in folded for index in item.indices] == list(range(30))


def test_a_text_that_is_seen_once_is_sent_as_it_is() -> None:
    folder = Folder()
    queries = [(f"{VERTEX} // {number}", {"id": number}) for number in range(3)]
    assert [item.text for item in folder.fold(queries)] == [text for text, _ in queries]
    assert folder.news() == []
    folder.fold(queries[:1] * 2)
    assert folder.news() == [(queries[0][0], "folded")]


def test_ever_new_keys_are_not_ever_new_texts() -> None:
    folder = Folder()
    texts = set()
    for i in range(100):
        texts |= {item.text for item in folder.fold([(PERSON, {"id": j, "map": {f"k{i}": 1}}) for j in range(2)])}
    assert len(texts) == 17
