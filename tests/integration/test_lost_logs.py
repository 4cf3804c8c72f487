"""Kafka loses messages that a stream has read, and has others at their offsets: that is a gap with a name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from sandbox.mock_broker import MockBroker
from sluice.brokers.consumer import Consumer
from sluice.errors import OffsetGone
from sluice.host.settings import Settings
from sluice.values.model import StreamSpec, Transform
from sluice.values.position import Partition, Position
from tests.integration.configured import Configured
from tests.integration.test_kit import VALUES, Run, numbers
from tests.kafka import KafkaBroker
from tests.kafka.topics import Topics


@pytest.fixture
def stream(
    run: Run, own_kafka: Callable[[], KafkaBroker], tmp_path: Path, new_stream_name: Callable[[], str]
) -> Configured:
    """One that has read twenty messages."""
    made = Configured(run, own_kafka(), tmp_path, new_stream_name())
    made.configured(None, VALUES)
    made.start()
    made.send(numbers(0, 20))
    made.await_values(numbers(0, 20))
    return made


def test_a_seek_of_another_partition_does_not_hide_it(
    run: Run, own_kafka: Callable[[], KafkaBroker], tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    stream = Configured(run, own_kafka(), tmp_path, new_stream_name(), partitions=2)
    stream.configured(None, VALUES)
    for partition in range(2):
        stream.send(numbers(0, 20), partition=partition)
    stream.start()
    stream.await_count(40)
    stream.stop()
    stream.kafka.kill()
    stream.kafka.lose(stream.topic, 1)
    stream.kafka.start()
    stream.send(numbers(100, 150), partition=1)
    stream.insist("CALL streams.seek($name, {`0`: 15}) YIELD to RETURN to")
    stream.start()
    stream.await_status("error")
    reason = stream.info["reason"]
    assert f"topic {stream.topic}, partition 1" in reason
    assert "lost messages" in reason


@pytest.mark.parametrize(
    ("more", "running"),
    [(50, False), (15, False), (50, True)],
    ids=["the new log is longer", "the new log is shorter", "while the stream runs"],
)
def test_a_partition_that_lost_its_log_is_a_gap_with_a_name(stream: Configured, more: int, *, running: bool) -> None:
    if not running:
        stream.stop()
    stream.kafka.kill()
    stream.kafka.lose(stream.topic)
    stream.kafka.start()
    stream.send(numbers(100, 100 + more))
    stream.start()
    stream.await_status("error")
    reason = stream.info["reason"]
    assert f"topic {stream.topic}, partition 0" in reason
    assert "lost messages" in reason
    assert stream.values == numbers(0, 20)
    stream.configure({"on_gap": "skip"})
    stream.start()
    stream.await_values([*numbers(0, 20), *numbers(100, 100 + more)])
    (gap,) = [row for row in stream.errors() if row["action"] == "gap"]
    assert [gap[name] for name in ("partition", "offset", "count")] == [0, 20, 0]
    assert stream.info["positions"] == {"0": more}
    stream.stop()
    stream.start()
    stream.send(["one more"])
    stream.await_values([*numbers(0, 20), *numbers(100, 100 + more), "one more"])


@pytest.mark.parametrize(
    ("place", "log_end"),
    [(Position(3, 0), None), (Position(9, 0), 3), (Position(2, 7), 0)],
    ids=["kept", "short", "new"],
)
def test_kafkas_client_tells_up_to_where_a_log_is_the_one_that_was_read(
    mock_kafka: MockBroker, place: Position, log_end: int | None
) -> None:
    topic = f"epochs-{place.offset}"
    there = Partition(topic, 0)
    Topics(mock_kafka.bootstrap).produce(topic, numbers(0, 3), partition=0)
    spec = StreamSpec("u", "people", mock_kafka.bootstrap, topic, Transform("/t.py", "", ""))
    with Consumer(spec, Settings(), to_the_end=True) as consumer:
        assert consumer.topic.partitions() >= {there}  # as streams ask; after that assigning alone checks nothing
        consumer.assign([there], {there: place})
        gone = nullcontext() if log_end is None else pytest.raises(OffsetGone)
        with gone as caught:
            assert consumer.poll(10, 0.1, lambda: False, patience=20) is None
            assert consumer.at_end
        found = caught and caught.value.log_end
        if caught and found is None:  # the fetch was refused before the epoch was checked: the loop asks again then
            found = consumer.log_end(there, 3, place.leader_epoch)
    assert found == log_end
