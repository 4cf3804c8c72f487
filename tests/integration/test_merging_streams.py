"""Several streams that merge the same vertices and relationships: each is created once, whoever comes first."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.test_kit import Run, Stream
from tests.kafka import KafkaBroker

PAIRS = """
def stream(batch):
    queries = []
    for message in batch:
        source, target = message.decode().split()
        queries.append(("MERGE (n:Of_LABEL {id: $id})", {"id": source}))
        queries.append(("MERGE (n:Of_LABEL {id: $id})", {"id": target}))
        text = "MATCH (a:Of_LABEL {id: $source}), (b:Of_LABEL {id: $target}) MERGE (a)-[:TO_LABEL]->(b)"
        queries.append((text, {"source": source, "target": target}))
    return queries
"""
"Two vertices and the relationship between them, unless they are there."

SLOW = "import time\n\n\ndef stream(batch):\n    time.sleep(PAUSE)\n    return merged(batch)\n" + PAIRS.replace(
    "def stream", "\n\ndef merged"
)
"The same, so that all streams are at work at the same time."

BATCH = 20
"Messages in a batch."

WORK = 3.0
"Seconds for which a stream is at work at least."

PATIENCE = 180.0
"Seconds for all messages."


class Streams:
    """Streams of the same transform, each with a topic of its own."""

    def __init__(self, run: Run, kafka: KafkaBroker, folder: Path, names: Iterator[str], label: str) -> None:
        self._run = run
        self._label = label
        self._names = names
        self._kafka = kafka
        self._folder = folder
        self.streams: list[Stream] = []

    def feed(self, count: int, messages: int, keys: int, seed: int) -> set[tuple[str, str]]:
        """Creates streams, each with so many messages of random keys; the pairs that there are in them."""
        rng = random.Random(seed)
        pairs = set()
        script = SLOW.replace("LABEL", self._label).replace("PAUSE", str(WORK * BATCH / messages))
        for _ in range(count):
            stream = Stream(self._run, self._kafka, self._folder, next(self._names))
            feed = [(str(rng.randrange(keys)), str(rng.randrange(keys))) for _ in range(messages)]
            stream.send(f"{source} {target}" for source, target in feed)
            stream.create(script, size=BATCH)
            self.streams.append(stream)
            pairs |= set(feed)
        return pairs

    def finish(self, messages: int) -> None:
        """Starts all of them at once, and waits until they are through."""
        for stream in self.streams:
            stream.start()
        for stream in self.streams:
            eventually(partial(self._messages, stream.name), equals=messages, timeout=PATIENCE)
        assert {stream.status for stream in self.streams} == {"running"}

    def _messages(self, name: str) -> int:
        [row] = self._run("CALL streams.info($name) YIELD messages RETURN messages", name=name)
        return int(row["messages"])

    def doubles(self, pairs: set[tuple[str, str]]) -> tuple[int, int]:
        """How many vertices, and relationships, there are beyond one for each key."""
        [vertices] = self._run(f"MATCH (n:Of_{self._label}) RETURN count(n) AS n")
        [edges] = self._run(f"MATCH (:Of_{self._label})-[e:TO_{self._label}]->() RETURN count(e) AS n")
        return vertices["n"] - len({name for pair in pairs for name in pair}), edges["n"] - len(pairs)

    @property
    def waits(self) -> int:
        """How often they have waited for each other."""
        rows = [
            self._run("CALL streams.info($name) YIELD merges RETURN merges", name=stream.name)[0]
            for stream in self.streams
        ]
        return sum(int(row["merges"]["waits"]["count"]) for row in rows)


@pytest.fixture
def streams(
    run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str], stream_name: str
) -> Streams:
    return Streams(run, kafka, tmp_path, iter(new_stream_name, None), stream_name)


@pytest.mark.parametrize("constrained", [False, True], ids=["without a constraint", "with one"])
@pytest.mark.parametrize("count", [2, 4, pytest.param(8, marks=pytest.mark.soak)])
def test_there_are_as_many_vertices_and_relationships_as_keys(
    streams: Streams, host: Host, run: Run, stream_name: str, count: int, constrained: bool
) -> None:
    if not host.is_memgraph and (count > 2 or constrained):
        pytest.skip("the sandbox takes its time")
    run(f"CREATE INDEX ON :Of_{stream_name}(id)")
    if constrained:
        run(f"CREATE CONSTRAINT ON (n:Of_{stream_name}) ASSERT n.id IS UNIQUE")
    messages, keys = (3000, 1500) if host.is_memgraph else (200, 60)
    pairs = streams.feed(count, messages, keys, seed=count)
    try:
        streams.finish(messages)
        assert streams.doubles(pairs) == (0, 0)
        if not constrained:
            assert streams.waits > 0, "they were never at work at the same time"
    finally:
        if constrained:
            run(f"DROP CONSTRAINT ON (n:Of_{stream_name}) ASSERT n.id IS UNIQUE")


def test_what_is_not_protected_from_other_clients_is_reported(streams: Streams, run: Run, stream_name: str) -> None:
    streams.feed(1, 30, 10, seed=1)
    [stream] = streams.streams
    streams.finish(30)
    statement = f"CREATE CONSTRAINT ON (n:Of_{stream_name}) ASSERT n.id IS UNIQUE;"
    report = "CALL streams.info($name) YIELD merges RETURN merges"
    nothing = {"count": 0, "ms": 0.0, "for": {}, "waiting": None}
    # The messages are there a moment before the worker hears that they are.
    eventually(
        lambda: run(report, name=stream.name), equals=[{"merges": {"unprotected": [statement], "waits": nothing}}]
    )


@pytest.mark.memgraph_only("the sandbox does not list its constraints")
def test_a_constraint_ends_the_report(streams: Streams, run: Run, stream_name: str) -> None:
    streams.feed(1, 30, 10, seed=1)
    [stream] = streams.streams
    constraint = f"CONSTRAINT ON (n:Of_{stream_name}) ASSERT n.id IS UNIQUE"
    run(f"CREATE {constraint}")
    try:
        streams.finish(30)
        report = "CALL streams.info($name) YIELD merges RETURN merges.unprotected AS unprotected"
        eventually(lambda: run(report, name=stream.name), equals=[{"unprotected": []}])
    finally:
        run(f"DROP {constraint}")
