"""`sluice:cypher`: what its options mean, and what it sends for messages."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.folding import FOLDED, explain
from sluice.ready.template import template_of
from tests.unit.ready import Rows, message, queries

UPSERT = "MERGE (p:Person {id: $value.id}) SET p += $value"
DELETE = "MATCH (p:Person {id: $key}) DETACH DELETE p"
ADA, BEA = {"id": 1, "name": "Ada"}, {"id": 2, "name": "Bea"}


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        pytest.param({"query": UPSERT}, [ADA, BEA], [(UPSERT, {"value": ADA}), (UPSERT, {"value": BEA})], id="a query"),
        pytest.param({"query": UPSERT}, [None, b" null ", ADA], [(UPSERT, {"value": ADA})], id="nulls are passed over"),
        pytest.param(
            {"query": ["CREATE (:A {v: $value})", "CREATE (:B {k: $key})"]},
            [message(1, b"x"), message(2, b"y")],
            [
                ("CREATE (:A {v: $value})", {"value": 1}),
                ("CREATE (:B {k: $key})", {"key": "x"}),
                ("CREATE (:A {v: $value})", {"value": 2}),
                ("CREATE (:B {k: $key})", {"key": "y"}),
            ],
            id="several queries, message by message",
        ),
        pytest.param(
            {"query": UPSERT, "on_null": DELETE},
            [message(ADA, b"1"), message(None, b"1"), message(b"null", b"2"), message(BEA)],
            [(UPSERT, {"value": ADA}), (DELETE, {"key": "1"}), (DELETE, {"key": "2"}), (UPSERT, {"value": BEA})],
            id="tombstones",
        ),
        pytest.param(
            {"on_null": "MATCH (p:Person {id: $key.id}) DETACH DELETE p", "key_format": "json"},
            [message(ADA), message(None, {"id": 4})],
            [("MATCH (p:Person {id: $key.id}) DETACH DELETE p", {"key": {"id": 4}})],
            id="tombstones alone",
        ),
        pytest.param(
            {"query": "CREATE (:M {t: $topic, p: $partition, o: $offset, at: $timestamp, h: $headers.h, k: $key})"},
            [message(b"{}", headers=[("h", b"1"), ("h", b"2"), ("g", b"\xff"), ("n", None)])],
            [
                (
                    "CREATE (:M {t: $topic, p: $partition, o: $offset, at: $timestamp, h: $headers.h, k: $key})",
                    {
                        "key": None,
                        "headers": {"h": "2", "g": "base64:/w==", "n": None},
                        "topic": "people",
                        "partition": 0,
                        "offset": 7,
                        "timestamp": 1700,
                    },
                )
            ],
            id="what else a message has",
        ),
        pytest.param({"query": "CREATE (:T {t: $value})", "format": "text"}, [b"\xef\xbb\xbfa b"], [
            ("CREATE (:T {t: $value})", {"value": "a b"})
        ], id="text"),
        pytest.param(
            {"query": "CREATE (:R {a: $value.a})", "format": "csv", "columns": ["a", "b"], "types": {"a": "integer"}},
            [b"1,x\n2,y", None, b""],
            [
                ("CREATE (:R {a: $value.a})", {"value": {"a": 1, "b": "x"}}),
                ("CREATE (:R {a: $value.a})", {"value": {"a": 2, "b": "y"}}),
            ],
            id="a message of several rows",
        ),
        pytest.param(
            {"query": "CALL libs.add($value.a, $value.b.c)"},
            [{"a": 1, "b": {"c": 2}, "large": "x" * 99}],
            [("CALL libs.add($value.a, $value.b.c)", {"value": {"a": 1, "b": {"c": 2}}})],
            id="of a query that is not folded only the fields that it uses are sent",
        ),
    ],
)  # fmt: skip
def test_messages_become_queries(options: dict[str, Any], given: list[Any], expected: Rows):
    assert queries("cypher", options, *given) == expected


@pytest.mark.parametrize(
    ("when", "given", "taken"),
    [
        ({"type": "a"}, {"type": "a"}, True),
        ({"type": "a"}, {"type": "b"}, False),
        ({"type": ["a", "b"]}, {"type": "b"}, True),
        ({"type": None}, {}, True),
        ({"type": 1}, {"type": True}, False),
        ({"type": 1}, {"type": 1.0}, True),
        ({"source.table": "t"}, {"source": {"table": "t"}}, True),
        ({"source.table": "t"}, {"source.table": "t"}, True),
        ({"source.table": "t"}, {"source": "t"}, False),
        ({"type": "a", "$topic": "people"}, {"type": "a"}, True),
        ({"type": "a", "$topic": "others"}, {"type": "a"}, False),
        ({"$headers.op": "c"}, {}, True),
        ({"$key": "k"}, {}, True),
        ({"$value": 5}, 5, True),
        ({}, {}, True),
    ],
)
def test_a_query_is_run_when_all_of_its_conditions_hold(when: dict[str, Any], given: Any, taken: bool):
    options = {"query": [{"when": when, "query": "CREATE (:A {v: $value})"}]}
    found = queries("cypher", options, message(given, b"k", headers=[("op", b"c")]))
    assert found == ([("CREATE (:A {v: $value})", {"value": given})] if taken else [])


def test_routes_keep_the_messages_in_their_order():
    options = {
        "query": [
            {"when": {"t": "a"}, "query": "CREATE (:A {i: $value.i})"},
            {"when": {"t": ["a", "b"]}, "query": "CREATE (:B {i: $value.i})"},
        ]
    }
    found = queries("cypher", options, *({"t": t, "i": i} for i, t in enumerate("abca")))
    assert [(text[9], parameters["value"]["i"]) for text, parameters in found] == [
        ("A", 0),
        ("B", 0),
        ("B", 1),
        ("A", 3),
        ("B", 3),
    ]


# Templates of Neo4j's connector; the first five are of its documentation.
@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            "MERGE (p:Person{name: event.name}) MERGE (f:Family {name: event.surname}) MERGE (p)-[:BELONGS_TO]->(f)",
            "MERGE (p:Person{name: $value.name}) MERGE (f:Family {name: $value.surname}) MERGE (p)-[:BELONGS_TO]->(f)",
        ),
        (
            "WITH __value.event.state.after AS state MERGE (p:Person {name: state.properties.name})",
            "WITH $value.event.state.after AS state MERGE (p:Person {name: state.properties.name})",
        ),
        (
            "WITH __value.event.state.before AS before MATCH (p:Person {name: before.properties.name}) DETACH DELETE p",
            "WITH $value.event.state.before AS before MATCH (p:Person {name: before.properties.name}) DETACH DELETE p",
        ),
        (
            "MERGE (n:Label {id: event.id}) ON CREATE SET n += event.properties",
            "MERGE (n:Label {id: $value.id}) ON CREATE SET n += $value.properties",
        ),
        (
            "FOREACH (i IN CASE WHEN event.type='insert' THEN [1] ELSE [] END | MERGE (c:Album {id: event.data.id}))",
            "FOREACH (i IN CASE WHEN $value.type='insert' THEN [1] ELSE [] END | MERGE (c:Album {id: $value.data.id}))",
        ),
        ("MERGE (n:N {id: __key.id, t: __timestamp, h: __header.h})",
         "MERGE (n:N {id: $key.id, t: $timestamp, h: $headers.h})"),
        ("UNWIND event.items AS item MERGE (n:N {id: item.id})", "UNWIND $value.items AS item MERGE (n:N {id: "
         "item.id})"),
        ("MERGE (n:N {id: toUpper(event)})", "MERGE (n:N {id: toUpper($value)})"),
        # A variable that is handed on has to be one.
        ("WITH event, event.id AS id MERGE (n:N {id: id}) SET n.x = event.x",
         "WITH $value AS event WITH event, event.id AS id MERGE (n:N {id: id}) SET n.x = event.x"),
        # Names that are none of theirs.
        ("MERGE (event:Event {id: $value.id}) SET event += $value", None),
        ("MERGE (a:A {id: $value.id})-[event:E]->(b:B {id: 1})", None),
        ("UNWIND $value.events AS event MERGE (n:N {id: event.id})", None),
        ("MERGE (n:event {event: $value.event}) SET n.event = 'event'", None),
        ("MERGE (n:N {id: $value.id}) SET n.all = [event IN $value.events WHERE event > 1]", None),
    ],
)  # fmt: skip
def test_templates_of_neo4js_connector_are_taken_as_they_are(template: str, text: str | None):
    assert template_of(template, "query").text == (text or template)


@pytest.mark.parametrize(
    "query",
    [
        UPSERT,
        "MERGE (p:Person {id: $value.id}) SET p.name = $value.name, p.age = $value.age",
        "MERGE (p:Person{name: event.name}) MERGE (f:Family {name: event.surname}) MERGE (p)-[:BELONGS_TO]->(f)",
        "WITH __value.event.state.after AS state MERGE (p:Person {name: state.properties.name}) SET p.n = state.n",
        "MERGE (n:Label {id: event.id}) ON CREATE SET n += event.properties",
        "UNWIND event.items AS item MERGE (n:N {id: item.id})",
        "MATCH (a:A {id: $value.from}), (b:B {id: $value.to}) CREATE (a)-[:R {at: $timestamp, o: $offset}]->(b)",
    ],
)
def test_texts_are_folded(query: str):
    assert explain(template_of(query, "query").text) == FOLDED


@pytest.mark.parametrize(
    ("query", "given", "error"),
    [
        (UPSERT, {"name": "x"}, "the key id ($value.id) is null or missing"),
        (UPSERT, {"id": None}, "the key id ($value.id) is null or missing"),
        (UPSERT, b'{"id": NaN}', "the key id ($value.id) is not a number"),
        (UPSERT, {"id": {"a": 1}}, "the key id ($value.id) must be a text, a number or a boolean, got dict"),
        (UPSERT, [1], "the key id ($value.id) is null or missing"),
        ("MERGE (p:P {id: event.a.b})", {"a": {}}, "the key id ($value.a.b) is null or missing"),
        ("WITH event.a AS a MERGE (p:P {id: a.b})", {"a": {}}, "the key id ($value.a.b) is null or missing"),
        ("MERGE (a:A {id: 1}) MERGE (a)-[:R {n: $value.n}]->(a)", {}, "the key n ($value.n) is null or missing"),
        ("UNWIND $value.l AS i MERGE (p:P {id: i.id})", {"l": [{"id": 1}, {}]}, "the key id ($value.l[].id) is null"),
        ("CALL x.y() MERGE (p:P {id: $key})", {}, "the key id ($key) is null or missing"),
    ],
)
def test_what_nothing_is_found_by_is_an_error_of_the_message(query: str, given: Any, error: str):
    with pytest.raises(WrongMessage) as caught:
        queries("cypher", {"query": query}, given)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    "query",
    [
        "WITH $value AS e WHERE e.id IS NOT NULL MERGE (p:P {id: e.id})",
        "FOREACH (x IN $value.l | MERGE (p:P {id: $value.id})) MERGE (q:Q {id: 1})",
        "MERGE (p:P {id: coalesce($value.id, 0)})",
        "MATCH (p:P {id: $value.id}) SET p.x = 1",
        "CREATE (p:P {id: $value.id})",
    ],
)
def test_a_null_that_may_be_meant_passes(query: str):
    assert len(queries("cypher", {"query": query}, {"l": []})) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "the option query is missing: a query, or a list of them"),
        ({"query": " // nothing "}, "the option query has an empty query"),
        ({"query": "MERGE (n {id: $id})"}, "the option query: there is no parameter $id; there are $value, $key, "
         "$headers, "
         "$topic, $partition, $offset, $timestamp"),
        ({"query": "CREATE (:A {b: 'x})"}, "the option query: Syntax error at line 1, column 16: expected ' after "
         "it, found "
         "a string that does not end"),
        ({"query": 7}, "the option query must have queries: a text, or a map {when: {...}, query: '...'}, got 7"),
        ({"query": [{"when": {}}]}, "the option query must have queries: a text, or a map {when: {...}, query: "
         "'...'}, got "
         "{'when': {}}"),
        ({"query": [{"when": "a", "query": UPSERT}]}, "the option query: when must be a map of fields and their "
         "values, got 'a'"),
        ({"query": [{"when": {"$x": 1}, "query": UPSERT}]}, "the option query: when has no $x; there are $value, $key, "
         "$headers, $topic, $partition, $offset, $timestamp"),
        ({"query": UPSERT, "on_null": UPSERT}, "the option on_null: a tombstone has no $value; its $key says what "
         "it is about"),
        ({"query": UPSERT, "label": "A"}, "unknown option label; there are decimals, format, key_format, on_null, "
         "query"),
        ({"query": UPSERT, "format": "avor"}, "the option format must be one of json, text, csv, avro, protobuf, "
         "jsonschema, got 'avor'"),
        ({"query": UPSERT, "format": "avro"}, "the option registry must be a map, as {url: 'http://localhost:8081'}"),
        ({"query": UPSERT, "key_format": "csv"}, "the option key_format must be one of json, text, avro, protobuf, "
         "jsonschema, got 'csv'"),
        ({"query": UPSERT, "format": "csv"}, "CSV needs either the option columns, the names of the columns in "
         "their order, "
         "or header: true if each message begins with them"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_one_line(options: dict[str, Any], error: str):
    with pytest.raises(WrongOption) as caught:
        ready.configured("cypher", options)
    assert str(caught.value) == error
