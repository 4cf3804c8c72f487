"""
Messages of which each needs what the one before it has made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.configured import Configured
from tests.integration.test_kit import Run, numbers
from tests.kafka import KafkaBroker

LINKS = """
def stream(batch):
    query = "MATCH (n:LABEL {value: $last}) CREATE (n)-[:NEXT]->(:LABEL {value: $value})"
    return [(query, {"last": int(message) - 1, "value": int(message)}) for message in batch]
"""

MANY = 3000

LONGEST = "MATCH (n:{0})-[:NEXT]->(m:{0}) WHERE m.value = n.value + 1 RETURN count(*) AS links"


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    return Configured(run, kafka, tmp_path, new_stream_name())


@pytest.mark.parametrize("first", [0, 1000])
def test_a_chain_is_whole_wherever_it_begins(stream: Configured, first: int) -> None:
    # With nothing to begin with, the links before it find nothing, one by one.
    stream.run(f"CREATE (:{stream.label} {{value: $first}})", first=first)
    stream.run(f"CREATE INDEX ON :{stream.label}(value)")
    stream.send(numbers(1, MANY + 1))
    stream.configured(None, LINKS, size=100)
    stream.start()
    stream.await_position(MANY, timeout=60)
    stream.await_no_reason()
    rows = stream.run(f"MATCH (n:{stream.label}) RETURN n.value AS value ORDER BY value")
    assert [row["value"] for row in rows] == list(range(first, MANY + 1))
    assert stream.run(LONGEST.format(stream.label)) == [{"links": MANY - first}]
    assert stream.errors() == []
    assert (stream.info["messages"], stream.info["failed"]) == (MANY, 0)


@pytest.mark.memgraph_only("there are no chains on the sandbox: docs/sandbox.md")
def test_chains_take_few_queries(stream: Configured) -> None:
    stream.run(f"CREATE (:{stream.label} {{value: 0}})")
    stream.run(f"CREATE INDEX ON :{stream.label}(value)")
    stream.send(numbers(1, MANY + 1))
    stream.configured(None, LINKS, size=100)
    stream.start()
    stream.await_position(MANY)
    [row] = stream.run("CALL streams.info($name) YIELD folding RETURN folding", name=stream.name)
    assert row["folding"]["queries"] == MANY
    assert row["folding"]["sent"] < 10
