"""
What is tried again, how often and after how long.

Refusals whose code alone says that they will pass are believed for a while, then taken as what they look like.
"""

from __future__ import annotations

from collections import Counter

from sluice.engine.group_size import pause
from sluice.errors import QueryRefused, TransientFailure

TRIES = 5
"Refusals of one text in a row, over some two seconds, after which it counts as one of data."

VIOLATIONS = 3
"Tries of a group that violates a uniqueness constraint, before it is taken apart."


class RetryPolicy:
    """What is known of failures, from one commit to the next. Threads: one thread at a time."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._violations = 0  # in a row, of uniqueness constraints
        self._allowed = VIOLATIONS
        self._failures = 0  # in a row

    def failed(self) -> float:
        """Something went wrong that may pass; seconds to wait before the next try."""
        self._failures += 1
        return pause(self._failures)

    def violated(self) -> bool:
        """
        A group violates a uniqueness constraint: whether to try it again before it is taken apart. Where that was of no
        use the last time, the next group is taken apart at once.
        """
        self._violations += 1
        if self._violations < self._allowed:
            return True
        self._violations = self._allowed = 0
        return False

    def raced(self) -> None:
        """Something violated a uniqueness constraint and went through when it was tried again."""
        self._violations, self._allowed = 0, VIOLATIONS

    def refused(self, error: TransientFailure) -> None:
        """It is about to be tried again."""
        if error.suspect:
            self._seen[str(error)] += 1

    def committed(self) -> None:
        """Something went through: what was doubtful so far may have passed, what was given up on stays so."""
        self._failures = 0
        if self._violations:
            self.raced()
        self._seen = Counter({text: count for text, count in self._seen.items() if count >= TRIES})

    def of_data(self, error: QueryRefused) -> bool:
        """Whether the query is to blame, so that the same message would be refused again."""
        return error.of_data or self._seen[str(error)] >= TRIES
