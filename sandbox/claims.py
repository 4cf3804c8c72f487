"""
Who changes which vertex.

In Memgraph the second of two concurrent transactions that change a vertex is refused at once, and a vertex's edges are
part of it; ArcadeDB refuses at COMMIT, and not for edges. So procedures claim what they change.
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
    claimed: set[int] = field(default_factory=set)
    "Ids of the vertices that it changes."


class Claims:
    """
    The claims of all transactions.

    Threads: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards what follows
        self._clock = 0
        self._open: set[Transaction] = set()
        self._committed: dict[int, int] = {}
        "Vertex -> when a transaction that changed it was committed; only what an open transaction did not see."

    def begin(self) -> Transaction:
        """A transaction that begins now."""
        with self._lock:
            transaction = Transaction(self._tick())
            self._open.add(transaction)
            return transaction

    def claim(self, transaction: Transaction, vertex_id: int) -> None:
        """
        Say that a transaction changes a vertex.

        Raises:
            SerializationError: another one does, or did since this one began.
        """
        with self._lock:
            others = self._open - {transaction}
            taken = any(vertex_id in other.claimed for other in others)
            if taken or self._committed.get(vertex_id, 0) > transaction.began:
                raise SerializationError("Operation cannot be serialized.")
            transaction.claimed.add(vertex_id)

    def end(self, transaction: Transaction, *, committed: bool) -> None:
        """Forget a transaction; may be called again."""
        with self._lock:
            if transaction not in self._open:
                return
            self._open.remove(transaction)
            now = self._tick()
            if committed:
                self._committed.update(dict.fromkeys(transaction.claimed, now))
            oldest = min((other.began for other in self._open), default=now)
            self._committed = {vertex: when for vertex, when in self._committed.items() if when > oldest}

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
