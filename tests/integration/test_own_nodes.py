"""What the loopback does at an id is done only if the node there says that it is the stream's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sluice.errors import FenceLost
from sluice.host.settings import Settings
from sluice.persistence import nodes
from sluice.persistence.loopback import Loopback
from sluice.persistence.sink import Sink
from sluice.persistence.transaction import Transaction
from sluice.values.model import Checkpoint, CheckpointId, Status, VertexId
from sluice.values.parked_message import ParkedMessage
from sluice.values.position import Partition
from tests.hosts import Host
from tests.integration.test_kit import Run

UID = "0123456789abcdef"
READ = "MATCH (n) WHERE id(n) = $id RETURN properties(n) AS all"


@pytest.fixture
def loopback(host: Host) -> Iterator[Loopback]:
    with Loopback(Settings(loopback_port=host.port)) as loopback:
        yield loopback


@pytest.fixture
def vertex(run: Run, stream_name: str) -> Iterator[VertexId]:
    """A vertex with all that a checkpoint has, but for whose it is."""
    properties = nodes.checkpoint_properties(Checkpoint({Partition("t", 0): 5}, "t"))
    (row,) = run(f"CREATE (n:Own_{stream_name}) SET n = $properties RETURN id(n) AS id", properties=properties)
    yield VertexId(row["id"])
    run("MATCH (n) WHERE id(n) = $id OPTIONAL MATCH (n)-->(m) DETACH DELETE n, m", id=row["id"])


def write_batch(loopback: Loopback, vertex: VertexId) -> None:
    """What a worker does whose checkpoint this is."""
    sink = Sink(loopback.connection, CheckpointId(vertex, UID), Checkpoint({Partition("t", 0): 5}, "t"))
    reached = Checkpoint({Partition("t", 0): 6}, "t")
    message = ParkedMessage(1, "", "t", 0, 5, None, None, "x", 1, (), None, None, "", "")
    sink.send(Transaction(sink.held, reached, nodes.checkpoint_properties(reached), parked=[message]))
    sink.settle()


@pytest.mark.parametrize("owner", [None, "another"])
def test_a_vertex_that_is_not_the_streams_is_neither_read_nor_written(
    run: Run, loopback: Loopback, vertex: VertexId, owner: str | None
) -> None:
    run(f"MATCH (n) WHERE id(n) = $id SET n.{nodes.OWNER} = $owner", id=vertex, owner=owner)
    before = run(READ, id=vertex)
    with pytest.raises(FenceLost):
        write_batch(loopback, vertex)
    with pytest.raises(FenceLost):
        loopback.read_checkpoint(CheckpointId(vertex, UID), "t")
    loopback.end_run(CheckpointId(vertex, UID), 7, Status.ERROR, "no")
    assert run(READ, id=vertex) == before
    assert run("MATCH (n)-->(m) WHERE id(n) = $id RETURN count(m) AS count", id=vertex) == [{"count": 0}]


def test_the_streams_own_is_read_and_written(run: Run, loopback: Loopback, vertex: VertexId) -> None:
    run(f"MATCH (n) WHERE id(n) = $id SET n.{nodes.OWNER} = $uid", id=vertex, uid=UID)
    checkpoint = CheckpointId(vertex, UID)
    write_batch(loopback, vertex)
    assert loopback.read_checkpoint(checkpoint, "t").positions == {Partition("t", 0): 6}
    loopback.end_run(checkpoint, 7, Status.ERROR, "no")
    assert loopback.read_checkpoint(checkpoint, "t").error == "no"
    ((message_id, message),) = loopback.list_parked(checkpoint)
    assert [found.payload for _, found in loopback.read_parked(UID, [message_id])] == ["x"]
    assert loopback.read_parked("another", [message_id]) == []
    assert message.number == 1
