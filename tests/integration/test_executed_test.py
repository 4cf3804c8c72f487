"""An executed test: what the queries would change, which are slow, what is missing; and nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import neo4j
import pytest

from tests.eventually import eventually
from tests.integration.test_kit import EXAMPLE, OwnHost, Row, Run, Stream, numbers, refusal
from tests.kafka import KafkaBroker

COLUMNS = (
    "query, queries, runs, ms, slowest_ms, nodes_created, nodes_deleted, relationships_created, relationships_deleted, "
    "properties_set, labels_added, labels_removed, warning, error"
)

KINDS = """
def stream(batch):
    return [query(message.decode()) for message in batch]


def query(value):
    kind, _, rest = value.partition(" ")
    return {
        "create": ("CREATE (:LABEL {value: $value})-[:TO]->(:LABEL {value: $value})", {"value": rest}),
        "set": ("MATCH (n:LABEL {value: $value}) SET n.seen = true", {"value": rest}),
        "delete": ("MATCH (n:LABEL {value: $value}) DETACH DELETE n", {"value": rest}),
        "divide": ("RETURN 1 / $zero", {"zero": 0}),
        "wait": ("UNWIND range(1, 30000) AS a UNWIND range(1, 30000) AS b RETURN count(*)", {}),
    }[kind]
"""


class Rehearsed(Stream):
    """A stream whose tests are executed."""

    def execute(self, limit: int = 1) -> list[Row]:
        """The queries."""
        return self.run("CALL streams.test($name, $limit, true) YIELD query, params", name=self.name, limit=limit)

    def report(self) -> list[Row]:
        return self.run(f"CALL streams.test_report($name) YIELD {COLUMNS} RETURN {COLUMNS}", name=self.name)

    def await_report(self) -> list[Row]:
        """The report, once it is there."""

        def done() -> list[Row]:
            try:
                return self.report()
            except neo4j.exceptions.Neo4jError as error:
                if "the test is still being executed: ask again in a moment" not in str(error.message):
                    raise
                return []

        return eventually(done, timeout=20)


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Rehearsed:
    return Rehearsed(run, kafka, tmp_path, new_stream_name())


def test_a_report_counts_what_would_change_and_nothing_changes(stream: Rehearsed) -> None:
    stream.create(KINDS)
    stream.send(["create 1", "create 2", "set 1", "delete 2"])
    assert len(stream.execute()) == 4
    report = {row["query"].partition(" ")[0] + row["query"][-2:]: row for row in stream.await_report()}
    created, changed, deleted = report["CREATE})"], report["MATCHue"], report["MATCH n"]
    assert [created[name] for name in ("queries", "runs", "nodes_created", "relationships_created")] == [2, 2, 4, 2]
    assert created["ms"] >= created["slowest_ms"] > 0
    assert (changed["runs"], changed["properties_set"], changed["nodes_created"]) == (1, 2, 0)
    assert (deleted["nodes_deleted"], deleted["relationships_deleted"], deleted["error"]) == (2, 1, None)
    assert [row["ms"] for row in stream.report()] == sorted((row["ms"] for row in stream.report()), reverse=True)
    assert stream.count == 0
    # The stream takes the same messages as if nothing had been.
    stream.start()
    stream.await_count(2)


def test_a_query_that_fails_is_named_and_nothing_runs_after_it(stream: Rehearsed) -> None:
    stream.create(KINDS)
    stream.send(["create 1", "divide", "create 2", "divide"])
    stream.execute()
    rows = {row["query"]: row for row in stream.await_report()}
    divided = rows["RETURN 1 / $zero"]
    assert (divided["queries"], divided["runs"]) == (2, 1)
    assert divided["error"]
    (created,) = (row for query, row in rows.items() if query.startswith("CREATE"))
    assert (created["queries"], created["runs"], created["error"]) == (2, 1, None)
    assert stream.count == 0


def test_a_test_ends_in_time(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    host = own_host(env={"SLUICE_TEST_TIMEOUT": "1"})
    stream = Rehearsed(host.run, kafka, tmp_path, "slow")
    stream.create(KINDS)
    stream.send(["create 1", "wait"])
    stream.execute()
    assert "the test is still being executed" in refusal(stream.report)
    slowest, created = stream.await_report()
    assert slowest["error"] == "not finished after 1 s, the test's time limit (SLUICE_TEST_TIMEOUT)"
    assert created["runs"] == 1
    assert stream.count == 0


def test_a_report_has_to_be_asked_for(stream: Rehearsed) -> None:
    stream.create()
    stream.send(numbers(0, 3))
    stream.test()
    expected = (
        f"Kafka stream {stream.name}, no test was executed: CALL streams.test('{stream.name}', 1, true) executes one"
    )
    assert refusal(stream.report) == f"sluice.errors.NoReport: {expected}"
    assert "stream not found" in refusal(stream.run, "CALL streams.test_report('nowhere') YIELD query RETURN query")


@pytest.mark.memgraph_only("the plan is its own")
def test_what_is_looked_for_without_an_index_is_named(stream: Rehearsed) -> None:
    stream.create(EXAMPLE.replace("Node", stream.label))
    stream.send(["1 2"])
    stream.execute()
    (row,) = stream.await_report()
    for name in ("n", "m"):
        remedy = f"CREATE INDEX ON :{stream.label}(id) would help"
        assert f"{name}: scans every vertex of the graph; {remedy}" in row["warning"]
    stream.run(f"CREATE INDEX ON :{stream.label}(id)")
    try:
        stream.execute()
        (row,) = stream.await_report()
        assert row["warning"] is None
    finally:
        stream.run(f"DROP INDEX ON :{stream.label}(id)")
