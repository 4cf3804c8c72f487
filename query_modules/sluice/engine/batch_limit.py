"""How many batches the lanes of one run may commit together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping


class BatchLimit:
    """
    Deals out the batches of a run's limit to the lanes that have messages for them.

    A lane claims batches before it applies them, so that together exactly as many are committed as the limit says; and
    a lane without messages keeps none from the others. What a lane had claimed when its session broke off stays its own
    until it has committed again: only then it is certain that nothing of it can take effect any more.

    Threads: any.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()  # guards all below
        self._claimed: dict[int, int] = {}
        "Lane -> batches that it has committed or may commit."
        self._taken: dict[int, int] = {}
        "... of which it has taken up in this session, or committed before."
        self._committed: dict[int, int] = {}
        self._wakes: dict[int, Callable[[], object]] = {}

    def join(self, lane: int, committed: Mapping[int, int], wake: Callable[[], object]) -> None:
        """
        A lane begins a session.

        Args:
            committed: the lanes' batches of this run that are in the graph.
            wake: called when the limit is reached.
        """
        with self._lock:
            for other, count in committed.items():
                if other not in self._wakes:  # otherwise it has told by itself, and may have claimed more
                    self._claimed[other] = self._taken[other] = self._committed[other] = count
            count = self._taken[lane] = self._committed[lane] = committed.get(lane, 0)
            self._claimed[lane] = max(count, self._claimed.get(lane, 0))
            self._wakes[lane] = wake

    def left(self, lane: int) -> int:
        """How many batches a lane can claim."""
        with self._lock:
            return self._left(lane)

    def claim(self, lane: int, most: int) -> int:
        """Claims as many batches as are left, at most this number. Returns how many."""
        with self._lock:
            count = min(most, self._left(lane))
            self._taken[lane] += count
            self._claimed[lane] = max(self._claimed[lane], self._taken[lane])
            return count

    def is_reached(self, lane: int, committed: int) -> bool:
        """Whether all batches of the limit are committed. `committed`: by this lane."""
        with self._lock:
            is_news, self._committed[lane] = committed != self._committed[lane], committed
            if is_news:
                self._claimed[lane] = self._taken[lane]
            reached = sum(self._committed.values()) >= self._limit
            wakes = list(self._wakes.values()) if reached and is_news else []
        for wake in wakes:
            wake()
        return reached

    def _left(self, lane: int) -> int:
        return max(0, self._limit - sum(self._claimed.values()) + self._claimed[lane] - self._taken[lane])
