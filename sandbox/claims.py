"""
Who changes which vertex.

In Memgraph the second of two concurrent transactions that change a vertex is refused at once; ArcadeDB refuses at
COMMIT. So procedures claim what they change. Adding an edge is a change that any number of transactions may make to
a vertex at a time, as in Memgraph 3.x (2.x refuses the second of them as well), but not beside any other change; of two
that are both committed ArcadeDB may still refuse the second.

Source: `PrepareForNonSequentialWrite`, `src/storage/v2/mvcc.hpp` of Memgraph 3.12.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sandbox.native import SerializationError


@dataclass(eq=False)
class Transaction:
    """A client's transaction, or the one that a call has for itself."""

    began: int
    "When: a count of what has begun and ended before."
    claimed: dict[int, bool] = field(default_factory=dict)
    "Id of each vertex that it changes -> whether it does more than add edges to it."


class Claims:
    """
    The claims of all transactions.

    Threads: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._clock = 0
        self._open: set[Transaction] = set()
        self._committed: dict[tuple[int, bool], int] = {}
        """
        Vertex, and whether more than its edges was changed -> when a transaction that did so was committed; only what
        an open transaction did not see.
        """

    def begin(self) -> Transaction:
        """A transaction that begins now."""
        with self._lock:
            transaction = Transaction(self._tick())
            self._open.add(transaction)
            return transaction

    def claim(self, transaction: Transaction, vertex_id: int, *, adds_edge: bool = False) -> None:
        """
        Say that a transaction changes a vertex.

        Args:
            adds_edge: that is all it does.

        Raises:
            SerializationError: another one does, or did since this one began.
        """
        with self._lock:
            for other in self._open - {transaction}:
                if other.claimed.get(vertex_id, False) or (vertex_id in other.claimed and not adds_edge):
                    raise SerializationError("Operation cannot be serialized.")
            kinds = (True,) if adds_edge else (True, False)
            if any(self._committed.get((vertex_id, kind), 0) > transaction.began for kind in kinds):
                raise SerializationError("Operation cannot be serialized.")
            transaction.claimed[vertex_id] = transaction.claimed.get(vertex_id, False) or not adds_edge

    def end(self, transaction: Transaction, *, committed: bool) -> None:
        """Forget a transaction; may be called again."""
        with self._lock:
            if transaction not in self._open:
                return
            self._open.remove(transaction)
            now = self._tick()
            if committed:
                self._committed.update(dict.fromkeys(transaction.claimed.items(), now))
            oldest = min((other.began for other in self._open), default=now)
            self._committed = {change: when for change, when in self._committed.items() if when > oldest}

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
