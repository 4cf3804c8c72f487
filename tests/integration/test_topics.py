"""One stream, several topics, by a list or a pattern: each has positions, an id, gaps and failures of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.integration.configured import Configured
from tests.integration.test_kit import SHOW, OwnHost, Row, Run, numbers, refusal
from tests.kafka import KafkaBroker

PLACES = """
def stream_messages(batch):
    return [query(message) for message in batch]


def query(message):
    value = message.value.decode()
    if value.startswith("bad"):
        return ("OPTIONAL MATCH (g:GateLABEL) WITH g, assert(g IS NOT NULL, 'the gate is shut') AS open "
                "CREATE (:LABEL {value: $value, topic: $topic})", {"value": value, "topic": message.topic})
    return ("CREATE (:LABEL {value: $value, topic: $topic})", {"value": value, "topic": message.topic})
"""
"A vertex for each message, with its topic; those that begin with `bad` need a gate."

SLOW = PLACES.replace("[query(message)", "[time.sleep(0.001) or query(message)").replace("\n", "\nimport time\n\n", 1)
"The same, at 1000 messages a second, so that a kill comes in between."

SEEK = "CALL streams.seek($name, $to) YIELD partition, from, to, messages, effect, topic"


class Reading(Configured):
    """A stream of the topics `orders-X` and `users-X`, or of what a test says."""

    def __init__(self, run: Run, kafka: KafkaBroker, folder: Path, name: str) -> None:
        self.suffix = uuid.uuid4().hex[:8]
        self.orders, self.users = f"orders-{self.suffix}", f"users-{self.suffix}"
        super().__init__(run, kafka, folder, name, topic=f"{self.orders},{self.users}")

    def make(self, *topics: str) -> None:
        for topic in topics or (self.orders, self.users):
            self.kafka.topics.create(topic)

    def put(self, topic: str, *values: str) -> None:
        self.kafka.topics.produce(topic, values)

    @property
    def sorted(self) -> list[tuple[str, str]]:
        """What came into the graph: topic and value."""
        rows = self.run(f"MATCH (n:{self.label}) RETURN n.topic AS topic, n.value AS value")
        return sorted((row["topic"], row["value"]) for row in rows)

    def column(self, name: str) -> Any:
        (row,) = self.run(f"CALL streams.info($name) YIELD {name} RETURN {name}", name=self.name)
        return row[name]

    def await_column(self, name: str, value: Any, timeout: float = 20.0) -> None:
        eventually(lambda: self.column(name), equals=value, timeout=timeout)


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Reading:
    return Reading(run, kafka, tmp_path, new_stream_name())


def test_a_list_of_two_topics_is_read_each_from_its_positions(stream: Reading) -> None:
    stream.make(stream.users)
    text = refusal(stream.configured, None, PLACES)
    assert text.endswith(f"Kafka stream {stream.name}, topic {stream.orders} not found")
    stream.make(stream.orders)
    stream.put(stream.orders, "1", "2", "3")
    stream.put(stream.users, "a", "b")
    stream.configured(None, PLACES)
    assert {row["topic"] for row in stream.run(SHOW) if row["name"] == stream.name} == {stream.topic}
    queries = stream.run("CALL streams.test($name) YIELD params RETURN params", name=stream.name)
    assert sorted(row["params"]["value"] for row in queries) == ["1", "2", "3", "a", "b"]
    stream.start()
    stream.await_count(5)
    expected = [(stream.orders, value) for value in "123"] + [(stream.users, value) for value in "ab"]
    assert stream.sorted == expected
    positions = {stream.orders: {"0": 3}, stream.users: {"0": 2}}
    stream.await_column("positions", positions)
    stream.await_column("lag", {stream.orders: {"0": 0}, stream.users: {"0": 0}})
    assert stream.column("total_lag") == 0
    (latest, *_) = stream.run("CALL streams.batches($name, 1) YIELD end RETURN end", name=stream.name)
    assert latest["end"].items() <= positions.items()
    (row,) = stream.run("MATCH (s:SluiceStream)-[:CHECKPOINT]->(k) WHERE s.name = $name RETURN k", name=stream.name)
    assert json.loads(row["k"]["positions"]) == positions
    assert set(json.loads(row["k"]["topic_id"])) == {stream.orders, stream.users}
    eventually(lambda: stream.kafka.topics.groups() >= {f"sluice.{stream.name}"}, timeout=20)
    created = stream.run("CALL streams.show_create($name) YIELD statement", name=stream.name)[0]["statement"]
    assert f"WITH TOPIC '{stream.topic}'" in created
    stream.stop()
    text = refusal(stream.run, "CALL streams.alter($name, {topic: 'x'})", name=stream.name)
    assert text.endswith("CREATE OR REPLACE STREAM makes another stream")


def test_a_pattern_finds_topics_that_come_later_and_leaves_out_those_that_are_not_meant(stream: Reading) -> None:
    letters = f"letters-{stream.suffix}"
    stream.topic = f"^[a-z]+-{stream.suffix}$"
    stream.make(letters)
    stream.configured({"dead_letter_topic": letters}, PLACES)  # that of the stream itself is never matched
    text = refusal(stream.test)
    assert text.endswith(f"no topic at {stream.kafka.bootstrap} matches {stream.topic}")
    stream.start()
    waits = f"no topic at {stream.kafka.bootstrap} matches {stream.topic} yet; it reads those that come to match"
    eventually(lambda: waits in (stream.column("reason") or ""), timeout=20)
    stream.make(stream.orders, f"orders-{stream.suffix}.eu")
    stream.put(stream.orders, "1")
    stream.put(f"orders-{stream.suffix}.eu", "not meant")
    stream.put(letters, "a letter")
    stream.await_count(1)
    stream.await_column("reason", None)
    stream.make(stream.users)
    stream.put(stream.users, "a")
    stream.await_count(2)
    stream.stop()
    more = f"more-{stream.suffix}"
    stream.make(more)
    stream.put(more, "x")
    stream.start()
    stream.await_count(3)
    assert stream.sorted == [(more, "x"), (stream.orders, "1"), (stream.users, "a")]
    assert stream.column("positions") == {more: {"0": 1}, stream.orders: {"0": 1}, stream.users: {"0": 1}}


@pytest.mark.faults
def test_after_a_kill_two_topics_go_on_and_nothing_is_lost_or_twice(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = Reading(host.run, kafka, tmp_path, "both")
    stream.make()
    stream.put(stream.orders, *numbers(0, 1500))
    stream.put(stream.users, *numbers(1500, 3000))
    stream.configured(None, SLOW, size=5)
    stream.start()
    assert stream.await_at_least(1) < 3000
    host.kill()
    stream.put(stream.users, "last")
    host.start()
    stream.await_values([*numbers(0, 3000), "last"], timeout=60)
    stream.await_column("positions", {stream.orders: {"0": 1500}, stream.users: {"0": 1501}})


def test_a_seek_says_of_which_topic_or_means_all(stream: Reading) -> None:
    stream.make()
    stream.put(stream.orders, "1", "2", "3")
    stream.put(stream.users, "a", "b")
    stream.configured(None, PLACES)
    stream.start()
    stream.await_count(5)
    stream.stop()

    def seek(to: Any) -> list[Row]:
        return stream.run(SEEK, name=stream.name, to=to)

    moved = {"topic": stream.users, "partition": 0, "from": 2, "to": 1, "messages": 1, "effect": "read again"}
    stays = {"topic": stream.orders, "partition": 0, "from": 3, "to": 3, "messages": 0, "effect": "none"}
    assert seek({stream.users: {"0": 1}}) == [stays, moved]
    stream.start()
    stream.await_count(6)
    stream.stop()
    assert f"the stream reads the topics {stream.orders}, {stream.users}: give offsets as" in refusal(seek, {"0": 1})
    assert f"topic {stream.users}, partition 0 can be read from offset 0 to 2, not 3" in refusal(
        seek, {stream.users: {"0": 3}}
    )
    assert "the stream reads no topic x, only orders-" in refusal(seek, {"x": {"0": 0}})
    assert [(row["from"], row["to"]) for row in seek({"relative": -1})] == [(3, 2), (2, 1)]
    assert [row["to"] for row in seek("earliest")] == [0, 0]
    assert [row["to"] for row in seek("latest")] == [3, 2]


def test_a_gap_in_one_of_two_topics_is_named_and_passed(stream: Reading) -> None:
    stream.make()
    stream.put(stream.orders, "1", "2", "3", "4")
    stream.put(stream.users, "a")
    stream.configured(None, PLACES)
    stream.start()
    stream.await_count(5)
    stream.stop()
    stream.run(SEEK, name=stream.name, to={stream.orders: {"0": 1}})
    stream.kafka.topics.trim(stream.orders, 3)
    stream.start()
    stream.await_status("error")
    what = f"topic {stream.orders}, partition 0, offsets 1 to 2, at most 2 messages, were removed by retention"
    assert what in stream.column("reason")
    stream.run("CALL streams.alter($name, {config: {on_gap: 'skip'}})", name=stream.name)
    stream.start()
    stream.await_column("positions", {stream.orders: {"0": 4}, stream.users: {"0": 1}})
    assert stream.sorted.count((stream.orders, "4")) == 2
    (gap,) = stream.errors(10)
    assert (gap["topic"], gap["partition"], gap["offset"], gap["count"]) == (stream.orders, 0, 1, 2)


def test_one_of_two_topics_is_deleted_and_made_anew(stream: Reading) -> None:
    stream.make()
    stream.put(stream.orders, "1", "2")
    stream.put(stream.users, "a", "b")
    stream.configured({"on_gap": "skip"}, PLACES)
    stream.start()
    stream.await_count(4)
    stream.kafka.topics.delete(stream.users)
    away = f"topic {stream.users} does not exist at {stream.kafka.bootstrap}; the stream reads its other topics"
    eventually(lambda: away in (stream.column("reason") or ""), timeout=30)
    stream.put(stream.orders, "3")
    stream.await_count(5)
    assert stream.column("positions") == {stream.orders: {"0": 3}, stream.users: {"0": 2}}
    stream.make(stream.users)
    stream.put(stream.users, "new")
    stream.await_count(6, timeout=30)
    assert (stream.users, "new") in stream.sorted
    stream.await_column("positions", {stream.orders: {"0": 3}, stream.users: {"0": 1}})
    assert {row["topic"] for row in stream.errors(10)} == {stream.users}


def test_a_parked_message_of_the_second_topic_is_retried(stream: Reading) -> None:
    stream.make()
    stream.put(stream.orders, "bad 1")
    stream.put(stream.users, "a", "bad 2")
    stream.configured({"on_error": "park"}, PLACES)
    stream.start()
    stream.await_count(1)
    listed = "CALL streams.parked($name) YIELD topic, partition, offset RETURN topic, offset"
    parked = [{"topic": stream.orders, "offset": 0}, {"topic": stream.users, "offset": 1}]
    eventually(
        lambda: sorted(stream.run(listed, name=stream.name), key=str), equals=sorted(parked, key=str), timeout=20
    )
    text = refusal(stream.run, "CALL streams.retry($name, null, 0, 1) YIELD messages", name=stream.name)
    assert text.endswith("an offset needs its topic, since the stream may read several")
    stream.run(f"CREATE (:Gate{stream.label})")
    retry = "CALL streams.retry($name, null, 0, 1, $topic) YIELD messages"
    assert stream.run(retry, name=stream.name, topic=stream.users) == [{"messages": 1}]
    stream.await_count(2)
    eventually(lambda: stream.run(listed, name=stream.name), equals=parked[:1], timeout=20)
    assert stream.sorted == [(stream.users, "a"), (stream.users, "bad 2")]


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        pytest.param("a,,b", "TOPIC has an empty name in its list, got 'a,,b'", id="blank"),
        pytest.param("a,a", "TOPIC names a twice, got 'a,a'", id="twice"),
        pytest.param("^a(", "the pattern ^a( for topics is invalid: ( without )", id="no pattern"),
    ],
)
def test_what_cannot_be_topics_is_refused_in_one_line(stream: Reading, topic: str, message: str) -> None:
    stream.topic = topic
    assert refusal(stream.configured, None, PLACES).endswith(f"Kafka stream {stream.name}, {message}")
