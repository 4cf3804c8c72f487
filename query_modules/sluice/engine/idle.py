"""When a stream that gets no messages rests: it gives its consumer up, and the watch waits for its next message."""

from __future__ import annotations

import time
from collections.abc import Callable

from sluice.brokers import idle_watcher
from sluice.brokers.topic import Topics
from sluice.engine.broker_health import Watermarks
from sluice.host.settings import Settings
from sluice.values.model import Checkpoint, StreamSpec
from sluice.values.position import Partition

LONGER = 16
"""
A stream whose rests are shorter than the settings' `rest_after` goes to rest later, up to so many times: making a
consumer anew costs more than such a rest saves.
"""

Clock = Callable[[], float]


class IdleDetector:
    """
    One stream's rests, one after the other.

    States: awake -> going to rest, while the stream still reads by itself -> `ready` to sleep -> `over` -> awake.

    Threads: for the thread that made it. `wake` may be called in any.
    """

    def __init__(
        self, spec: StreamSpec, settings: Settings, wake: Callable[[], None], clock: Clock = time.monotonic
    ) -> None:
        """`wake`: called when it has come to be `over`."""
        self._spec = spec
        self._settings = settings
        self._wake = wake
        self._clock = clock
        self._patience = settings.rest_after
        self._since = clock()
        self._watched: idle_watcher.Watched | None = None
        self._highs: dict[Partition, int] | None = None

    @property
    def entered(self) -> bool:
        """Whether the stream goes to rest, or rests."""
        return self._watched is not None

    def put_off(self) -> None:
        """There is something to do: time counts anew."""
        self.end()
        self._since = self._clock()

    def ready(self, partitions: frozenset[Partition], held: Checkpoint) -> bool:
        """There is nothing to do: whether the stream, which goes to rest when it is time to, may sleep now."""
        if self._watched is None:
            if self._clock() - self._since >= self._patience:
                self._since, self._highs = self._clock(), None
                topics = Topics(held.topic_ids, partitions)
                self._watched = idle_watcher.Watched(self._spec, topics, held.places, self._wake)
                idle_watcher.enter(self._watched, self._spec, self._settings.topic_interval)
        elif self._watched.roused:
            self.end()
        return self._watched is not None and self._watched.armed

    def over(self, watermarks: Watermarks | None) -> bool:
        """
        Whether a stream that sleeps is to wake up.

        Args:
            watermarks: where partitions are known to end, which should be no news: the watch hears of it before.
        """
        highs = None if watermarks is None else {partition: high for partition, (_, high) in watermarks.items()}
        self._highs = highs if self._highs is None else self._highs
        return self._watched is None or self._watched.roused or highs not in (None, self._highs)

    def end(self) -> idle_watcher.Watched | None:
        """The stream reads by itself again; what the watch has found, if there was a rest."""
        watched, self._watched = self._watched, None
        if watched is None:
            return None
        idle_watcher.leave(watched)
        lasted, self._since = self._clock() - self._since, self._clock()
        shortest = self._settings.rest_after
        self._patience = shortest if lasted >= shortest else min(LONGER * shortest, 2 * self._patience)
        return watched
