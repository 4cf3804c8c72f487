"""Dead letters come back: a stream on a dead-letter topic applies the messages that they were, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hosts import Host
from tests.integration.configured import Configured
from tests.kafka import KafkaBroker

STRICT = """
def stream_messages(batch):
    return [
        ("CREATE (:LABEL {value: $value, key: $key, trace: $trace, topic: $topic, place: $place, at: $at})", {
            "value": float(message.value),
            "key": message.key and message.key.decode(),
            "trace": [value.decode() for name, value in message.headers if name == "trace"],
            "topic": message.topic,
            "place": [message.partition, message.offset],
            "at": message.timestamp,
        })
        for message in batch
    ]
"""

FIXED = STRICT.replace("float(message.value)", 'float(message.value.replace(b",", b"."))')


def vertices(stream: Configured) -> list[dict[str, Any]]:
    query = "RETURN n.value AS value, n.key AS key, n.trace AS trace, n.topic AS topic, n.place AS place, n.at AS at"
    return stream.run(f"MATCH (n:{stream.label}) {query} ORDER BY value")


def failing(host: Host, kafka: KafkaBroker, folder: Path, name: str) -> tuple[Configured, str]:
    """A stream that has put two of its five messages into a dead-letter topic; and that topic."""
    stream, letters = Configured(host.run, kafka, folder, name), kafka.topics.create()
    stream.configured({"on_error": "dead_letter", "dead_letter_topic": letters}, STRICT)
    for number, value in enumerate(["1", "2,5", "3", "4,5", "5"]):
        kafka.topics.produce(
            stream.topic, [value], key=f"k{number}".encode(), headers=[("trace", str(number).encode())]
        )
    stream.start()
    stream.await_position(5)
    assert [row["value"] for row in vertices(stream)] == [1, 3, 5]
    return stream, letters


def again(stream: Configured, letters: str, folder: Path) -> Configured:
    """A stream that applies the dead letters, to the same vertices."""
    found = Configured(stream.run, stream.kafka, folder, f"{stream.name}_again", topic=letters)
    found.label = stream.label
    return found


def test_dead_letters_are_applied_once_as_the_messages_that_they_were(
    empty_host: Host, kafka: KafkaBroker, tmp_path: Path
) -> None:
    stream, letters = failing(empty_host, kafka, tmp_path, "orders")
    repaired = again(stream, letters, tmp_path)
    repaired.configured({"source": "dead_letters", "on_error": "park"}, FIXED)
    assert [row["params"]["place"] for row in repaired.test()] == [[0, 1], [0, 3]]
    repaired.start()
    repaired.await_position(2)
    everything = vertices(stream)
    assert [row["value"] for row in everything] == [1, 2.5, 3, 4.5, 5]
    assert [row["key"] for row in everything] == [f"k{number}" for number in range(5)]
    assert [row["trace"] for row in everything] == [[str(number)] for number in range(5)]
    assert [(row["topic"], row["place"]) for row in everything] == [(stream.topic, [0, n]) for n in range(5)]
    assert all(row["at"] for row in everything)
    # It is a stream like any other: it goes on where it was.
    repaired.stop()
    repaired.start()
    kafka.topics.produce(stream.topic, ["6,5"])
    repaired.await_position(3)
    assert [row["value"] for row in vertices(stream)] == [1, 2.5, 3, 4.5, 5, 6.5]
    assert repaired.info["config"] == {"source": "dead_letters", "on_error": "park"}


def test_one_that_fails_again_is_parked_and_retried_as_what_it_was(
    host: Host, kafka: KafkaBroker, stream_name: str, tmp_path: Path
) -> None:
    stream, letters = failing(host, kafka, tmp_path, stream_name)
    repaired = again(stream, letters, tmp_path)
    repaired.configured({"source": "dead_letters", "on_error": "park"}, STRICT)
    repaired.start()
    repaired.await_position(2)
    assert repaired.info["failed"] == 2
    repaired.stop()
    host.run("CALL streams.alter($name, {transform: $uri})", name=repaired.name, uri=repaired.script(FIXED))
    assert host.run("CALL streams.retry($name) YIELD messages", name=repaired.name) == [{"messages": 2}]
    repaired.await_count(5)
    assert [(row["topic"], row["place"]) for row in vertices(stream)] == [(stream.topic, [0, n]) for n in range(5)]
    repaired.drop()
