"""A transform that defines stream_messages(batch) gets all that Kafka has of a message, wherever it is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.test_kit import Row, Run
from tests.integration.test_parking import Keeping
from tests.kafka import KafkaBroker

WHOLE = """
def stream_messages(batch):
    return [query(message) for message in batch]


def query(message):
    if message.key == b"bad":
        raise ValueError("a bad key")
    return ("CREATE (:LABEL {value: $value, key: $key, headers: $headers, topic: $topic, partition: $partition, "
            "offset: $offset, timestamp: $timestamp})", {
        "value": None if message.value is None else message.value.decode(),
        "key": None if message.key is None else message.key.decode(),
        "headers": repr(message.headers),
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp,
    })
"""

HEADERS: list[tuple[str, bytes | None]] = [("trace", b"\xff\x00"), ("none", None), ("trace", b"again")]


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Keeping:
    return Keeping(run, kafka, tmp_path, new_stream_name(), partitions=2)


def made(stream: Keeping) -> list[Row]:
    """The vertices' properties, in the order of the messages."""
    rows = stream.run(f"MATCH (n:{stream.label}) RETURN properties(n) AS properties")
    return sorted((row["properties"] for row in rows), key=lambda row: (row["partition"], row["offset"]))


def test_all_that_there_is_of_a_message(stream: Keeping) -> None:
    before = int(time.time() * 1000) - 1000
    stream.kafka.topics.produce(stream.topic, ["a"], partition=0, key="the key", headers=HEADERS)
    stream.kafka.topics.produce(stream.topic, ["b", None], partition=1)
    stream.configured(None, WHOLE)
    tested = {(row["params"]["partition"], row["params"]["offset"]): row["params"] for row in stream.test()}
    assert (tested[0, 0]["key"], tested[0, 0]["headers"]) == ("the key", repr(HEADERS))
    stream.start()
    stream.await_count(3)
    first, second, tombstone = made(stream)
    assert [first[name] for name in ("value", "key", "headers", "topic", "partition", "offset")] == [
        "a", "the key", repr(HEADERS), stream.topic, 0, 0,
    ]  # fmt: skip
    assert before < first["timestamp"] < before + 60_000
    assert (second["value"], second.get("key"), second["headers"], second["partition"]) == ("b", None, "[]", 1)
    assert (tombstone.get("value"), tombstone["offset"]) == (None, 1)


def test_a_bad_message_is_found_kept_and_retried_with_all_that_there_was(stream: Keeping) -> None:
    stream.configured({"on_error": "park"}, WHOLE, size=100)
    stream.kafka.topics.produce(stream.topic, [str(n) for n in range(10)], partition=0, key="good")
    stream.kafka.topics.produce(stream.topic, ["spoilt"], partition=0, key="bad", headers=HEADERS)
    stream.kafka.topics.produce(stream.topic, [str(n) for n in range(11, 20)], partition=0, key="good")
    stream.start()
    stream.await_position(20)
    (parked,) = stream.parked()
    assert (parked["offset"], parked["key"]) == (10, "bad")
    assert "stream_messages(batch) raised ValueError: a bad key" in parked["error"]
    assert stream.count == 19
    stream.stop()
    stream.replace_transform(WHOLE.replace('message.key == b"bad"', "False"))
    assert stream.retry() == 1
    stream.await_count(20)
    retried = made(stream)[10]
    assert [retried[name] for name in ("value", "key", "headers", "topic", "partition", "offset", "timestamp")] == [
        "spoilt", "bad", repr(HEADERS), stream.topic, 0, 10, parked["timestamp"],
    ]  # fmt: skip
