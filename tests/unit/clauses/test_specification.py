"""The specification's own texts, character by character, and what it says about them."""

from __future__ import annotations

import re
from itertools import product

import pytest

from sluice import clauses
from sluice.clauses import CreateStream, DropStream, ShowStreams, StartStream, StopStream, parse, translate

CREATE_GRAMMAR = "CREATE STREAM stream_name AS LOAD DATA KAFKA 'URI' WITH TOPIC 'topic' WITH TRANSFORM 'URI' [BATCH_INTERVAL milliseconds] [BATCH_SIZE count]"  # noqa: E501
EXAMPLE_CREATE = "CREATE STREAM mystream AS LOAD DATA KAFKA 'localhost:9092' WITH TOPIC 'test' WITH TRANSFORM 'http://localhost/transform.py' "  # noqa: E501


def every_reading(grammar: str) -> list[str]:
    """The texts that a clause's grammar stands for, each `[optional part]` with and without."""
    parts = re.split(r"\[(.*?)\]", grammar)
    choices = [(part,) if i % 2 == 0 else ("", part) for i, part in enumerate(parts)]
    numbers = {"milliseconds": "250", "count": "20"}
    texts = ["".join(choice) for choice in product(*choices)]
    return [re.sub(r"\b(milliseconds|count)\b", lambda word: numbers[word[0]], text) for text in texts]


@pytest.mark.parametrize(
    ("grammar", "statements"),
    [
        pytest.param(
            CREATE_GRAMMAR,
            [
                CreateStream("stream_name", "URI", "topic", "URI", interval, size)
                for interval, size in product((None, 250), (None, 20))
            ],
            id="CREATE STREAM",
        ),
        pytest.param("DROP STREAM stream_name;", [DropStream("stream_name")], id="DROP STREAM"),
        pytest.param("SHOW STREAMS;", [ShowStreams()], id="SHOW STREAMS"),
        pytest.param(
            "START STREAM stream_name [LIMIT count BATCHES];",
            [StartStream("stream_name"), StartStream("stream_name", 20)],
            id="START STREAM",
        ),
        pytest.param("STOP STREAM stream_name;", [StopStream("stream_name")], id="STOP STREAM"),
        pytest.param("START ALL STREAMS;", [clauses.StartAllStreams()], id="START ALL STREAMS"),
        pytest.param("STOP ALL STREAMS;", [clauses.StopAllStreams()], id="STOP ALL STREAMS"),
        pytest.param(
            "TEST STREAM stream_name [LIMIT count BATCHES];",
            [clauses.TestStream("stream_name"), clauses.TestStream("stream_name", 20)],
            id="TEST STREAM",
        ),
    ],
)
def test_every_clause_of_the_specification_parses(grammar: str, statements: list[clauses.Statement]):
    assert [parse(text) for text in every_reading(grammar)] == statements


@pytest.mark.parametrize(
    ("text", "query", "parameters", "columns"),
    [
        pytest.param(
            EXAMPLE_CREATE,
            "CALL streams.create($name, $uri, $topic, $transform)",
            {
                "name": "mystream",
                "uri": "localhost:9092",
                "topic": "test",
                "transform": "http://localhost/transform.py",
            },
            (),
            id="create",
        ),
        pytest.param(
            "SHOW STREAMS ",
            "CALL streams.show() YIELD name, uri, topic, transform, status",
            {},
            ("name", "uri", "topic", "transform", "status"),
            id="show",
        ),
        pytest.param(
            "TEST STREAM mystream; ",
            "CALL streams.test($name) YIELD query, params",
            {"name": "mystream"},
            ("query", "params"),
            id="test",
        ),
        pytest.param("START STREAM mystream; ", "CALL streams.start($name)", {"name": "mystream"}, (), id="start"),
        pytest.param("STOP STREAM mystream; ", "CALL streams.`stop`($name)", {"name": "mystream"}, (), id="stop"),
    ],
)
def test_the_example_of_the_specification_is_translated(text, query, parameters, columns):
    translation = translate(text)
    assert translation == clauses.Translation(query, parameters, columns)


def test_the_transform_scripts_own_queries_are_left_alone():
    assert translate("CREATE (:Node {id: $id})", {"id": "1"}) is None
    edge = "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)"
    assert translate(edge, {"from_id": "1", "to_id": "2"}) is None
