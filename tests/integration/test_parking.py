"""Messages that a stream keeps: there whole, applied again on request, each once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.configured import POISON, Configured
from tests.integration.test_kit import OwnHost, Row, Run, numbers, refusal
from tests.kafka import KafkaBroker

KEEP = {"on_error": "park"}

COLUMNS = (
    "time, topic, partition, offset, timestamp, key, payload, headers, attempts, tried, waiting, query, params, error, "
    "transform_sha256"
)

GATED = """
GATE = '''
OPTIONAL MATCH (g:GateLABEL)
WITH g, assert(g IS NOT NULL, 'the gate is shut') AS open
CREATE (:LABEL {value: $value})
'''


def stream(batch):
    return [query(message) for message in batch]


def query(message):
    value = message.decode()
    return (GATE if value.startswith("bad") else "CREATE (:LABEL {value: $value})", {"value": value})
"""
"Messages that begin with `bad` can be applied once there is a gate."


class Keeping(Configured):
    """A stream with on_error 'keep'."""

    def parked(self, limit: int = 1000) -> list[Row]:
        return self.run(
            f"CALL streams.parked($name, $limit) YIELD {COLUMNS} RETURN {COLUMNS}", name=self.name, limit=limit
        )

    def retry(self, *which: int | None) -> int:
        """How many messages will be tried again."""
        limit, partition, offset = (*which, None, None, None)[:3]
        (row,) = self.run(
            "CALL streams.retry($name, $limit, $partition, $offset) YIELD messages RETURN messages",
            name=self.name,
            limit=limit,
            partition=partition,
            offset=offset,
        )
        return int(row["messages"])

    def replace_transform(self, transform: str) -> None:
        """Give the stream, which is stopped, another script."""
        self.run("CALL streams.alter($name, {transform: $uri})", name=self.name, uri=self.script(transform))

    def open_gate(self) -> None:
        self.run(f"CREATE (:Gate{self.label})")

    def shut_gate(self) -> None:
        self.run(f"MATCH (g:Gate{self.label}) DELETE g")

    @property
    def waiting_offsets(self) -> list[int]:
        """The offsets that are waiting_offsets."""
        return [row["offset"] for row in self.parked()]

    def await_parked(self, offsets: list[int]) -> None:
        eventually(lambda: self.waiting_offsets, equals=offsets, timeout=20)

    def await_answered(self) -> None:
        """Wait until nothing waits for a retry."""
        eventually(lambda: not any(row["waiting"] for row in self.parked()), timeout=20)

    @property
    def counts(self) -> tuple[int, int]:
        """Messages that took effect, and that failed."""
        info = self.info
        return info["messages"], info["failed"]


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Keeping:
    return Keeping(run, kafka, tmp_path, new_stream_name())


def test_a_parked_message_is_a_node_with_all_there_is(stream: Keeping) -> None:
    stream.configured(KEEP)
    whole = "raise" + "ä" * 5000
    stream.send(["a", whole, "b"])
    stream.kafka.topics.produce(stream.topic, [b"\xff\x00", "base64:not", None], key="the key")
    stream.kafka.topics.produce(stream.topic, ["refused"], headers=[("h", b"\xff"), ("none", None), ("t", b"text")])
    stream.start()
    stream.await_position(7)
    assert stream.values == ["a", "b", "base64:not"]
    raised, binary, tombstone, refused = stream.parked()
    assert (raised["offset"], raised["payload"], raised["attempts"], raised["tried"]) == (1, whole, 0, None)
    assert (binary["offset"], binary["payload"], binary["key"]) == (3, "base64:/wA=", "the key")
    assert (tombstone["offset"], tombstone["payload"]) == (5, None)
    assert refused["headers"] == [["h", "base64:/w=="], ["none", None], ["t", "text"]]
    assert refused["query"] == f"CREATE (:{stream.label} {{value: $value, x: 1 / $zero}})"
    assert json.loads(refused["params"]) == {"value": "refused", "zero": 0}
    assert "ValueError: raise" in raised["error"]
    assert [row["topic"] for row in stream.parked()] == [stream.topic] * 4
    assert all(row["timestamp"] > 1_600_000_000_000 and not row["waiting"] for row in stream.parked())
    assert raised["transform_sha256"] == stream.info["transform_sha256"]
    assert stream.counts == (3, 4)
    assert [row["action"] for row in stream.errors()] == ["park"] * 4
    assert [row["offset"] for row in stream.parked(2)] == [1, 3]


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_retry_applies_what_the_mended_graph_takes(stream: Keeping, running: bool) -> None:
    stream.configured(KEEP, GATED, size=7)
    values = [f"bad{value}" if index % 3 == 0 else value for index, value in enumerate(numbers(0, 50))]
    stream.send(values)
    stream.start()
    stream.await_position(50)
    if not running:
        stream.stop()
    offsets = list(range(0, 50, 3))
    assert stream.waiting_offsets == offsets
    # The gate is still shut: all stay, each with its attempt.
    assert stream.retry() == 17
    stream.await_answered()
    assert [(row["offset"], row["attempts"]) for row in stream.parked()] == [(offset, 1) for offset in offsets]
    assert all("the gate is shut" in row["error"] and row["tried"].endswith("Z") for row in stream.parked())
    assert stream.counts == (33, 17)
    stream.open_gate()
    assert stream.retry(2) == 2
    stream.await_parked(offsets[2:])
    assert stream.retry(None, 0, 48) == 1
    stream.await_parked(offsets[2:-1])
    assert stream.retry(None, 0) == 14
    stream.await_parked([])
    stream.await_values(values)
    assert stream.counts == (50, 0)
    assert stream.status == ("running" if running else "stopped")
    assert stream.retry() == 0


def test_a_retry_uses_the_transform_that_the_stream_has_then(stream: Keeping) -> None:
    stream.configured(KEEP)
    stream.send(["a", "raise", "b", "contract"])
    stream.start()
    stream.await_position(4)
    stream.stop()
    assert stream.waiting_offsets == [1, 3]
    stream.replace_transform(POISON.replace('startswith("raise")', 'startswith("never")'))
    assert stream.retry() == 2
    stream.await_parked([3])
    stream.await_answered()
    stream.await_values(["a", "b", "raise"])
    (left,) = stream.parked()
    assert (left["attempts"], left["transform_sha256"]) == (1, stream.info["transform_sha256"])


def test_a_stream_goes_on_with_what_comes_in_while_much_is_retried(stream: Keeping) -> None:
    slow = GATED.replace("    value = ", "    time.sleep(0.03 * message.startswith(b'bad'))\n    value = ")
    stream.configured(KEEP, f"import time\n{slow}", size=1)
    stream.send([f"bad{number:03}" for number in range(30)])
    stream.start()
    stream.await_position(30)
    stream.open_gate()
    assert stream.retry() == 30
    stream.send(["meanwhile"])
    eventually(lambda: "meanwhile" in stream.values, timeout=10, interval=0.02)
    assert len(stream.values) < 31
    stream.await_parked([])
    assert stream.count == 31


@pytest.mark.memgraph_only("the sandbox lets this writer wait")
def test_what_keeps_a_stopped_stream_from_retrying_is_told(stream: Keeping, host: Host) -> None:
    stream.configured(KEEP, GATED.replace("CREATE", "SET g.used = true CREATE", 1))
    stream.send(["a", "bad", "b"])
    stream.start()
    stream.await_parked([1])
    stream.stop()
    stream.open_gate()
    with host.driver().session() as session, session.begin_transaction() as transaction:
        transaction.run(f"MATCH (g:Gate{stream.label}) SET g.held = true").consume()
        assert stream.info["reason"] is None
        assert stream.retry() == 1
        reason = stream.await_reason("Cannot resolve conflicting transactions")
        assert reason.startswith("retrying parked messages since 2")
        assert stream.status == "stopped"
        transaction.rollback()
    stream.await_parked([])
    stream.await_no_reason()
    assert sorted(stream.values) == ["a", "b", "bad"]


def test_a_retry_is_part_of_the_callers_transaction(stream: Keeping, host: Host) -> None:
    stream.configured(KEEP, GATED)
    stream.send(["bad"])
    stream.start()
    stream.await_parked([0])
    with host.driver().session() as session, session.begin_transaction() as transaction:
        inside = Keeping(
            lambda query, /, **parameters: transaction.run(query, parameters).data(),
            stream.kafka,
            stream._folder,
            stream.name,
            topic=stream.topic,
        )
        assert inside.retry() == 1
        assert [row["waiting"] for row in inside.parked()] == [True]
        transaction.rollback()
    assert [(row["waiting"], row["attempts"]) for row in stream.parked()] == [(False, 0)]


def test_when_there_is_no_more_room_the_stream_stops_and_says_so(stream: Keeping) -> None:
    stream.configured({**KEEP, "park_limit": 3}, GATED)
    stream.send(["bad0", "a", "bad2", "bad3", "b", "bad5", "c"])
    stream.start()
    stream.await_status("error")
    assert stream.waiting_offsets == [0, 2, 3]
    assert stream.values == ["a", "b"]
    reason = stream.info["reason"]
    assert reason.startswith(f"Kafka stream {stream.name}, topic {stream.topic}, partition 0, offset 5: ")
    assert reason.endswith(
        f"3 messages are parked already, and park_limit is 3: CALL streams.retry('{stream.name}') applies them again, "
        f"CALL streams.configure('{stream.name}', {{park_limit: ...}}) makes room"
    )
    stream.open_gate()
    assert stream.retry() == 3
    stream.await_parked([])
    assert stream.status == "error"
    stream.shut_gate()
    stream.start()
    stream.await_position(7)
    assert stream.waiting_offsets == [5]
    assert stream.counts == (6, 1)


def test_a_dropped_stream_takes_its_messages_along(stream: Keeping) -> None:
    stream.configured(KEEP, GATED)
    stream.send(["bad0", "bad1"])
    stream.start()
    stream.await_parked([0, 1])

    def left() -> int:
        (row,) = stream.run(
            f"MATCH (m:{nodes.PARKED}) WHERE m.topic = $topic RETURN count(m) AS count", topic=stream.topic
        )
        return int(row["count"])

    assert left() == 2
    stream.drop()
    eventually(left, equals=0, timeout=20)


def test_wrong_arguments_are_named(stream: Keeping) -> None:
    stream.configured({**KEEP, "park_limit": 5})
    assert stream.retry() == 0
    error = f"sluice.errors.SettingError: Kafka stream {stream.name}, "
    assert refusal(stream.retry, None, 0, 7) == f"{error}no message of partition 0, offset 7 is parked"
    assert refusal(stream.retry, None, None, 7) == f"{error}an offset needs its partition"
    assert refusal(stream.retry, None, -1) == f"{error}partition must be 0 or more, got -1"
    assert refusal(stream.retry, 0).startswith(f"{error}limit must be an integer from 1 to ")
    assert refusal(stream.configure, {"park_limit": 0}).startswith(f"{error}config: park_limit must be an integer from")
    assert "stream not found" in refusal(stream.run, "CALL streams.retry('nowhere') YIELD messages RETURN messages")


def test_a_kill_amid_a_retry_applies_each_message_once(own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path) -> None:
    host = own_host()
    stream = Keeping(host.run, kafka, tmp_path, "retrying")
    stream.configured(KEEP, GATED, size=2)
    values = [f"bad{number:03}" for number in range(24)]
    stream.send(values)
    stream.start()
    stream.await_position(24)
    stream.open_gate()
    assert stream.retry() == 24
    stream.await_at_least(1)
    host.kill()
    host.start()
    stream = Keeping(host.run, kafka, tmp_path, "retrying", topic=stream.topic)
    stream.await_values(values)
    assert stream.parked() == []
    eventually(lambda: stream.counts, equals=(24, 0))
