"""`sluice:cud`: events that say themselves what to do. The examples are those of Neo4j's documentation."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.folding import FOLDED, explain
from tests.unit.ready import message, queries

NODE: dict[str, Any] = {"type": "node", "labels": ["Foo", "Bar"]}
PROPERTIES = {"id": 1, "foo": "foo-value"}
IDS = {"ids": {"id": 0}}
FROM, TO = {"labels": ["Foo"], "ids": {"id": 0}}, {"labels": ["Bar"], "ids": {"id": 1}}
RELATED: dict[str, Any] = {"type": "relationship", "rel_type": "RELATED_TO", "from": FROM, "to": TO}
BY = {"properties": {"by": "incident"}}
ENDS = {"from": {"id": 0}, "to": {"id": 1}}
A, B = "(a:`Foo` {`id`: $from.id})", "(b:`Bar` {`id`: $to.id})"
MERGED = {"op": "merge"}


@pytest.mark.parametrize(
    ("event", "text", "parameters"),
    [
        ({**NODE, "op": "create", "properties": PROPERTIES}, "CREATE (n:`Foo`:`Bar`) SET n = $properties",
         {"properties": PROPERTIES}),
        ({**NODE, "op": "update", **IDS, "properties": PROPERTIES},
         "MATCH (n:`Foo`:`Bar` {`id`: $ids.id}) SET n += $properties", {**IDS, "properties": PROPERTIES}),
        ({**NODE, "op": "merge", **IDS, "properties": PROPERTIES},
         "MERGE (n:`Foo`:`Bar` {`id`: $ids.id}) SET n += $properties", {**IDS, "properties": PROPERTIES}),
        ({**NODE, "type": "NODE", "op": "DELETE", **IDS}, "MATCH (n:`Foo`:`Bar` {`id`: $ids.id}) DELETE n", IDS),
        ({**NODE, "op": "delete", **IDS, "detach": True}, "MATCH (n:`Foo`:`Bar` {`id`: $ids.id}) DETACH DELETE n", IDS),
        ({**RELATED, "op": "create", **BY}, f"MATCH {A} MATCH {B} CREATE (a)-[r:`RELATED_TO`]->(b) SET r = $properties",
         {**ENDS, **BY}),
        ({**RELATED, "op": "create", **BY, "from": {**FROM, **MERGED}, "to": {**TO, "op": "match"}},
         f"MERGE {A} WITH a MATCH {B} CREATE (a)-[r:`RELATED_TO`]->(b) SET r = $properties", {**ENDS, **BY}),
        ({**RELATED, "op": "update", **BY, "to": {**TO, **MERGED}},
         f"MATCH {A} MERGE {B} WITH a, b MATCH (a)-[r:`RELATED_TO`]->(b) SET r += $properties", {**ENDS, **BY}),
        ({**RELATED, "op": "update", **BY, "to": {**TO, **MERGED}, "ids": {"id": 5}},
         f"MATCH {A} MERGE {B} WITH a, b MATCH (a)-[r:`RELATED_TO` {{`id`: $ids.id}}]->(b) SET r += $properties",
         {**ENDS, "ids": {"id": 5}, **BY}),
        ({**RELATED, "op": "merge", **BY, "to": {**TO, **MERGED}},
         f"MATCH {A} MERGE {B} MERGE (a)-[r:`RELATED_TO`]->(b) SET r += $properties", {**ENDS, **BY}),
        ({**RELATED, "op": "MERGE", **BY, "to": {**TO, **MERGED}, "ids": {"id": 5}},
         f"MATCH {A} MERGE {B} MERGE (a)-[r:`RELATED_TO` {{`id`: $ids.id}}]->(b) SET r += $properties",
         {**ENDS, "ids": {"id": 5}, **BY}),
        ({**RELATED, "op": "delete"}, f"MATCH {A}-[r:`RELATED_TO`]->{B} DELETE r", ENDS),
        ({**RELATED, "op": "DELETE", "ids": {"id": 5}}, f"MATCH {A}-[r:`RELATED_TO` {{`id`: $ids.id}}]->{B} DELETE r",
         {**ENDS, "ids": {"id": 5}}),
        # Names in a message are names, whatever they are.
        ({"type": "node", "op": "merge", "labels": ["A`) DETACH DELETE (n"], "ids": {"x`: 1}) //": 2}},
         "MERGE (n:`A``) DETACH DELETE (n` {`x``: 1}) //`: $ids.`x``: 1}) //`}) SET n += $properties",
         {"ids": {"x`: 1}) //": 2}, "properties": {}}),
    ],
)  # fmt: skip
def test_events_become_queries(event: dict[str, Any], text: str, parameters: dict[str, Any]):
    assert queries("cud", {}, event) == [(text, parameters)]
    assert explain(text) == FOLDED


@pytest.mark.parametrize(
    ("event", "text", "parameters"),
    [
        ({**NODE, "op": "merge", "ids": {"_id": 3}, "properties": {}},
         "MATCH (n:`Foo`:`Bar`) WHERE id(n) = $ids._id SET n += $properties", {"ids": {"_id": 3}, "properties": {}}),
        ({"type": "node", "op": "delete", "ids": {"_elementId": "3"}}, "MATCH (n) WHERE id(n) = $ids._elementId "
         "DELETE n",
         {"ids": {"_elementId": 3}}),
        ({**RELATED, "op": "delete", "to": {"ids": {"_id": 3}}},
         f"MATCH {A} MATCH (b) WHERE id(b) = $to._id MATCH (a)-[r:`RELATED_TO`]->(b) DELETE r",
         {"from": {"id": 0}, "to": {"_id": 3}}),
    ],
)  # fmt: skip
def test_the_hosts_own_ids_find_and_never_create(event: dict[str, Any], text: str, parameters: dict[str, Any]):
    assert queries("cud", {}, event) == [(text, parameters)]


def test_tombstones_are_passed_over():
    assert queries("cud", {"format": "json"}, message(None, b"k"), b"null") == []


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ([1], "a CUD event must be an object, got [1]"),
        ({"type": "node"}, "op must be one of create, merge, update, delete, got None"),
        ({"op": "merge"}, "type must be one of node, relationship, got None"),
        ({**NODE, "op": "merge"}, "ids must be a map of properties and values that is not empty, got None"),
        ({**NODE, "op": "merge", "ids": {}}, "ids must be a map of properties and values that is not empty, got {}"),
        ({**NODE, "op": "merge", "ids": {"id": None}}, "the key id is null or missing: nothing is found by that, "
         "and MERGE "
         "would create something new each time"),
        (b'{"type": "node", "op": "update", "ids": {"id": NaN}}', "the key id is not a number: nothing is found by "
         "that, and "
         "MERGE would create something new each time"),
        ({**NODE, "op": "merge", "ids": {"_id": "x"}}, "ids: _id must be the number of a vertex of this graph, got "
         "'x'"),
        ({**NODE, "op": "merge", "ids": {"_id": 1, "a": 2}}, "ids must have _id alone, or not at all"),
        ({**NODE, "op": "create", "labels": "Foo"}, "labels must be a list of texts, got 'Foo'"),
        ({**NODE, "op": "create", "labels": [""]}, "a label must be a text that is not empty, got ''"),
        ({**NODE, "op": "create", "labels": [1]}, "a label must be a text that is not empty, got 1"),
        ({**NODE, "op": "create", "properties": [1]}, "properties must be a map, got [1]"),
        ({**NODE, "op": "delete", **IDS, "detach": "yes"}, "detach must be true or false, got 'yes'"),
        ({**RELATED, "op": "create", "rel_type": None}, "rel_type must be a text that is not empty, got None"),
        ({**RELATED, "op": "create", "from": None}, "a relationship's event must say its vertex 'from', got None"),
        ({**RELATED, "op": "create", "to": {"ids": {}}},
         "the ids of to must be a map of properties and values that is not empty, got {}"),
        ({**RELATED, "op": "create", "to": {**TO, "op": "create"}}, "op of to must be one of match, merge, got "
         "'create'"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_an_error_of_the_message(event: Any, error: str):
    with pytest.raises((WrongMessage, ValueError)) as caught:
        queries("cud", {}, event)
    assert str(caught.value) == error


def test_there_are_no_options():
    with pytest.raises(WrongOption, match="unknown option labels; there are format"):
        ready.configured("cud", {"labels": ["A"]})
