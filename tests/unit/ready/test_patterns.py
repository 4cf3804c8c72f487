"""`sluice:patterns`: Neo4j's patterns, and what messages become by them. The examples are those of its "
"documentation."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.folding import FOLDED, explain
from tests.unit.ready import message, queries

USER = {"userId": 1, "name": "Ada", "surname": "L", "address": {"city": "London", "country": "UK"}}
FLAT = {"userId": 1, "name": "Ada", "surname": "L", "address.city": "London", "address.country": "UK"}
BOUGHT = {"userId": 1, "productId": 100, "price": 10, "currency": "EUR", "ship": {"city": "Rome", "zip": "1"}}
MERGE_USER = "MERGE (n:`User` {`userId`: $keys.userId}) SET n = $properties"
BUY = (
    "MERGE (a:`User` {`userId`: $start.userId}) MERGE (b:`Product` {`productId`: $end.productId}) "
    "MERGE (a)-[r:`BOUGHT`]->(b) SET r = $properties"
)
ENDS: dict[str, Any] = {"start": {"userId": 1}, "end": {"productId": 100}}
KEY: dict[str, Any] = {"keys": {"userId": 1}}


@pytest.mark.parametrize(
    ("pattern", "given", "text", "parameters"),
    [
        ("(:User{!userId})", USER, MERGE_USER, {**KEY, "properties": FLAT}),
        ("(:User{!userId, *})", USER, MERGE_USER, {**KEY, "properties": FLAT}),
        ("(:User{!userId, surname})", USER, MERGE_USER, {**KEY, "properties": {"userId": 1, "surname": "L"}}),
        ("(:User{!userId, surname, address.city})", USER, MERGE_USER,
         {**KEY, "properties": {"userId": 1, "surname": "L", "address.city": "London"}}),
        ("(:User{!userId, address})", USER, MERGE_USER,
         {**KEY, "properties": {"userId": 1, "address.city": "London", "address.country": "UK"}}),
        ("(:User{!userId, -address, -name})", USER, MERGE_USER, {**KEY, "properties": {"userId": 1, "surname": "L"}}),
        ("(:User{!userId, *, -surname, -address.city, home: address.city})", USER, MERGE_USER,
         {**KEY, "properties": {"userId": 1, "name": "Ada", "address.country": "UK", "home": "London"}}),
        ("User{!userId,surname}", USER, MERGE_USER, {**KEY, "properties": {"userId": 1, "surname": "L"}}),
        ("(:User:Person{!id: userId, from: address.city})", USER,
         "MERGE (n:`User`:`Person` {`id`: $keys.id}) SET n = $properties",
         {"keys": {"id": 1}, "properties": {"id": 1, "from": "London"}}),
        ("(:User{!id: __key.id, city: __value.address.city, op: __header.op, at: __timestamp})",
         message(USER, {"id": 3}, headers=[("op", b"c")]),
         "MERGE (n:`User` {`id`: $keys.id}) SET n = $properties",
         {"keys": {"id": 3}, "properties": {"id": 3, "city": "London", "op": "c", "at": 1700}}),
        ("(:User{!id: $key.id, city: $value.address.city, op: $headers.op, at: $timestamp})",
         message(USER, {"id": 3}, headers=[("op", b"c")]),
         "MERGE (n:`User` {`id`: $keys.id}) SET n = $properties",
         {"keys": {"id": 3}, "properties": {"id": 3, "city": "London", "op": "c", "at": 1700}}),
        ("(:User{!keyId, name})", message(USER, {"keyId": 9}), "MERGE (n:`User` {`keyId`: $keys.keyId}) SET n = "
         "$properties",
         {"keys": {"keyId": 9}, "properties": {"keyId": 9, "name": "Ada"}}),
        ("(:`A``b`{!`user Id`, name})", {"user Id": 1, "name": "x"},
         "MERGE (n:`A``b` {`user Id`: $keys.`user Id`}) SET n = $properties",
         {"keys": {"user Id": 1}, "properties": {"user Id": 1, "name": "x"}}),
        ("(:User{!userId})-[:BOUGHT]->(:Product{!productId})", BOUGHT, BUY,
         {**ENDS, "properties": {"price": 10, "currency": "EUR", "ship.city": "Rome", "ship.zip": "1"}}),
        ("(:User{!userId})-[:BOUGHT{price,currency}]->(:Product{!productId})", BOUGHT, BUY,
         {**ENDS, "properties": {"price": 10, "currency": "EUR"}}),
        ("(:User{!userId})-[:BOUGHT{price, ship.city}]->(:Product{!productId})", BOUGHT, BUY,
         {**ENDS, "properties": {"price": 10, "ship.city": "Rome"}}),
        ("(:User{!userId})-[:BOUGHT{-ship}]->(:Product{!productId})", BOUGHT, BUY,
         {**ENDS, "properties": {"price": 10, "currency": "EUR"}}),
        ("(:Product{!productId})<-[:BOUGHT{price}]-(:User{!userId})", BOUGHT, BUY,
         {**ENDS, "properties": {"price": 10}}),
        ("User{!userId} BOUGHT{price} Product{!productId}", BOUGHT, BUY, {**ENDS, "properties": {"price": 10}}),
        ("(:User{!userId, by: currency})-[:BOUGHT{!price}]->(:Product{!productId})", BOUGHT,
         "MERGE (a:`User` {`userId`: $start.userId}) SET a += $start_properties "
         "MERGE (b:`Product` {`productId`: $end.productId}) "
         "MERGE (a)-[r:`BOUGHT` {`price`: $keys.price}]->(b) SET r = $properties",
         {**ENDS, "start_properties": {"by": "EUR"}, "keys": {"price": 10},
          "properties": {"price": 10, "ship.city": "Rome", "ship.zip": "1"}}),
        # Tombstones: what the key says is deleted.
        ("(:User{!userId})", message(None, {"userId": 1}),
         "MATCH (n:`User` {`userId`: $keys.userId}) DETACH DELETE n", KEY),
        ("(:User{!userId: __value.userId})", message(b"null", {"userId": 1}),
         "MATCH (n:`User` {`userId`: $keys.userId}) DETACH DELETE n", KEY),
        ("(:User{!userId})", message(None, 1), "MATCH (n:`User` {`userId`: $keys.userId}) DETACH DELETE n", KEY),
        ("(:User{!userId})-[:BOUGHT]->(:Product{!productId})", message(None, {"userId": 1, "productId": 100}),
         "MATCH (a:`User` {`userId`: $start.userId})-[r:`BOUGHT`]->(b:`Product` {`productId`: $end.productId}) "
          "DELETE r", ENDS),
    ],
)  # fmt: skip
def test_messages_become_what_the_pattern_says(pattern: str, given: Any, text: str, parameters: dict[str, Any]):
    assert queries("patterns", {"pattern": pattern}, given) == [(text, parameters)]
    assert explain(text) == FOLDED


def test_properties_that_a_message_does_not_name_stay_if_that_is_wanted():
    options = {"pattern": "(:User{!userId, name, gone})", "merge_node_properties": True}
    assert queries("patterns", options, USER) == [
        ("MERGE (n:`User` {`userId`: $keys.userId}) SET n += $properties", {**KEY, "properties": {"name": "Ada"}})
    ]
    options = {
        "pattern": "(:User{!userId})-[:BOUGHT{price}]->(:Product{!productId})",
        "merge_relationship_properties": True,
    }
    assert queries("patterns", options, BOUGHT) == [
        (BUY.replace("r = $", "r += $"), {**ENDS, "properties": {"price": 10}})
    ]


def test_several_patterns_take_each_message():
    found = queries("patterns", {"pattern": ["(:User{!userId})", "(:P{!productId})"]}, BOUGHT, BOUGHT)
    assert [text[10:14] for text, _ in found] == ["User", "P` {"] * 2


def test_tombstones_can_be_passed_over_and_keys_are_read_only_where_they_are_needed():
    options = {"pattern": "(:User{!userId})", "on_null": "ignore"}
    assert queries("patterns", options, message(None, b"no JSON"), message({"userId": 1}, b"no JSON")) == [
        (MERGE_USER, {**KEY, "properties": {"userId": 1}})
    ]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": "x"}, "the key userId is null or missing: nothing is found by that, and MERGE would create "
         "something new"),
        ({"userId": None}, "the key userId is null or missing"),
        (b'{"userId": NaN}', "the key userId is not a number"),
        ({"userId": [1]}, "the key userId must be a text, a number or a boolean, got list"),
        (None, "the key userId is null or missing"),
        (message(None, b"x"), "its key is not JSON: Expecting value"),
        ([1], "its value is not an object of fields and values, but an array"),
        (b"\0\0\0\0\7{}", "its value is not JSON: Expecting value: line 1 column 1 (char 0); this looks like a schema "
         "registry's frame, of schema 7"),
    ],
)  # fmt: skip
def test_a_message_that_has_no_key_is_an_error(given: Any, error: str):
    with pytest.raises(WrongMessage) as caught:
        queries("patterns", {"pattern": "(:User{!userId})"}, given)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(:User)", "'(:User)': expected {, found )"),
        ("(:User{name})", "'(:User{name})': each vertex needs a key, as in (:User {!id})"),
        ("(:User{!a, b, -c})", "'(:User{!a, b, -c})': a pattern names properties to include or to leave out, not both"),
        ("(:U{!a})-[:R]-(:V{!b})", "'(:U{!a})-[:R]-(:V{!b})': expected ->, found -"),
        ("(:U{!a})-[:R]->(:V{!b,*})",
         "'(:U{!a})-[:R]->(:V{!b,*})': the vertices of a relationship name their properties; they take no * and no -"),
        ("(:U{!a})-[:R]->(:V{!b,-c})",
         "'(:U{!a})-[:R]->(:V{!b,-c})': the vertices of a relationship name their properties; they take no * and no -"),
        ("(:U{!a}", "'(:U{!a}': expected ), found its end"),
        ("(:U{!a}) MATCH", "'(:U{!a}) MATCH': expected (, found its end"),
        ("(:U{!a, a})", "'(:U{!a, a})': a property is named twice"),
        ("(:U{!a}) DETACH DELETE n //", "'(:U{!a}) DETACH DELETE n //': expected {, found n"),
        ("", "the option pattern must be a text, or a list of different texts, got ''"),
        (None, "the option pattern must be a text, or a list of different texts, got None"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: Any, error: str):
    with pytest.raises(WrongOption) as caught:
        ready.configured("patterns", {"pattern": pattern})
    assert str(caught.value) == error
