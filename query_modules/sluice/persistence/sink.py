"""
Writes batches: a batch's queries and its checkpoint are one transaction, sent at once.

The first query of each transaction is the fence: it fails the transaction unless the checkpoint is exactly where the
one before left it, and moves it forward. So whatever else is written meanwhile, a batch takes effect once or not at
all. Batches may be sent before the outcome of earlier ones is known, since after a failure the fence stops all that
follow.
"""

from __future__ import annotations

import time
from dataclasses import replace

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Reply, Success, error_of
from sluice.errors import FenceLost, GraphError, one_line
from sluice.persistence import nodes
from sluice.persistence.transaction import InFlight, Transaction
from sluice.values.model import Checkpoint, CheckpointId
from sluice.values.position import encode_positions

FENCE_TEXT = "sluice: the checkpoint is not where this worker left it"

# assert() is Memgraph's: it fails the query with the text. A checkpoint that is gone has no positions, and fails too.
# So does a vertex that is not a checkpoint of this stream, and one that belongs to a later session.
FENCE = f"""
OPTIONAL MATCH (k) WHERE id(k) = $id
WITH k, k.positions = $from AND k.{nodes.OWNER} = $uid AND coalesce(k.{nodes.SESSION}, '') = $session AS is_ours
WITH k, assert(coalesce(is_ours, false), '{FENCE_TEXT}') AS held
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
"Transactions sent and not settled: enough that the server always has one, few enough that STOP does not wait long."

MAX_BYTES_IN_FLIGHT = 8 << 20
"... and their size in bytes above which no further one is sent."


class Sink:
    """One stream's way into the graph. Threads: for the thread that owns the connection, except `in_flight`."""

    def __init__(self, connection: Connection, checkpoint_id: CheckpointId, held: Checkpoint) -> None:
        """`held`: the checkpoint as it was read over this connection."""
        self._connection = connection
        self._checkpoint_id = checkpoint_id
        self.held = held
        "The checkpoint as committed, as far as known."
        self._session = held.session
        self.in_flight = InFlight()

    @property
    def reached(self) -> Checkpoint:
        """The checkpoint once everything that was sent is committed."""
        return self.in_flight.all[-1].after if self.in_flight.all else self.held

    @property
    def full(self) -> bool:
        """Whether a transaction should be settled before the next is sent."""
        sizes = [transaction.bytes for transaction in self.in_flight.all]
        return len(sizes) >= MAX_IN_FLIGHT or sum(sizes) >= MAX_BYTES_IN_FLIGHT

    @property
    def answered(self) -> bool:
        """Whether the server has begun to answer the oldest transaction in flight."""
        return bool(self.in_flight.all) and self._connection.answered

    def send(self, transaction: Transaction) -> None:
        """
        Sends a transaction that begins where the one before ends. `settle` reports the outcome. Raises ConnectionLost:
        none, some or all of what is in flight may have been committed.
        """
        vertex, uid = self._checkpoint_id
        start = encode_positions(transaction.before.positions, transaction.before.topic)
        parameters = {"id": vertex, "uid": uid, "from": start, "to": transaction.properties, "session": self._session}
        if transaction.parked:
            parameters["parked"] = [{**message.properties(), nodes.OWNER: uid} for message in transaction.parked]
        fence = frame(messages.run(FENCE_AND_PARK if transaction.parked else FENCE, parameters))
        request = b"".join((BEGIN, fence, PULL_ALL, transaction.queries.frames, COMMIT))
        began = time.monotonic()
        sent = replace(transaction, bytes=len(request), sent_at=began)
        before = self.in_flight.all
        self.in_flight.all = (*before, sent)  # before it can be committed: whoever sees what it wrote finds it there
        self._connection.send(request)
        now = time.monotonic()
        self.in_flight.all = (*before, replace(sent, sent_at=now, write_seconds=now - began))

    def settle(self) -> Transaction:
        """
        Waits until the oldest transaction in flight is committed. It stays in flight until `release`, so that it can be
        recorded elsewhere first.

        Raises:
            QueryRefused: it was not committed, and neither was any sent after it. The index is that of the query; None
                if the transaction as a whole was refused. Nothing is in flight any more.
            FenceLost: the same, because the checkpoint is elsewhere, or gone.
            ConnectionLost, CommitUnknown: as they say; the connection cannot be used any more.
        """
        sent = self.in_flight.all[0]
        count = _replies_to(sent)
        replies = self._connection.receive(count, commit_at=count - 1)
        for index, reply in enumerate(replies):
            if isinstance(reply, Failure):
                self._give_up()
                raise _meaning(reply, index, sent.queries.size)
        self.held = sent.after
        return replace(sent, commit_seconds=time.monotonic() - sent.sent_at, notice=_notice_in(replies[-1]))

    def release(self) -> None:
        """What `settle` gave is recorded."""
        self.in_flight.all = self.in_flight.all[1:]

    def _give_up(self) -> None:
        """Reads that the server ignored everything else in flight, and releases the failed transaction's locks."""
        self._connection.receive(sum(map(_replies_to, self.in_flight.all[1:])))
        self.in_flight.all = ()
        self._connection.reset()


def _replies_to(transaction: Transaction) -> int:
    """One reply to each request: those before the queries, RUN and PULL of each query, COMMIT."""
    return REPLIES_BEFORE_QUERIES + 2 * transaction.queries.size + 1


def _notice_in(reply: Reply) -> str:
    """
    The notifications in the answer to COMMIT: a SYNC replica that has not confirmed causes one after Memgraph 3.12.0,
    and caused an error before. Source: `SessionHL::CommitTransaction`, `src/glue/SessionHL.cpp`.
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
