"""
Writes batches: a batch's queries and its checkpoint are one transaction, sent at once.

The first query of each transaction is the fence: it fails the transaction unless the checkpoint is exactly where the
one before left it, and moves it forward. So whatever else is written meanwhile, a batch takes effect once or not at
all. Batches may be sent before the outcome of earlier ones is known, since after a failure the fence stops all that
follow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Reply, Success, error_of
from sluice.errors import FenceLost, GraphError, one_line
from sluice.persistence import nodes
from sluice.scripting.process import PackedQueries
from sluice.values.model import Checkpoint, CheckpointId, encode_positions
from sluice.values.parked_message import ParkedMessage

FENCE_TEXT = "sluice: the checkpoint was moved by somebody else"

# assert() is Memgraph's: it fails the query with the text. A checkpoint that is gone has no positions, and fails too.
# So does a vertex that is not a checkpoint of this stream.
FENCE = f"""
OPTIONAL MATCH (k) WHERE id(k) = $id
WITH k, assert(coalesce(k.positions = $from AND k.{nodes.OWNER} = $uid, false), '{FENCE_TEXT}') AS held
SET k += $to
"""

FENCE_AND_PARK = f"""{FENCE}
WITH k
UNWIND $parked AS message
CREATE (k)-[:{nodes.HAS_PARKED}]->(m:{nodes.PARKED})
SET m = message
"""
"... and puts parked messages beside it."

BEGIN = frame(messages.begin())
PULL_ALL = frame(messages.pull(-1))
COMMIT = frame(messages.commit())

REPLIES_BEFORE_QUERIES = 3
"Number of replies to BEGIN, and to the fence's RUN and PULL."

MAX_IN_FLIGHT = 4
"Groups sent and not settled: enough that the server always has one, few enough that STOP does not wait long."

MAX_BYTES_IN_FLIGHT = 8 << 20
"... and their size in bytes above which no further one is sent."


class _Sent(NamedTuple):
    """A batch whose answers are due."""

    reached: Checkpoint
    queries: int
    bytes: int

    @property
    def replies(self) -> int:
        """One reply to each request: those before the queries, RUN and PULL of each query, COMMIT."""
        return REPLIES_BEFORE_QUERIES + 2 * self.queries + 1


class Sink:
    """
    One stream's way into the graph.

    Threads: for the thread that owns the connection.
    """

    def __init__(self, connection: Connection, checkpoint_id: CheckpointId, held: Checkpoint) -> None:
        """
        Args:
            held: the checkpoint as it was read over this connection.
        """
        self._connection = connection
        self._checkpoint_id = checkpoint_id
        self._sent: deque[_Sent] = deque()
        self._bytes = 0
        self.held = held
        "The checkpoint as committed, as far as known."
        self.reached = held
        "The checkpoint once everything that was sent is committed."
        self.notice = ""
        "The server's notifications about the last committed transaction; empty: none."

    @property
    def full(self) -> bool:
        """Whether a batch should be settled before the next is sent."""
        return len(self._sent) >= MAX_IN_FLIGHT or self._bytes >= MAX_BYTES_IN_FLIGHT

    @property
    def answered(self) -> bool:
        """Whether the server has begun to answer the oldest batch in flight."""
        return bool(self._sent) and self._connection.answered

    def send(
        self,
        queries: PackedQueries,
        reached: Checkpoint,
        properties: dict[str, Any],
        parked: Sequence[ParkedMessage] = (),
    ) -> None:
        """
        Sends a batch: its queries and the checkpoint's move, all or nothing. `settle` reports the outcome.

        Args:
            reached: the checkpoint after the batch.
            properties: the checkpoint node's, after the batch.
            parked: messages that become nodes in the same transaction.

        Raises:
            ConnectionLost: none, some or all of what is in flight may have been committed.
        """
        vertex, uid = self._checkpoint_id
        parameters = {"id": vertex, "uid": uid, "from": encode_positions(self.reached.positions), "to": properties}
        if parked:
            parameters["parked"] = [{**message.properties(), nodes.OWNER: uid} for message in parked]
        fence = frame(messages.run(FENCE_AND_PARK if parked else FENCE, parameters))
        request = b"".join((BEGIN, fence, PULL_ALL, queries.frames, COMMIT))
        self._connection.send(request)
        self._sent.append(_Sent(reached, queries.size, len(request)))
        self._bytes += len(request)
        self.reached = reached

    def settle(self) -> None:
        """
        Waits until the oldest batch in flight is committed.

        Raises:
            QueryRefused: it was not committed, and neither was any batch sent after it. The index is that of the query;
                None if the transaction as a whole was refused. Nothing is in flight any more.
            FenceLost: the same, because the checkpoint is elsewhere, or gone.
            ConnectionLost, CommitUnknown: as they say; the connection cannot be used any more.
        """
        sent = self._sent.popleft()
        self._bytes -= sent.bytes
        replies = self._connection.receive(sent.replies, commit_at=sent.replies - 1)
        for index, reply in enumerate(replies):
            if isinstance(reply, Failure):
                self._give_up()
                raise _meaning(reply, index, sent.queries)
        self.held = sent.reached
        self.notice = _notice_in(replies[-1])

    def _give_up(self) -> None:
        """Reads that the server ignored everything else in flight, and releases the failed transaction's locks."""
        self._connection.receive(sum(sent.replies for sent in self._sent))
        self._sent.clear()
        self._bytes = 0
        self.reached = self.held
        self._connection.reset()


def _notice_in(reply: Reply) -> str:
    """
    The notifications in the answer to COMMIT: a SYNC replica that has not confirmed causes one after Memgraph 3.12.0,
    and caused an error before.

    Source: `SessionHL::CommitTransaction`, `src/glue/SessionHL.cpp`.
    """
    notifications = reply.metadata.get("notifications") if isinstance(reply, Success) else None
    if not isinstance(notifications, list):
        return ""
    texts = [
        str(item.get("title") or item.get("description") or "") for item in notifications if isinstance(item, dict)
    ]
    return one_line("; ".join(text for text in texts if text))


def _meaning(failure: Failure, index: int, queries: int) -> GraphError:
    """What the failure of reply `index` means for the batch."""
    if index < REPLIES_BEFORE_QUERIES and FENCE_TEXT in failure.message:
        return FenceLost(FENCE_TEXT)
    query = (index - REPLIES_BEFORE_QUERIES) // 2
    return error_of(failure, query if 0 <= query < queries else None)
