"""
Writes batches: a batch's queries and its checkpoint are one transaction, sent in one go.

The first query of the transaction is the fence: it fails the transaction unless the checkpoint is exactly where this
worker left it, and moves it on. So whatever wrote meanwhile, a batch takes effect once or not at all.
"""

from __future__ import annotations

from typing import Any

from sluice import nodes
from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, error_of
from sluice.errors import FenceLost, GraphError
from sluice.jail import PackedQueries
from sluice.model import Checkpoint, VertexId, encode_positions

FENCE_TEXT = "sluice: the checkpoint was moved by somebody else"

# assert() is Memgraph's: it fails the query with the text. A checkpoint that is gone has no positions, and so fails
# as well.
FENCE = f"""
OPTIONAL MATCH (k:{nodes.CHECKPOINT}) WHERE id(k) = $id
WITH k, assert(coalesce(k.positions = $from, false), '{FENCE_TEXT}') AS held
SET k += $to
"""

BEGIN = frame(messages.begin())
PULL_ALL = frame(messages.pull(-1))
COMMIT = frame(messages.commit())

REPLIES_BEFORE_QUERIES = 3
"To BEGIN, and to the fence's RUN and PULL."


class Sink:
    """
    One stream's way into the graph.

    Threads: for the thread that owns the connection.
    """

    def __init__(self, connection: Connection, checkpoint_id: VertexId) -> None:
        self._connection = connection
        self._checkpoint_id = checkpoint_id

    def write(self, queries: PackedQueries, held: Checkpoint, to: dict[str, Any]) -> None:
        """
        Runs the queries and moves the checkpoint, all or nothing.

        Args:
            held: the checkpoint as this worker left it.
            to: the checkpoint node's properties afterwards.

        Raises:
            QueryRefused: with the index of the query that was refused; None if it was the transaction as a whole.
            FenceLost: the checkpoint is elsewhere, or gone.
            ConnectionLost, CommitUnknown: as they say; the connection is of no use any more.
        """
        fence = messages.run(FENCE, {"id": self._checkpoint_id, "from": encode_positions(held.positions), "to": to})
        replies_expected = REPLIES_BEFORE_QUERIES + 2 * queries.size + 1
        request = b"".join((BEGIN, frame(fence), PULL_ALL, queries.frames, COMMIT))
        replies = self._connection.exchange(request, replies_expected, commit_at=replies_expected - 1)
        for index, reply in enumerate(replies):
            if isinstance(reply, Failure):
                self._connection.reset()
                raise _meaning(reply, index, queries.size)


def _meaning(failure: Failure, index: int, size: int) -> GraphError:
    """What the failure of reply `index` means for the batch."""
    if index < REPLIES_BEFORE_QUERIES and FENCE_TEXT in failure.message:
        return FenceLost(FENCE_TEXT)
    query = (index - REPLIES_BEFORE_QUERIES) // 2
    return error_of(failure, query if 0 <= query < size else None)
