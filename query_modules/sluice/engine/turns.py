"""The turns of one stream's lane among others that merge the same, and how it has waited for them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from sluice.engine.merge_guard import MergeGuard, Owner, Ticket
from sluice.values.merge_keys import MergeKeys, MergeShape, Wanted

MAX_LABELS = 20
"What a stream has waited for is told apart up to this many shapes."


class Waits:
    """
    How often and how long one stream has waited for others, and what it merges; outlives its workers.

    Threads: one stream's worker writes; any may read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._count = 0
        self._seconds = 0.0
        self._labels: Counter[str] = Counter()
        self._waiting: tuple[str, float] | None = None
        self._shapes: frozenset[MergeShape] = frozenset()

    @property
    def shapes(self) -> frozenset[MergeShape]:
        """What the stream's queries merge, as far as it was seen."""
        return self._shapes

    def begin(self) -> None:
        """There is a new worker, whose queries may be others."""
        self._shapes = frozenset()

    def merges(self, shapes: Iterable[MergeShape]) -> None:
        """The stream's queries merge these."""
        self._shapes |= frozenset(shapes)

    def began(self, what: str) -> None:
        """The stream waits."""
        with self._lock:
            self._waiting = self._waiting or (what, time.monotonic())

    def ended(self) -> None:
        """It waits no more."""
        with self._lock:
            if self._waiting is None:
                return
            what, since = self._waiting
            self._waiting = None
            self._count += 1
            self._seconds += time.monotonic() - since
            if what in self._labels or len(self._labels) < MAX_LABELS:
                self._labels[what] += 1

    def as_map(self) -> dict[str, Any]:
        """As `streams.info` reports it: `count`, `ms`, `for` (shape -> how often), `waiting` (for what, now)."""
        with self._lock:
            running = 0.0 if self._waiting is None else time.monotonic() - self._waiting[1]
            return {
                "count": self._count,
                "ms": round((self._seconds + running) * 1000, 3),
                "for": dict(self._labels),
                "waiting": None if self._waiting is None else self._waiting[0],
            }

    def handed_over(self) -> dict[str, Any]:
        """What a successor is to know, in plain types."""
        with self._lock:
            return {"count": self._count, "seconds": self._seconds, "labels": dict(self._labels)}

    def take_over(self, given: dict[str, Any]) -> None:
        """Goes on from what `handed_over` gave."""
        with self._lock:
            self._count, self._seconds = given.get("count", 0), given.get("seconds", 0.0)
            self._labels = Counter(given.get("labels", {}))


class Turns:
    """One stream's turns, in the order in which its transactions are sent. Threads: for the stream's worker."""

    def __init__(self, guard: MergeGuard, owner: Owner, waits: Waits, *, has_lanes: bool = False) -> None:
        """
        Args:
            owner: the same for all workers of the lane.
            waits: where each wait is noted.
            has_lanes: whether the stream has other lanes, so that it matters also what its queries find.
        """
        self._guard = guard
        self._owner = owner
        self._waits = waits
        self._wanted = Wanted.ALL if has_lanes else Wanted.MERGED
        self._tickets: deque[Ticket] = deque()
        self._queued: Ticket | None = None
        "The place in line of the transaction that waits; None: none does."

    def wants_keys(self) -> Wanted:
        """What matters of what the stream writes."""
        return self._wanted if self._guard.wants_keys(self._owner) else Wanted.NOTHING

    def enter(self, keys: MergeKeys, patience: float = 0.0) -> bool:
        """
        Whether the next transaction may be sent now; then it has to be, or `abandon` called. If not, it keeps its place
        in line, and this is to be called again for it.

        Args:
            patience: seconds to wait for the turn. 0: not at all, and without a place in line, which only a stream may
                take that has nothing in flight.
        """
        if self._queued is None:
            found = self._guard.try_acquire(self._owner, keys)
            if not isinstance(found, str):
                self._enter(found)
                return True
            self._waits.began(found)
            if not patience:
                return False
            self._queued = self._guard.queue(self._owner, keys)
        what = self._guard.await_turn(self._queued, patience)
        if what is not None:
            self._waits.began(what)
            return False
        ticket, self._queued = self._queued, None
        self._enter(ticket)
        return True

    def committed(self) -> None:
        """The oldest transaction that was sent is committed."""
        self._guard.leave(self._tickets.popleft())

    def refused(self) -> None:
        """All transactions in flight were rolled back."""
        while self._tickets:
            self._guard.leave(self._tickets.popleft())

    @property
    def has_lost(self) -> bool:
        """Whether transactions of the stream, whose connection was lost, may still be committed."""
        return self._guard.has_lost(self._owner)

    def fenced_off(self) -> None:
        """None of those can be committed any more."""
        self._guard.settle(self._owner)

    def abandon(self) -> None:
        """The connection is given up: what became of transactions in flight, if there are any, is not known."""
        if self._queued is not None:
            self._guard.leave(self._queued)
            self._queued = None
        self._tickets.clear()
        self._guard.lose(self._owner)
        self._waits.ended()

    def _enter(self, ticket: Ticket) -> None:
        self._waits.ended()
        self._tickets.append(ticket)
