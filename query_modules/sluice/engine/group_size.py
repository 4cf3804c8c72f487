"""
How fast a stream goes: how many batches travel in a group, and how long it waits before it tries again.

A group is as large as its time allows: small ones cost round trips and transactions, large ones keep STOP waiting, and
lose against others who write the same vertices, since a transaction meets the more conflicts the longer it is.
"""

from __future__ import annotations

import random

FIRST_PAUSE = 0.1
"Seconds before the first new try after something that may pass."
MAX_BACKOFF = 5.0
"... and at the most."

MAX_MESSAGES = 4000
"Messages in a group of several batches."

FIRST_MESSAGES = 1000
"... before it is known how long they take: groups double as long as that is little."

AIM = 0.2
"Seconds that a group may take, where shorter ones cost no more for each batch."

MAX_AIM = 1.6
"... and where they do: each transaction may cost much by itself, on a slow disk or with a replica far away."

WORSE = 0.7
"Share of the batches a second below which smaller groups were no good idea."

GROWTH = 8
"A group may grow by one part in so many, and by one batch at least."


class GroupSize:
    """The number of batches in a group. Threads: one thread at a time."""

    def __init__(self, batch_size: int) -> None:
        self._most = max(1, MAX_MESSAGES // batch_size)
        self.batches = max(1, FIRST_MESSAGES // batch_size)
        "How many batches the next group may have."
        self._doubling = True
        self._aim = AIM
        self._larger: tuple[int, float] | None = None
        "Batches in a group, and batches a second, before groups were made smaller for taking long."

    def took(self, batches: int, seconds: float) -> None:
        """A group of so many batches was committed; the stream waited for it for so long."""
        rate = batches / max(seconds, 1e-6)
        if self._larger is not None and batches <= self.batches:
            larger, before = self._larger
            self._larger = None
            if rate < WORSE * before:
                self._aim = min(MAX_AIM, 2 * self._aim)
                self.batches = larger
                return
        self._doubling &= seconds < self._aim / 4
        if seconds > self._aim and batches > 1:
            self._larger = (min(self.batches, batches), rate)
            self.batches = max(1, min(self.batches, batches) // 2)
        elif seconds < self._aim / 2 and 2 * batches > self.batches:
            more = self.batches if self._doubling else max(1, self.batches // GROWTH)
            self.batches = min(self._most, self.batches + more)

    def refused(self, batches: int) -> None:
        """A group of so many batches met a conflict, or something else that may pass."""
        self._larger = None
        self._doubling = False
        self.batches = max(1, min(self.batches, batches) // 2)


def pause(failures: int) -> float:
    """
    Seconds to wait after so many failures in a row: doubled each time up to a limit, of which a random part at least
    the half.

    The random part keeps streams that failed together from trying again together.
    """
    longest = min(MAX_BACKOFF, FIRST_PAUSE * 2 ** min(failures - 1, 16))
    return random.uniform(longest / 2, longest)
