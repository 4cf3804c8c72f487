"""
Ready transforms, from messages to the graph: by clauses, and the examples of Neo4j's documentation as a table of
messages and the graphs that come of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import neo4j
import pytest

from sluice import ready
from sluice.folding import Folder, subscripted
from sluice.values.record import Record
from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.by_clauses import Clauses, through_shim
from tests.integration.test_kit import Row, Run
from tests.kafka import KafkaBroker

ALL_PERSONS = "MATCH (n:LABEL) RETURN n.id AS id, n.name AS name, n.age AS age ORDER BY id"

NINE: list[Row] = [{"count": 9, "sum": 9}]


@pytest.fixture
def driver(host: Host, tmp_path: Path) -> Iterator[neo4j.Driver]:
    with through_shim(host, tmp_path) as driver:
        yield driver


@pytest.fixture
def stream(
    driver: neo4j.Driver, run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> Clauses:
    return Clauses(driver, run, kafka, tmp_path, new_stream_name())


def create(stream: Clauses, transform: str, config: str) -> None:
    """CREATE by its clause; LABEL in the config stands for the stream's label."""
    stream.clause(
        "CREATE STREAM «NAME» AS LOAD DATA KAFKA '«BROKER»' WITH TOPIC '«TOPIC»' "
        f"WITH TRANSFORM '{transform}' WITH CONFIG {config.replace('LABEL', stream.label)} BATCH_SIZE 100"
    )


def await_rows(stream: Clauses, query: str, rows: list[Row]) -> None:
    """Waits until the query has these rows; LABEL stands for the stream's label."""
    eventually(lambda: stream.run(query.replace("LABEL", stream.label)), equals=rows, timeout=30)


def send(stream: Clauses, *messages: tuple[Any, Any]) -> None:
    """Key and value of each, as JSON; None is null."""
    for key, value in messages:
        stream.kafka.topics.produce(stream.topic, [data(value)], key=data(key))


def test_a_topic_of_json_becomes_vertices_by_two_clauses(stream: Clauses) -> None:
    send(stream, (1, {"id": 1, "name": "Ada", "age": 36}), (2, {"id": 2, "name": "Bea"}), (1, {"id": 1, "age": 37}))
    create(stream, "sluice:json", "{transform: {label: 'LABEL'}}")
    _, rows = stream.clause("TEST STREAM «NAME»")
    assert {row["query"] for row in rows} == {f"MERGE (n:`{stream.label}` {{`id`: $value.id}}) SET n += $value"}
    stream.clause("START STREAM «NAME»")
    ada = {"id": 1, "name": "Ada", "age": 37}
    await_rows(stream, ALL_PERSONS, [ada, {"id": 2, "name": "Bea", "age": None}])
    send(stream, (2, None), (3, {"id": 3, "name": "Cid"}))
    await_rows(stream, ALL_PERSONS, [ada, {"id": 3, "name": "Cid", "age": None}])
    _, [row] = stream.clause("SHOW CREATE STREAM «NAME»")
    assert f"WITH TRANSFORM 'sluice:json' WITH CONFIG {{transform: {{label: '{stream.label}'}}}}" in str(row)
    stream.clause("RELOAD TRANSFORM OF STREAM «NAME»")
    assert stream.status == "running"


def test_queries_of_the_config_are_run_for_each_message(stream: Clauses) -> None:
    create(
        stream,
        "sluice:cypher",
        "{transform: {key_format: 'json', "
        "query: [{when: {kind: 'person'}, query: 'MERGE (p:LABEL {id: $value.id}) SET p.name = $value.name'}, "
        "{when: {kind: 'knows'}, query: 'MATCH (a:LABEL {id: event.from}), (b:LABEL {id: event.to}) "
        "MERGE (a)-[r:KNOWS]->(b) SET r.offset = $offset'}], "
        "on_null: 'MATCH (p:LABEL {id: $key}) DETACH DELETE p'}}",
    )
    send(stream, *((n, {"kind": "person", "id": n, "name": f"n{n}"}) for n in range(5)))
    send(stream, (None, {"kind": "knows", "from": 0, "to": 1}), (None, {"kind": "knows", "from": 1, "to": 2}))
    send(stream, (None, {"kind": "other"}), (4, None))
    stream.clause("START STREAM «NAME»")
    eventually(lambda: stream.info["messages"], equals=9, timeout=30)
    assert stream.run(f"MATCH (p:{stream.label}) RETURN p.name AS name ORDER BY name") == [
        {"name": f"n{n}"} for n in range(4)
    ]
    knows = f"MATCH (a:{stream.label})-[r:KNOWS]->(b) RETURN a.id AS a, b.id AS b, r.offset AS offset ORDER BY a"
    assert stream.run(knows) == [{"a": 0, "b": 1, "offset": 5}, {"a": 1, "b": 2, "offset": 6}]


@pytest.mark.parametrize("fold", ["true", "false"])
def test_a_message_finds_several_vertices_by_its_fields(stream: Clauses, fold: str) -> None:
    stream.run(f"UNWIND range(0, 9) AS id CREATE (:{stream.label} {{id: id}})")
    create(
        stream,
        "sluice:cypher",
        f"{{fold: {fold}, transform: {{query: 'MATCH (a:LABEL {{id: $value.from}}), (b:LABEL {{id: $value.to.id}}) "
        "CREATE (a)-[:KNOWS]->(b)'}}",
    )
    send(stream, *((None, {"from": number, "to": {"id": number + 1}}) for number in range(9)))
    assert len(stream.run("CALL streams.test($name, 1, true) YIELD query RETURN query", name=stream.name)) == 9
    report = "CALL streams.test_report($name) YIELD relationships_created RETURN relationships_created AS count"
    eventually(lambda: stream.run(report, name=stream.name), equals=[{"count": 9}], timeout=30)
    stream.clause("START STREAM «NAME»")
    await_rows(stream, "MATCH (a:LABEL)-[:KNOWS]->(b) RETURN count(*) AS count, sum(b.id - a.id) AS sum", NINE)


def test_rows_of_csv_keep_what_is_in_their_fields(stream: Clauses) -> None:
    create(
        stream, "sluice:csv", "{transform: {label: 'LABEL', columns: ['id', 'name', 'age'], types: {age: 'integer'}}}"
    )
    stream.send(['\ufeff"an\nn",bob,1'])
    stream.send(["an\u2028n,ada,2\r\nbea,,"])
    stream.clause("START STREAM «NAME»")
    await_rows(
        stream,
        ALL_PERSONS,
        [
            {"id": "an\nn", "name": "bob", "age": 1},
            {"id": "an\u2028n", "name": "ada", "age": 2},
            {"id": "bea", "name": "", "age": None},
        ],
    )


def test_messages_that_cannot_be_applied_follow_the_policy_and_say_why(stream: Clauses) -> None:
    create(stream, "sluice:json", "{on_error: 'skip', transform: {label: 'LABEL'}}")
    wrong = ['{"id": null}', '{"id": NaN}', "\0\0\0\1{{}", "{", "[1]", None]
    stream.send(['{"id": 1}', *wrong, '{"id": 2}'])
    stream.clause("START STREAM «NAME»")
    eventually(lambda: stream.info["failed"], equals=6, timeout=60)
    stream.await_count(2)
    began = "transform sluice:json: stream_messages(batch) raised WrongMessage: "
    reasons = [row["error"] for row in sorted(stream.errors(), key=lambda row: row["offset"])]
    for reason, text in zip(
        reasons,
        [
            "the key id is null or missing: nothing is found by that",
            "the key id is not a number: nothing is found by that",
            "its value is not JSON: Expecting value: line 1 column 1 (char 0); this looks like a schema registry's "
            "frame",
            "its value is not JSON: Expecting property name",
            "it is not an object of fields and values, but list",
            "a tombstone without a key: nothing says which vertex it deletes",
        ],
        strict=True,
    ):
        assert reason.startswith(began + text), reason


def test_what_cannot_be_is_refused_by_create(stream: Clauses) -> None:
    def refused(transform: str, config: str) -> str:
        return stream.refused(
            "CREATE STREAM «NAME» AS LOAD DATA KAFKA '«BROKER»' WITH TOPIC '«TOPIC»' "
            f"WITH TRANSFORM '{transform}' WITH CONFIG {config}"
        )

    for transform, config, text in (
        ("sluice:xml", "{}", "there is no such ready transform; there are sluice:csv"),
        ("sluice:json", "{transform: {}}", "the option label is missing"),
        ("sluice:json", "{transform: {label: 'A', keys: 'id'}}", "unknown option keys; there are"),
        ("sluice:cypher", "{transform: {query: 'MERGE (n {id: $id})'}}", "there is no parameter $id"),
        ("sluice:patterns", "{transform: {pattern: '(:A{b})'}}", "each vertex needs a key"),
    ):
        assert text in refused(transform, config)


class Example(NamedTuple):
    """Messages, what is made of them, and the graph that there is then. `~` ends the names of all labels."""

    name: str
    options: dict[str, Any]
    messages: list[tuple[Any, Any]]
    "Keys and values."
    vertices: list[str]
    "Labels and properties of each, as `shown`."
    edges: list[str] = []


def person(*names: str) -> dict[str, Any]:
    properties = dict(zip(("name", "surname"), names, strict=True))
    return {"event": {"state": {"after": {"properties": properties}}}}


USER = {"userId": 1, "name": "Ada", "surname": "L", "address": {"city": "London", "since": "2012-05"}}
BOUGHT = {"userId": 1, "productId": 100, "price": 10, "currency": "EUR", "ship": {"city": "Rome"}}
BUY = "(:User~{!userId})-[:BOUGHT{price, currency}]->(:Product~{!productId})"
FOO, BAR = {"labels": ["Foo~"], "ids": {"id": 0}}, {"labels": ["Bar~"], "ids": {"id": 1}}
MADE = [
    (None, {"type": "node", "op": "create", "labels": ["Foo~"], "properties": {"id": 0}}),
    (None, {"type": "node", "op": "create", "labels": ["Bar~"], "properties": {"id": 1}}),
]


def related(op: str, **others: Any) -> tuple[None, dict[str, Any]]:
    return None, {"type": "relationship", "op": op, "rel_type": "REL", "from": FOO, "to": BAR, **others}


FAMILIES = (
    "WITH __value.event.state.after AS state MERGE (p:Person~ {name: state.properties.name, surname: "
    "state.properties.surname}) MERGE (f:Family~ {name: state.properties.surname}) MERGE (p)-[:BELONGS_TO]->(f)"
)
MOVE = (
    "WITH __value.event.state.before AS before, __value.event.state.after AS after "
    "MATCH (p:Person~ {name: before.properties.name, surname: before.properties.surname}) "
    "MATCH (fPre:Family~ {name: before.properties.surname}) OPTIONAL MATCH (p)-[b:BELONGS_TO]->(fPre) DELETE b "
    "WITH after, p SET p.name = after.properties.name, p.surname = after.properties.surname "
    "MERGE (f:Family~ {name: after.properties.surname}) MERGE (p)-[:BELONGS_TO]->(f)"
)
LEAVE = (
    "WITH __value.event.state.before AS before "
    "MATCH (p:Person~ {name: before.properties.name, surname: before.properties.surname}) DETACH DELETE p"
)
ROUTED = [
    {"when": {"event.state.before": None}, "query": FAMILIES},
    {"when": {"moves": True}, "query": MOVE},
    {"when": {"leaves": True}, "query": LEAVE},
]


def moved(before: tuple[str, str], after: tuple[str, str]) -> dict[str, Any]:
    state = {"before": person(*before)["event"]["state"]["after"], "after": person(*after)["event"]["state"]["after"]}
    return {"moves": True, "event": {"state": state}}


ADA, BEA, ADA_BY = ("Ada", "Lace"), ("Bea", "Lace"), ("Ada", "Byron")

EXAMPLES = [
    Example("cypher", {"query": FAMILIES}, [(None, person(*ADA)), (None, person(*BEA)), (None, person(*ADA))],
            ["Family~ name=Lace", "Person~ name=Ada surname=Lace", "Person~ name=Bea surname=Lace"],
            ["Person~ name=Ada surname=Lace -BELONGS_TO-> Family~ name=Lace",
             "Person~ name=Bea surname=Lace -BELONGS_TO-> Family~ name=Lace"]),
    Example("cypher", {"query": ROUTED}, [(None, person(*ADA)), (None, moved(ADA, ADA_BY))],
            ["Family~ name=Byron", "Family~ name=Lace", "Person~ name=Ada surname=Byron"],
            ["Person~ name=Ada surname=Byron -BELONGS_TO-> Family~ name=Byron"]),
    Example("cypher", {"query": ROUTED},
            [(None, person(*ADA)), (None, {"leaves": True, "event": {"state": {"before": {"properties": {
                "name": "Ada", "surname": "Lace"}}}}})], ["Family~ name=Lace"]),
    Example("cypher", {"query": "MERGE (n:Label~ {id: event.id}) ON CREATE SET n += event.properties"},
            [(None, {"id": 42, "properties": {"title": "Answer", "description": "It depends."}}),
             (None, {"id": 42, "properties": {"title": "Other"}})],
            ["Label~ description=It depends. id=42 title=Answer"]),
    Example("cypher", {"query": "MERGE (n:K~ {id: __key.id}) SET n.name = __value.name", "key_format": "json"},
            [({"id": 1}, {"name": "a"}), ({"id": 1}, {"name": "b"})], ["K~ id=1 name=b"]),
    Example("patterns", {"pattern": "(:User~{!userId})"}, [(None, USER)],
            ["User~ address.city=London address.since=2012-05 name=Ada surname=L userId=1"]),
    Example("patterns", {"pattern": "(:User~{!userId, *})"}, [(None, USER), (None, {"userId": 1, "name": "B"})],
            ["User~ name=B userId=1"]),
    Example("patterns", {"pattern": "(:User~{!userId, surname})"}, [(None, USER)], ["User~ surname=L userId=1"]),
    Example("patterns", {"pattern": "(:User~{!userId, surname, address.city})"}, [(None, USER)],
            ["User~ address.city=London surname=L userId=1"]),
    Example("patterns", {"pattern": "(:User~{!userId, -address})"}, [(None, USER)],
            ["User~ name=Ada surname=L userId=1"]),
    Example("patterns", {"pattern": "(:User~{!id: userId})", "merge_node_properties": True},
            [(None, {"userId": 1, "a": 1}), (None, {"userId": 1, "b": 2})], ["User~ a=1 b=2 id=1"]),
    Example("patterns",
            {"pattern": "(:User~{!id: userId})-[:LIVES_IN{since: address.since}]->(:City~{!name: address.city})"},
            [(None, USER)], ["City~ name=London", "User~ id=1"],
            ["User~ id=1 -LIVES_IN since=2012-05-> City~ name=London"]),
    Example("patterns", {"pattern": "(:User~{!userId})-[:BOUGHT]->(:Product~{!productId})"}, [(None, BOUGHT)],
            ["Product~ productId=100", "User~ userId=1"],
            ["User~ userId=1 -BOUGHT currency=EUR price=10 ship.city=Rome-> Product~ productId=100"]),
    Example("patterns", {"pattern": BUY}, [(None, BOUGHT), (None, {**BOUGHT, "price": 11})],
            ["Product~ productId=100", "User~ userId=1"],
            ["User~ userId=1 -BOUGHT currency=EUR price=11-> Product~ productId=100"]),
    Example("patterns", {"pattern": "(:User~{!userId})-[:BOUGHT{-ship}]->(:Product~{!productId})"}, [(None, BOUGHT)],
            ["Product~ productId=100", "User~ userId=1"],
            ["User~ userId=1 -BOUGHT currency=EUR price=10-> Product~ productId=100"]),
    Example("patterns", {"pattern": "(:User~{!userId, first: name})-[:BOUGHT{price}]->(:Product~{!productId})"},
            [(None, {**BOUGHT, "name": "Ada"})], ["Product~ productId=100", "User~ first=Ada userId=1"],
            ["User~ first=Ada userId=1 -BOUGHT price=10-> Product~ productId=100"]),
    Example("patterns", {"pattern": BUY}, [(None, BOUGHT), ({"userId": 1, "productId": 100}, None)],
            ["Product~ productId=100", "User~ userId=1"]),
    Example("patterns", {"pattern": "(:User~{!userId})"}, [(None, USER), (None, {"userId": 2}), ({"userId": 1}, None)],
            ["User~ userId=2"]),
    Example("cud", {}, MADE, ["Bar~ id=1", "Foo~ id=0"]),
    Example("cud", {}, [*MADE, (None, {"type": "node", "op": "update", **FOO, "properties": {"id": 2, "foo": "x"}})],
            ["Bar~ id=1", "Foo~ foo=x id=2"]),
    Example("cud", {}, [(None, {"type": "node", "op": "merge", **FOO, "properties": {"n": n}}) for n in (1, 2)],
            ["Foo~ id=0 n=2"]),
    Example("cud", {}, [*MADE, (None, {"type": "NODE", "op": "delete", **FOO})], ["Bar~ id=1"]),
    Example("cud", {}, [*MADE, related("create"), (None, {"type": "node", "op": "delete", **FOO, "detach": True})],
            ["Bar~ id=1"]),
    Example("cud", {}, [*MADE, related("create", properties={"by": "incident"})], ["Bar~ id=1", "Foo~ id=0"],
            ["Foo~ id=0 -REL by=incident-> Bar~ id=1"]),
    Example("cud", {}, [MADE[1], related("create", **{"from": {**FOO, "op": "merge"}}, properties={"by": "x"})],
            ["Bar~ id=1", "Foo~ id=0"], ["Foo~ id=0 -REL by=x-> Bar~ id=1"]),
    Example("cud", {}, [*MADE, related("create"), related("update", properties={"by": "y"})],
            ["Bar~ id=1", "Foo~ id=0"], ["Foo~ id=0 -REL by=y-> Bar~ id=1"]),
    Example("cud", {}, [MADE[0], related("merge", to={**BAR, "op": "merge"}, ids={"id": 5}, properties={"by": "z"}),
                        related("merge", ids={"id": 6}), related("update", ids={"id": 6}, properties={"by": "u"})],
            ["Bar~ id=1", "Foo~ id=0"],
            ["Foo~ id=0 -REL by=u id=6-> Bar~ id=1", "Foo~ id=0 -REL by=z id=5-> Bar~ id=1"]),
    Example("cud", {}, [*MADE, related("merge", ids={"id": 5}), related("merge", ids={"id": 6}),
                        related("delete", ids={"id": 5})],
            ["Bar~ id=1", "Foo~ id=0"], ["Foo~ id=0 -REL id=6-> Bar~ id=1"]),
    Example("cud", {}, [*MADE, related("merge"), related("delete")], ["Bar~ id=1", "Foo~ id=0"]),
]  # fmt: skip


@pytest.mark.parametrize("folds", [False, True], ids=["one by one", "folded"])
@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{n}-{one.name}" for n, one in enumerate(EXAMPLES)])
def test_neo4js_examples_become_the_graphs_that_it_says(example: Example, folds: bool, run: Run) -> None:
    ending = f"_{uuid.uuid4().hex[:8]}"

    def named(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("~", ending))

    [(function, transform)] = ready.configured(example.name, named(example.options)).items()
    records = [
        Record(data(value), data(key), [], "t", 0, offset, 1)
        for offset, (key, value) in enumerate(named(example.messages))
    ]
    queries = transform([record.value for record in records] if function == "stream" else records)
    sent = [(item.text, item.parameters) for item in Folder().fold(queries)] if folds else queries
    for text, parameters in subscripted(sent):
        run(text, **parameters)
    labelled = f"any(label IN labels(n) WHERE label ENDS WITH '{ending}')"
    vertices = run(f"MATCH (n) WHERE {labelled} RETURN labels(n) AS labels, properties(n) AS properties")
    edges = run(
        f"MATCH (n)-[r]->(m) WHERE {labelled} RETURN labels(n) AS labels, properties(n) AS properties, type(r) AS "
        "type, properties(r) AS edge, labels(m) AS other_labels, properties(m) AS other"
    )
    assert sorted(shown(row["labels"], row["properties"]) for row in vertices) == named(example.vertices)
    assert sorted(
        f"{shown(row['labels'], row['properties'])} -{shown([row['type']], row['edge'])}-> "
        f"{shown(row['other_labels'], row['other'])}"
        for row in edges
    ) == named(example.edges)


def data(value: Any) -> bytes | None:
    """JSON; None is null."""
    return None if value is None else json.dumps(value).encode()


def shown(names: list[str], properties: dict[str, Any]) -> str:
    """Labels or a type, and properties in the order of their names."""
    return " ".join([*sorted(names), *(f"{name}={value}" for name, value in sorted(properties.items()))])
