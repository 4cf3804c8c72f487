"""With a backlog, batches travel in groups: nobody can tell that from what is in the graph, from counts or limits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.eventually import within
from tests.integration.configured import Configured
from tests.integration.test_kit import LONG, Run, numbers
from tests.kafka import KafkaBroker

ORDERED = """
import itertools

calls = itertools.count()


def stream(batch):
    call, bad = next(calls), [message for message in batch if message.startswith(b"raise")]
    if bad:
        raise ValueError(bad[0])
    query = "CREATE (:LABEL {value: $value, call: $call, size: $size, x: 1 / $one})"
    return [
        (query, {"value": m.decode(), "call": call, "size": len(batch), "one": int(not m.startswith(b"refused"))})
        for m in batch
    ]
"""
"Which call of `stream` a message was in, and with how many others."

SLOW = """
import time


def stream(batch):
    time.sleep(0.4)
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    return Configured(run, kafka, tmp_path, stream_name)


def calls(stream: Configured) -> list[tuple[int, list[str]]]:
    """The messages of each call of the transform, in the order of the calls."""
    query = f"MATCH (n:{stream.label}) RETURN n.call AS call, n.size AS size, n.value AS value ORDER BY call, value"
    found: dict[int, list[str]] = {}
    for row in stream.run(query):
        found.setdefault(row["call"], []).append(row["value"])
    return sorted(found.items())


def test_a_transform_is_called_with_one_batch_at_a_time_in_order(stream: Configured) -> None:
    values = numbers(0, 1234)
    stream.send(values)
    stream.configured(None, ORDERED, size=10)
    stream.start()
    stream.await_values(values)
    batches = [batch for _, batch in calls(stream)]
    assert max(map(len, batches)) == 10
    assert [value for batch in batches for value in batch] == values
    info = stream.info
    assert (info["messages"], info["batches"], info["positions"]) == (1234, len(batches), {"0": 1234})


@pytest.mark.parametrize("kind", ["refused", "raise"])
def test_a_bad_message_in_a_group_leaves_all_others_applied_once_and_counted(stream: Configured, kind: str) -> None:
    values = numbers(0, 500)
    bad = [137, 250, 499]
    stream.send([kind if index in bad else value for index, value in enumerate(values)])
    stream.configured({"on_error": "skip"}, ORDERED, size=10)
    stream.start()
    stream.await_values([value for index, value in enumerate(values) if index not in bad])
    stream.await_position(500)
    info = stream.info
    assert (info["messages"], info["failed"], info["batches"]) == (497, 3, 50)
    assert [row["offset"] for row in stream.errors()] == bad[::-1]


def test_a_limit_is_exact_with_a_backlog(stream: Configured) -> None:
    values = numbers(0, 400)
    stream.send(values)
    stream.configured(None, ORDERED, size=10)
    stream.start(limit=7)
    stream.await_status("stopped")
    assert stream.values == values[:70]
    assert stream.info["batches"] == 7
    stream.start(limit=1)
    stream.await_status("stopped")
    assert stream.values == values[:80]
    stream.start()
    stream.await_values(values)


def test_the_last_batch_that_is_not_full_waits_for_its_interval(stream: Configured) -> None:
    values = numbers(0, 95)
    stream.send(values)
    stream.create(ORDERED, interval=LONG, size=10)
    stream.start()
    stream.await_values(values[:90])
    stream.send(numbers(95, 101))
    stream.await_values(numbers(0, 100))


def test_a_slow_transform_moves_batch_by_batch_and_stops_between(stream: Configured) -> None:
    stream.send(numbers(0, 100))
    stream.configured(None, SLOW, size=10)
    stream.start()
    stream.await_at_least(10)
    assert stream.count <= 30
    began = time.monotonic()
    stream.stop()
    stream.await_status("stopped")
    there = stream.count
    assert there % 10 == 0
    assert there < 100
    assert within(5, began)
    stream.start()
    stream.await_values(numbers(0, 100))
