"""What is remembered of a stream's work: bounded, adds up, and goes over to the copy that a reload brings."""

from __future__ import annotations

import dataclasses
from typing import Any

from confluent_kafka import Message

from sluice.engine.history import STAGES
from sluice.engine.status import Monitor
from sluice.persistence.transaction import InFlight, Transaction
from sluice.scripting.process import PackedQueries
from sluice.supervising.shared_state import SharedState
from sluice.values.batch import Batch, Group
from sluice.values.model import Checkpoint
from tests.unit.partitions import P0, P1, P2

NEW = Checkpoint({}, "t")


class Clock:
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """A monitor, and the checkpoint that it was told of last."""

    def __init__(self, monitor: Monitor, held: Checkpoint = NEW) -> None:
        self.monitor = monitor
        self.held = held
        monitor.begin()
        monitor.begun(held, InFlight(), "5ha")

    def commits(self, *, messages: int = 10, batches: int = 1, **more: Any) -> None:
        self.held = behind(self.held, messages, batches)
        self.monitor.committed(Transaction(self.held, self.held, **more))


def behind(held: Checkpoint, messages: int, batches: int = 1) -> Checkpoint:
    return dataclasses.replace(
        held,
        positions={P0: held.positions.get(P0, 0) + messages},
        messages=held.messages + messages,
        batches=held.batches + batches,
    )


def test_the_latest_come_first_and_no_more_are_kept_than_asked_for():
    stream = Stream(Monitor(history=3))
    for _ in range(5):
        stream.commits()
    assert [entry.end for entry in stream.monitor.entries(10)] == [{"0": 50}, {"0": 40}, {"0": 30}]
    assert [entry.begin for entry in stream.monitor.entries(1)] == [{"0": 40}]


def test_an_entry_tells_what_the_checkpoint_did():
    stream = Stream(Monitor(history=3), Checkpoint({P0: 5, P1: 7}, "t", batches=1, messages=12))
    stream.held = dataclasses.replace(
        stream.held, positions={P0: 5, P1: 9, P2: 1}, batches=2, messages=14, failed=1, topic_ids={"t": "id"}
    )
    message = Message(topic="t", partition=1, offset=7, value=b"")
    done = Transaction(stream.held, stream.held, {}, PackedQueries(1, b"", given=2), Group([Batch([message])], 0.001))
    done = dataclasses.replace(done, transform_seconds=0.002, write_seconds=0.003, commit_seconds=0.004)
    stream.monitor.committed(done)
    (entry,) = stream.monitor.entries(10)
    row = entry.as_row()
    assert row.pop("time").endswith("Z")
    assert row == {
        "begin": {"1": 7, "2": None},
        "end": {"1": 9, "2": 1},
        "batches": 1,
        "messages": 2,
        "failed": 1,
        "queries": 2,
        "sent": 1,
        "ms": {"poll": 1.0, "transform": 2.0, "write": 3.0, "commit": 4.0},
        "retries": 0,
        "transform_sha256": "5ha",
    }


def test_what_counts_nothing_and_moves_nothing_is_no_entry():
    stream = Stream(Monitor(history=3))
    after = dataclasses.replace(stream.held, topic_ids={"t": "id"}, retry_completed=3)
    stream.monitor.committed(Transaction(stream.held, after))
    assert stream.monitor.entries(10) == []


def test_what_was_committed_while_the_answer_was_lost_is_found_again():
    stream = Stream(Monitor(history=3))
    stream.commits()
    found = behind(stream.held, 10)
    stream.monitor.begun(found, InFlight(), "5ha")
    latest, _ = stream.monitor.entries(10)
    assert (latest.begin, latest.end, latest.messages, latest.batches) == ({"0": 10}, {"0": 20}, 10, 1)


def test_a_seek_is_no_entry():
    stream = Stream(Monitor(history=3))
    stream.commits()
    stream.monitor.begun(dataclasses.replace(stream.held, positions={P0: 2}), InFlight(), "5ha")
    stream.held = dataclasses.replace(stream.held, positions={P0: 2})
    stream.commits(messages=3)
    latest, _ = stream.monitor.entries(10)
    assert (latest.begin, latest.end, latest.messages) == ({"0": 2}, {"0": 5}, 3)


def test_rates_are_over_the_last_minute():
    clock = Clock()
    stream = Stream(Monitor(history=3, clock=clock))
    for _ in range(30):
        stream.commits(messages=100)
        clock.now += 1
    assert stream.monitor.figures()["rates"] == {"messages_per_s": 100.0, "batches_per_s": 1.0}
    clock.now += 45
    assert 0 < stream.monitor.figures()["rates"]["messages_per_s"] <= 30
    clock.now += 61
    assert stream.monitor.figures()["rates"] == {"messages_per_s": 0.0, "batches_per_s": 0.0}


def test_rates_of_a_stream_that_has_just_begun_are_over_its_time():
    clock = Clock()
    stream = Stream(Monitor(history=3, clock=clock))
    clock.now += 2
    stream.commits(messages=50)
    assert stream.monitor.figures()["rates"] == {"messages_per_s": 25.0, "batches_per_s": 0.5}


def test_retries_belong_to_the_transaction_that_follows():
    stream = Stream(Monitor(history=3))
    stream.monitor.retrying()
    stream.monitor.retrying()
    stream.monitor.failed("conflict")
    stream.commits()
    stream.commits()
    assert [entry.retries for entry in stream.monitor.entries(10)] == [0, 2]
    assert stream.monitor.figures()["retries"] == 2
    assert stream.monitor.figures()["last_error"]["error"] == "conflict"


def test_times_add_up():
    stream = Stream(Monitor(history=1))
    stream.commits(group=Group([], 0.25), commit_seconds=1.0)
    stream.commits(group=Group([], 0.5))
    assert stream.monitor.figures()["times_ms"] == {"poll": 750.0, "transform": 0.0, "write": 0.0, "commit": 1000.0}


def test_a_reload_hands_over_what_is_known():
    old, new = SharedState(history=5), SharedState(history=5)
    stream = Stream(old.monitor("uid"))
    stream.commits(commit_seconds=0.1)
    stream.monitor.retrying()
    new.adopt(old)
    taken = new.monitor("uid")
    assert taken.entries(10) == stream.monitor.entries(10)
    assert {**taken.figures(), "rates": None} == {**stream.monitor.figures(), "rates": None}
    # The old worker's last batch may have been committed after it was told.
    taken.begun(behind(stream.held, 4), InFlight(), "5ha")
    assert taken.entries(1)[0].messages == 4


def test_what_another_version_knew_otherwise_is_left_out():
    monitor = Monitor(history=3)
    given = {"entries": [{"time": "2024-11-22T22:21:05.123Z"}], "mark": {"place": 3}, "ms": {"thought": 3.0}, "new": 1}
    monitor.take_over(given)
    monitor.begun(behind(NEW, 10), InFlight(), "5ha")
    assert monitor.entries(10) == []
    assert set(monitor.figures()["times_ms"]) == set(STAGES)


def test_streams_that_are_gone_are_forgotten():
    shared = SharedState(history=3)
    kept = shared.monitor("kept")
    Stream(shared.monitor("dropped")).commits()
    shared.keep_monitors(frozenset({"kept"}))
    assert shared.monitor("kept") is kept
    assert shared.monitor("dropped").entries(10) == []
