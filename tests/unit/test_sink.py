"""How much is sent to the server before its answers are waited for."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.replies import Reply, reply_of
from sluice.persistence.sink import MAX_BYTES_IN_FLIGHT, MAX_IN_FLIGHT, Sink
from sluice.persistence.transaction import Transaction
from sluice.scripting.process import PackedQueries
from sluice.values.model import Checkpoint, CheckpointId, VertexId
from tests.unit.partitions import P0


class Connection:
    """Takes everything and answers each request with success."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def receive(self, count: int, *, commit_at: int | None = None) -> list[Reply]:
        assert commit_at == count - 1
        return [reply_of(messages.success())] * count


@pytest.mark.parametrize(
    ("size", "groups"), [(10, MAX_IN_FLIGHT), (MAX_BYTES_IN_FLIGHT // 2, 2), (MAX_BYTES_IN_FLIGHT * 2, 1)]
)
def test_what_is_in_flight_is_bounded_in_groups_and_in_bytes(size: int, groups: int):
    connection: Any = Connection()
    sink = Sink(connection, CheckpointId(VertexId(1), "u"), Checkpoint({}))
    sent = 0
    while not sink.full:
        sent += 1
        sink.send(Transaction(sink.reached, Checkpoint({P0: sent}, "t"), {}, PackedQueries(1, b"q" * size)))
    assert sent == groups
    assert connection.sent.count(b"q" * size) == groups
    done = sink.settle()
    assert sink.held == done.after == Checkpoint({P0: 1}, "t")
    assert len(sink.in_flight.all) == groups, "it is found there until it is recorded elsewhere"
    sink.release()
    assert not sink.full
    assert len(sink.in_flight.all) == groups - 1


NOTIFICATION = {
    "severity": "WARNING",
    "code": "SyncReplicationFailure",
    "title": "At least one SYNC replica has not confirmed.",
    "description": "",
}


@pytest.mark.parametrize(
    ("metadata", "notice"),
    [
        ({}, ""),
        ({"notifications": [NOTIFICATION]}, "At least one SYNC replica has not confirmed."),
        ({"notifications": [NOTIFICATION, {"description": "And more."}]}, f"{NOTIFICATION['title']}; And more."),
        ({"notifications": "none"}, ""),
    ],
)
def test_what_is_committed_with_a_notification_is_committed(metadata: dict[str, Any], notice: str):
    connection: Any = Connection()
    connection.receive = lambda count, *, commit_at: [
        *[reply_of(messages.success())] * commit_at,
        reply_of(messages.success(metadata)),
    ]
    sink = Sink(connection, CheckpointId(VertexId(1), "u"), Checkpoint({}))
    sink.send(Transaction(sink.held, Checkpoint({P0: 1}, "t"), {}, PackedQueries(1, b"q")))
    assert (sink.settle().notice, sink.held) == (notice, Checkpoint({P0: 1}, "t"))
