"""Queries of one batch stay as they were given while the transform goes on with the next; copied only where need be."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

import pytest

from sluice.scripting.lasting import lasting

Queries = list[tuple[str, dict[str, Any]]]


class Keeper:
    """A transform that has kept something of what it gave."""

    def __init__(self, kept: str) -> None:
        self._kept = kept
        self._what: Any = None

    def give(self) -> Queries:
        row: dict[str, Any] = {"id": 1, "tags": ["a"], "more": {"deep": [1]}}
        query: tuple[str, dict[str, Any]] = ("CREATE (n $row) SET n.x = $x", {"row": row, "x": 1})
        queries = [query, ("CREATE ()", {"x": 2})]
        self._what = {
            "list": queries, "query": query, "parameters": query[1], "row": row, "tags": row["tags"],
            "deep": row["more"],
        }[self._kept]  # fmt: skip
        return queries

    def change(self) -> None:
        match self._what:
            case [(_, {"row": _}), _] as queries:
                queries[0][1]["row"]["id"] = 9
                queries.clear()
            case (str(), parameters):
                parameters["x"] = 9
            case list() as tags:
                tags.append("b")
            case dict() as some:
                some["x"] = 9


@pytest.mark.parametrize("kept", ["list", "query", "parameters", "row", "tags", "deep"])
def test_what_the_transform_has_kept_it_may_change(kept: str) -> None:
    keeper = Keeper(kept)
    queries = lasting(keeper.give)
    before = json.dumps(queries)
    keeper.change()
    assert json.dumps(queries) == before


def test_what_is_inside_a_kind_of_dict_it_may_change() -> None:
    tags = ["a"]
    queries = lasting(lambda: [("CREATE (n {tags: $tags})", OrderedDict(tags=tags))])
    tags.append("b")
    assert [parameters["tags"] for _, parameters in queries] == [["a"]]


def test_what_it_gives_twice_it_may_change() -> None:
    shared = {"x": 1}
    queries = lasting(lambda: [("CREATE ({x: $x})", shared), ("CREATE ({x: $x})", shared)])
    shared["x"] = 2
    assert [parameters["x"] for _, parameters in queries] == [1, 1]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [b"1", b"2"],
        [b'{"a": [1, 2, {"b": null}], "c": {"d": {"e": []}}}', b"{}"],
    ],
)
def test_what_nobody_else_has_is_not_copied(messages: list[bytes]) -> None:
    made: list[int] = []

    def stream() -> Queries:
        queries = [("CREATE (n $row)", {"row": json.loads(message)}) for message in messages]
        made.append(id(queries))
        return queries

    assert [id(lasting(stream))] == made


def test_what_holds_itself_is_left_to_be_refused() -> None:
    def stream() -> Queries:
        parameters: dict[str, Any] = {}
        parameters["self"] = parameters
        return [("RETURN $self", parameters)]

    [(_, parameters)] = lasting(stream)
    assert parameters["self"]["self"]["self"]
