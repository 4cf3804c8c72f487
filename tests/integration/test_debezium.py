"""
Debezium's events, from Kafka into the graph, by `sluice:debezium`: the graph holds what the database's tables hold.

What a Debezium sends is recorded (`python -m tests.debezium`); the soak test runs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.debezium import compare
from tests.debezium.postgres import PostgresUnavailable
from tests.debezium.recorded import Recorded, recorded
from tests.debezium.rig import PLAIN, TOGETHER, UNWRAPPED, Rig
from tests.eventually import eventually
from tests.integration.test_kit import Run
from tests.kafka import KafkaBroker, KafkaUnavailable
from tests.kafka.jars import jars

PATIENCE = 120.0
"Seconds for all messages."

CHANGES = 2_000

ENDED = "has read all"

PARENTS_FIRST, CHILDREN_FIRST, AT_ONCE = "parents first", "children first", "at once"
ORDERS = (PARENTS_FIRST, CHILDREN_FIRST, AT_ONCE)
"In which order streams read the tables' topics to their ends."


class Streams:
    """A stream for each topic, all with the same options."""

    def __init__(self, run: Run, bootstrap: str, names: Callable[[], str], topics: list[str]) -> None:
        self._run = run
        self._bootstrap = bootstrap
        self._streams = [(names(), topic) for topic in topics]

    def read(self, options: dict[str, Any], order: str, size: int) -> None:
        """Creates and starts the streams; waits until each has read its topic."""
        for name, topic in self._streams:
            self._run(
                "CALL streams.create($name, $uri, $topic, 'sluice:debezium', 100, $size, {transform: $options})",
                name=name,
                uri=self._bootstrap,
                topic=topic,
                size=size,
                options=options,
            )
        started = self._streams if order == PARENTS_FIRST else self._streams[::-1]
        for name, _ in started:
            eventually(lambda name=name: [self._run("CALL streams.start($name)", name=name)], timeout=20)  # type: ignore[misc]
            if order != AT_ONCE:
                self._await_end(name)
        for name, _ in started:
            self._await_end(name)

    def _await_end(self, name: str) -> None:
        ended = eventually(lambda: self._ended(name), timeout=PATIENCE)
        assert ended == ENDED

    def _ended(self, name: str) -> str:
        """ENDED, or the error that the stream ended with; empty while it reads."""
        names = "status, reason, total_lag, messages"
        [row] = self._run(f"CALL streams.info($name) YIELD {names} RETURN {names}", name=name)
        if row["status"] == "error":
            return str(row["reason"])
        return ENDED if row["messages"] and row["total_lag"] == 0 else ""


class Debezium(NamedTuple):
    """Topics that a Debezium has filled."""

    topics: dict[str, list[str]]
    "Way -> topics, the tables in the order of their references."
    rows: dict[str, list[dict[str, Any]]]
    "Table -> the rows in the end."


def check(run: Run, prefix: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """The graph is what the tables are."""
    assert sum(map(len, rows.values())) > 0
    same: list[str] = []
    eventually(
        lambda: compare.difference(compare.in_graph(run, prefix), compare.expected(rows)), equals=same, timeout=PATIENCE
    )


@pytest.mark.parametrize("order", [CHILDREN_FIRST, AT_ONCE])
def test_recorded_changes_make_the_graph_what_the_tables_are(
    run: Run, kafka: KafkaBroker, new_stream_name: Callable[[], str], order: str
) -> None:
    found: Recorded = recorded()
    prefix = new_stream_name()
    topics = [found.fill(kafka, topic, prefix) for topic in found.topics]
    streams = Streams(run, kafka.bootstrap, new_stream_name, topics)
    streams.read(compare.options(prefix, types=True), order, 200)
    check(run, prefix, found.rows)


@pytest.fixture(scope="module")
def debezium(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debezium]:
    """A shop whose rows have changed a lot, and what Debezium sent of that."""
    folder: Path = tmp_path_factory.mktemp("debezium")
    try:
        rig = Rig(folder, kafka)
        jars(rig.connect.pom)
    except (PostgresUnavailable, KafkaUnavailable) as error:
        pytest.skip(f"no Debezium here: {error}")
    with rig:
        rows = rig.change(CHANGES, seed=1)
        yield Debezium({way: rig.topics(way) for way in rig.prefixes}, rows)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("way", "order", "size"),
    [
        *((PLAIN, order, 100) for order in ORDERS),
        *((UNWRAPPED, order, 100) for order in ORDERS),
        (TOGETHER, AT_ONCE, 1000),
        (TOGETHER, AT_ONCE, 10),
    ],
)
def test_the_graph_is_what_the_tables_are(
    run: Run,
    kafka: KafkaBroker,
    new_stream_name: Callable[[], str],
    debezium: Debezium,
    way: str,
    order: str,
    size: int,
) -> None:
    prefix = new_stream_name()
    streams = Streams(run, kafka.bootstrap, new_stream_name, debezium.topics[way])
    streams.read(compare.options(prefix, types=way != TOGETHER), order, size)
    check(run, prefix, debezium.rows)
