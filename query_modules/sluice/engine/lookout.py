"""What a stream's loop sees of the brokers: how it stands is reported, whatever the loop is at work on."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sluice.brokers.consumer import Consumer
from sluice.engine.broker_health import BrokerHealth, Health, Reading
from sluice.engine.run import Run
from sluice.engine.topic_guard import TopicGuard
from sluice.values.position import Partition

INTERVAL = 0.2
"Seconds between two looks while the transform works, and at how far the partitions go by what has come of them."


class Lookout:
    """
    Looks where the partitions end, and whether the brokers answer. Does not wait.

    Threads: for the loop's.
    """

    def __init__(self, run: Run, source: Consumer, health: BrokerHealth, guard: TopicGuard) -> None:
        self._run = run
        self._source = source
        self._health = health
        self._guard = guard
        self._next_look = 0.0
        self._next_ends = 0.0
        self.seen = Health()
        "What it saw last, with what is wrong with the topic."

    @property
    def is_due(self) -> bool:
        """Whether the last look is some time ago."""
        return time.monotonic() >= self._next_look

    def look(self, positions: Mapping[Partition, int], *, busy: bool, resting: bool = False) -> Health:
        """What it sees, which it reports, too."""
        now, source = time.monotonic(), self._source
        self._next_look = now + INTERVAL
        if (complaint := source.complaints.take()) is not None and source.assigned:
            self._health.doubt(complaint)
        ends: dict[Partition, int] = {}
        if busy and now >= self._next_ends:
            self._next_ends = now + INTERVAL
            ends = source.ends()
        reading = Reading(source.assigned, positions, ends, source.complaints.obstacle)
        found = self._health.poll(reading, busy=busy, resting=resting)
        self.seen = found._replace(trouble=found.trouble or self._guard.trouble)
        self._run.status.update(self.seen)
        return self.seen
