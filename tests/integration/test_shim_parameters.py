"""What real drivers send as parameters of clauses, and what they get to see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import neo4j
import pytest

from tests.hosts import Host, ScriptServer
from tests.integration.shim_clients import CLIENTS, Refused
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import EXAMPLE
from tests.kafka import KafkaBroker

CREATE = "CREATE STREAM $name AS LOAD DATA KAFKA $uri WITH TOPIC $topic WITH TRANSFORM $script"


@pytest.fixture
def shim(host: Host, tmp_path: Path) -> Iterator[ShimServer]:
    shim = ShimServer(tmp_path, host.port)
    shim.start()
    yield shim
    shim.kill()


@pytest.fixture
def driver(shim: ShimServer) -> Iterator[neo4j.Driver]:
    with neo4j.GraphDatabase.driver(shim.uri, telemetry_disabled=True) as driver:
        yield driver


@pytest.fixture
def words(kafka: KafkaBroker, script_server: ScriptServer, stream_name: str) -> Mapping[str, Any]:
    """Those of CREATE, with a topic of three messages."""
    topic = kafka.topics.create()
    kafka.topics.produce(topic, ["1", "2", "3"])
    script = script_server.serve("/t.py", EXAMPLE)
    return {"name": stream_name, "uri": kafka.bootstrap, "topic": topic, "script": script}


@pytest.mark.parametrize("name", ["neo4j, JavaScript 6", "neo4j, JavaScript 6, for browsers"])
def test_plain_numbers_of_javascript_are_integers(name: str, shim: ShimServer, words: Mapping[str, Any]) -> None:
    stream = {"name": words["name"]}
    with CLIENTS[name](shim.port) as run:
        run(CREATE + " WITH CONFIG {park_limit: $limit} BATCH_INTERVAL $interval BATCH_SIZE $size",
            {**words, "limit": 5, "interval": 50, "size": 1})  # fmt: skip
        run("ALTER STREAM $name SET CONFIG $config", {**stream, "config": {"park_limit": 7}})
        [[statement]] = run("SHOW CREATE STREAM $name", stream).rows
        assert statement.endswith(" WITH CONFIG {park_limit: 7} BATCH_INTERVAL 50 BATCH_SIZE 1")
        assert len(run("TEST STREAM $name LIMIT $n BATCHES", {**stream, "n": 2}).rows) == 2
        assert [row[:3] for row in run("SEEK STREAM $name TO {0: $offset}", {**stream, "offset": 2}).rows] == [
            [0, 0, 2]
        ]
        assert [row[:3] for row in run("SEEK STREAM $name TO $to", {**stream, "to": {"0": 1}}).rows] == [[0, 2, 1]]
        assert run("SEEK STREAM $name TO TIMESTAMP $at", {**stream, "at": 1_700_000_000_000}).rows[0][2] == 0
        for query, parameters, error in (
            ("START STREAM $name LIMIT $n BATCHES", {**stream, "n": 1.5}, "LIMIT must be an integer, got 1.5"),
            ("START STREAM $name LIMIT $n BATCHES", {**stream, "n": None}, "LIMIT must be an integer, got null"),
            ("STOP STREAM $n", {"n": 5}, "the stream's name must be a string, got 5.0"),
        ):
            with pytest.raises(Refused) as caught:
                run(query, parameters)
            assert str(caught.value) == error


def test_wrong_types_are_refused_before_anything_runs(
    driver: neo4j.Driver, words: Mapping[str, Any], host: Host
) -> None:
    driver.execute_query(CREATE, dict(words))
    for verb in ("START", "TEST"):
        for value, shown in ((None, "null"), ("x", "'x'"), (True, "true"), ([1], "a list")):
            with pytest.raises(neo4j.exceptions.ClientError) as caught:
                driver.execute_query(f"{verb} STREAM $name LIMIT $n BATCHES", name=words["name"], n=value)
            assert caught.value.message == f"LIMIT must be an integer, got {shown}"
    assert [row["status"] for row in driver.execute_query("SHOW STREAMS").records if row["name"] == words["name"]] == [
        "stopped"
    ]


def test_the_summary_of_a_clause_counts_nothing(driver: neo4j.Driver, words: Mapping[str, Any], label: str) -> None:
    assert driver.execute_query(f"CREATE (:{label})").summary.counters.nodes_created == 1
    for clause in (CREATE, "STOP STREAM $name", "DROP STREAM $name"):
        assert not driver.execute_query(clause, dict(words)).summary.counters.contains_updates


@pytest.mark.memgraph_only("the sandbox explains nothing")
@pytest.mark.parametrize("word", ["EXPLAIN", "PROFILE"])
def test_a_clause_is_explained_by_its_call(word: str, driver: neo4j.Driver) -> None:
    with driver.session() as session:  # PROFILE is refused in a transaction of its own
        plan = list(session.run(f"{word} SHOW STREAMS"))
    assert any("streams.show" in str(row[0]) for row in plan)
