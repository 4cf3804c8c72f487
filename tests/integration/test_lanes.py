"""Streams with several lanes: one stream for its user, with each message applied once, and each key created once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.integration.test_kit import OwnHost, Row, Run, numbers, refusal, transforms_running
from tests.integration.test_parking import GATED, Keeping
from tests.kafka import KafkaBroker

PARTITIONS = 4

SHARED = """
import time


def stream(batch):
    time.sleep(0.01)
    queries = []
    for message in batch:
        value = message.decode()
        if value.startswith("bad"):
            raise ValueError(value)
        number, source, target = value.split()
        queries.append(("CREATE (:LABEL {value: $value})", {"value": number}))
        queries.append(("MERGE (n:Key_LABEL {id: $id})", {"id": source}))
        queries.append(("MERGE (n:Key_LABEL {id: $id})", {"id": target}))
        text = "MATCH (a:Key_LABEL {id: $source}), (b:Key_LABEL {id: $target}) MERGE (a)-[:TO_LABEL]->(b)"
        queries.append((text, {"source": source, "target": target}))
    return queries
"""
"A vertex for each message, and two and a relationship that messages of all partitions share."


class Laned(Keeping):
    """A stream of four partitions, to each of which messages go in turn."""

    def __init__(self, run: Run, kafka: KafkaBroker, folder: Path, name: str, **given: Any) -> None:
        super().__init__(run, kafka, folder, name, **({"topic": ""} | given | {"partitions": PARTITIONS}))

    def deal(self, values: list[str]) -> None:
        """The messages, in order, to the partitions in turn."""
        for partition in range(PARTITIONS):
            self.send(values[partition::PARTITIONS], partition=partition)

    @property
    def lanes(self) -> list[Row]:
        [row] = self.run("CALL streams.info($name) YIELD lanes RETURN lanes", name=self.name)
        return list(row["lanes"])

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """The properties of the checkpoint nodes, in the order of their lanes."""
        rows = self.run(
            f"MATCH (s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k) WHERE s.name = $name "
            "RETURN properties(k) AS checkpoint ORDER BY k.lane",
            name=self.name,
        )
        return [row["checkpoint"] for row in rows]

    def read(self, count: int) -> None:
        """Run until so many messages have taken effect, then stop."""
        self.start()
        self.await_count(count, timeout=60)
        self.stop()


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Laned:
    return Laned(run, kafka, tmp_path, new_stream_name())


def pairs(count: int, keys: int) -> list[str]:
    """Messages with numbers, each with two of the keys."""
    rng = random.Random(count)
    return [f"{number} {rng.randrange(keys)} {rng.randrange(keys)}" for number in numbers(0, count)]


def test_each_message_takes_effect_once_and_each_key_is_created_once_though_the_server_is_killed(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host, count = own_host(), 600
    stream = Laned(host.run, kafka, tmp_path, "laned")
    messages = pairs(count, keys=60)
    stream.deal(messages)
    host.run(f"CREATE INDEX ON :Key_{stream.label}(id)")
    stream.configured({"lanes": 2}, SHARED)
    stream.start()
    stream.await_at_least(count // 6, timeout=60)
    assert transforms_running(host) == 2
    host.kill()
    host.start()
    stream.await_count(count, timeout=90)
    assert stream.values == numbers(0, count)
    wanted = [tuple(message.split()[1:]) for message in messages]
    [found] = host.run(f"MATCH (n:Key_{stream.label}) RETURN count(n) AS all, count(DISTINCT n.id) AS different")
    assert found["all"] == found["different"] == len({key for pair in wanted for key in pair})
    [found] = host.run(f"MATCH (:Key_{stream.label})-[e:TO_{stream.label}]->() RETURN count(e) AS all")
    assert found["all"] == len(set(wanted))
    eventually(lambda: stream.info["messages"], equals=count)
    assert stream.info["positions"] == dict.fromkeys("0123", count // PARTITIONS)
    assert [set(lane["positions"]) for lane in stream.lanes] == [{"0", "2"}, {"1", "3"}]
    assert sum(lane["messages"] for lane in stream.lanes) == count


def test_lanes_are_dealt_anew_with_positions_history_and_parked_messages(stream: Laned) -> None:
    stream.configured({"lanes": 2, "on_error": "park"}, GATED)
    assert [(one["lane"], one["lanes"]) for one in stream.checkpoints] == [(0, 2), (1, 2)]
    stream.deal([*numbers(0, 16), "bad0", "bad1", "bad2", "bad3"])
    stream.start()
    stream.await_count(16)
    eventually(lambda: len(stream.parked()), equals=4)
    stream.stop()
    before = stream.info
    assert (before["messages"], before["failed"]) == (16, 4)
    for lanes in (3, 1, 4):
        stream.insist("CALL streams.alter($name, {config: {lanes: $lanes}})", lanes=lanes)
        now = stream.info
        assert {key: now[key] for key in ("positions", "batches", "messages", "failed")} == {
            key: before[key] for key in ("positions", "batches", "messages", "failed")
        }
        assert len(stream.checkpoints) == lanes
        assert sorted(row["payload"] for row in stream.parked()) == ["bad0", "bad1", "bad2", "bad3"]
        assert sorted(row["payload"] for row in stream.errors()) == ["bad0", "bad1", "bad2", "bad3"]
    stream.deal([f"{number}" for number in numbers(16, 24)])
    stream.read(24)
    stream.open_gate()
    assert stream.retry() == 4
    stream.await_count(28, timeout=40)
    stream.await_answered()
    assert stream.parked() == []
    assert stream.counts == (28, 0)
    stream.insist("CALL streams.alter($name, {config: {lanes: null}})")
    assert ["lane" in one for one in stream.checkpoints] == [False]
    assert stream.lanes == []
    what = "the stream reads 4 partitions of topic"
    assert what in refusal(partial(stream.configure, {"lanes": 5}))


def test_positions_are_sent_to_the_lanes_that_read_them(stream: Laned) -> None:
    stream.configured({"lanes": 3}, GATED)
    stream.deal(numbers(0, 40))
    stream.read(40)
    rows = stream.insist(
        "CALL streams.seek($name, {`1`: 3, `3`: 9}) YIELD partition, messages RETURN partition, messages"
    )
    assert [(row["partition"], row["messages"]) for row in rows] == [(0, 0), (1, 7), (2, 0), (3, 1)]
    assert stream.info["positions"] == {"0": 10, "1": 3, "2": 10, "3": 9}
    stream.read(48)
    assert Counter(Counter(stream.values).values()) == {1: 32, 2: 8}


def test_a_limit_counts_the_batches_of_all_lanes(stream: Laned) -> None:
    stream.configured({"lanes": 2}, GATED, size=10)
    for partition in (0, 1, 3):  # one lane has more than the other
        stream.send(numbers(100 * partition, 100 * partition + 100), partition=partition)
    for run in range(1, 3):
        stream.start(5)
        stream.await_status("stopped", timeout=40)
        assert (stream.info["batches"], stream.count) == (5 * run, 50 * run)
    stream.start(1)
    stream.await_status("stopped", timeout=40)
    stream.start()
    stream.await_count(300, timeout=40)
    assert len(set(stream.values)) == 300


def test_a_message_that_is_parked_holds_up_no_other_lane(stream: Laned) -> None:
    stream.configured({"lanes": 2, "on_error": "park"}, GATED)
    stream.start()
    stream.send(["bad", *numbers(0, 10)], partition=0)
    stream.send(numbers(10, 20), partition=1)
    stream.await_values(numbers(0, 20))
    eventually(lambda: stream.counts, equals=(20, 1))
    assert [lane["failed"] for lane in stream.lanes] == [1, 0]
    stream.open_gate()
    assert stream.retry() == 1
    stream.await_count(21)
    eventually(lambda: stream.counts, equals=(21, 0))


def test_an_error_in_one_lane_stops_the_stream_and_start_continues_all(stream: Laned) -> None:
    stream.configured({"lanes": 2}, GATED)
    stream.start()
    stream.deal(numbers(0, 8))
    stream.await_count(8)
    stream.send(["bad"], partition=1)
    stream.await_status("error")
    reason = str(stream.info["reason"])
    assert reason.startswith(f"lane 1 of 2: Kafka stream {stream.name}, topic {stream.topic}, partition 1, offset 2: ")
    assert [lane["status"] for lane in stream.lanes] == ["stopped", "error"]

    def is_stopped() -> bool:
        [row] = stream.run("CALL streams.info($name) YIELD watermarks RETURN watermarks", name=stream.name)
        return row["watermarks"] is None and all(lane["lag"] is None for lane in stream.lanes)

    eventually(is_stopped)
    stream.send(numbers(8, 10), partition=0)
    stream.open_gate()
    stream.start()
    stream.await_values([*numbers(0, 10), "bad"])
    assert stream.status == "running"


def test_only_chosen_partitions_are_read(stream: Laned) -> None:
    what = f"partitions: topic {stream.topic} has no partition 4, only 0 to 3"
    assert what in refusal(partial(stream.configured, {"partitions": [4]}))
    stream.configured({"partitions": [0, 3], "lanes": "auto"}, GATED)
    stream.deal(numbers(0, 40))
    stream.read(20)
    assert stream.values == sorted([*numbers(0, 40)[0::4], *numbers(0, 40)[3::4]])
    assert stream.info["positions"] == {"0": 10, "3": 10}
    stream.insist("CALL streams.alter($name, {config: {partitions: null}})")
    stream.read(40)
    assert stream.values == numbers(0, 40)
