"""
The Kafka side of a stream: reads a topic from given positions, batch by batch.

Partitions are assigned, never subscribed to: positions come from the graph, so the stream joins no group and is never
rebalanced. They are reported to the stream's group all the same, for lag monitors (`reporter`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from sluice.brokers.batcher import Batcher, Limits
from sluice.brokers.complaints import Complaints
from sluice.brokers.reader import TopicReader
from sluice.brokers.reporter import Reporter
from sluice.brokers.topic import TopicMetadata
from sluice.host.settings import Settings
from sluice.values.batch import Group
from sluice.values.model import StreamSpec
from sluice.values.position import Partition, Position

log = logging.getLogger("sluice.consumer")

SLICE = 0.5
"Seconds between two checks of whether the owner wants to stop."


class Consumer(AbstractContextManager["Consumer"]):
    """
    Reads one topic for one stream: a `TopicReader`, while it is awake, and a `Batcher`.

    Threads: for the thread that made it. Waiting leaves the interpreter lock alone.
    """

    def __init__(self, spec: StreamSpec, settings: Settings, *, to_the_end: bool = False) -> None:
        """
        Args:
            to_the_end: make `poll` notice where the partitions end (`at_end`).

        Raises:
            SettingError, BrokerError: as `TopicReader`.
        """
        self._spec = spec
        self._settings = settings
        self._to_the_end = to_the_end
        self._reporter = Reporter(spec.name)
        self._batcher = Batcher()
        self._given: dict[Partition, Position] = {}
        "Partition -> where its last message ended that was given out."
        self._resume_at: Mapping[Partition, Position] = {}
        self._looked = time.monotonic()
        "When it last took what had come."
        self.complaints = Complaints(spec)
        "What librdkafka has to get over; for the owner to `take`."
        self.assigned: frozenset[Partition] = frozenset()
        "The partitions that it reads."
        self._reader: TopicReader | None = self._new_reader()
        "None: asleep."

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the brokers. Whatever was not committed to the graph will be read again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def sleep(self, places: Mapping[Partition, Position]) -> None:
        """
        Leaves the brokers until there is something to ask them, as `poll` does; then the same partitions are read from
        these places. To be called while nothing is `held_back` nor to be reported.
        """
        self._resume_at = dict(places)
        self.close()

    def renew(self) -> None:
        """
        Reads with another client, once it is to `assign`. To be called when the topic has become another one:
        librdkafka follows no leader of a lower epoch than those that it has seen, and a new topic begins with 0.

        Source: `rd_kafka_toppar_leader_update` in `rdkafka_topic.c`, v2.16.0.
        """
        self.close()
        self.assigned, self._resume_at = frozenset(), {}

    @property
    def topic(self) -> TopicMetadata:
        """What the brokers say of the topic."""
        client, timeout = self._awake().client, self._settings.broker_timeout
        return TopicMetadata(client, self._spec, timeout, self.complaints, self._serve)

    def assign(self, partitions: Iterable[Partition], places: Mapping[Partition, Position]) -> None:
        """Begins to read: each partition from its place, or from its first message if it has none."""
        self.assigned = frozenset(partitions)
        self._batcher.clear()
        self._given = {}
        self._looked = time.monotonic()
        self._awake().assign(self.assigned, places)

    def extend(self, partitions: Iterable[Partition], places: Mapping[Partition, Position]) -> None:
        """Reads these partitions as well, if it does not yet, beginning as `assign` does."""
        new = frozenset(partitions) - self.assigned
        if new:
            for topic in sorted({partition.topic for partition in new}):
                numbers = sorted(partition.number for partition in new if partition.topic == topic)
                log.info("stream %s: topic %s has new partitions: %s", self._spec.name, topic, numbers)
            reader = self._awake()
            self.assigned |= new
            reader.extend(new, places)

    def report(self, positions: Mapping[Partition, int]) -> None:
        """Lets lag monitors know that these positions are in the graph. Does not wait; may be called at any rate."""
        if self._reader is None:
            return
        if self._reporter.unanswered:
            self._serve()  # which hears the answer, where a long group keeps `poll` from being called
        self._reporter.report(self._reader.client, positions)

    @property
    def reporting(self) -> bool:
        """Whether there is something to `report` yet, or its answer is due."""
        return self._reporter.pending

    def ends(self) -> dict[Partition, int]:
        """As `TopicReader.ends`, of all partitions that it reads."""
        return self._awake().ends(self.assigned)

    def reached(self, positions: Mapping[Partition, int]) -> dict[Partition, Position]:
        """
        Partition -> where reading is, where that is after the position though there is no message between: offsets of
        transaction markers and of aborted records are passed without a word. Does not wait.

        Args:
            positions: the stream's. Nothing is reached while a message that came is not before them.
        """
        given_out = any(end.offset > positions.get(p, -1) for p, end in self._given.items())
        if self._reader is None or self.held_back or given_out:
            return {}
        self._take(1, 0)  # librdkafka passes such offsets only while it is asked for messages
        return {p: place for p, place in self._positions().items() if place.offset > positions.get(p, -1)}

    def log_end(self, partition: Partition, end: int, leader_epoch: int) -> int:
        """As `TopicReader.log_end`; `assign` has to follow."""
        return self._awake().log_end(partition, end, leader_epoch)

    @property
    def held_back(self) -> bool:
        """Whether something has come that was not given out yet."""
        return bool(self._batcher) or (self._reader is not None and self._reader.failure is not None)

    @property
    def ended(self) -> frozenset[Partition]:
        """The partitions that were read up to their end and given out; for consumers made with `to_the_end`."""
        return frozenset() if self._batcher or self._reader is None else frozenset(self._reader.ended)

    @property
    def at_end(self) -> bool:
        """Whether that is every partition."""
        return bool(self.assigned) and self.ended >= self.assigned

    def poll(
        self,
        size: int,
        interval: float,
        wants_stop: Callable[[], bool],
        *,
        patience: float | None = None,
        most: int = 1,
    ) -> Group | None:
        """
        The batches that are due. A batch is, once it has `size` messages, as many bytes of payloads as the settings
        allow, or `interval` seconds after its first message came; or may have come, if nobody looked.

        Waits for the first; further ones come along if their messages wait already. What is not due yet is kept for the
        next call.

        Args:
            patience: seconds to wait for a batch; None: until there is one.
            most: batches in the group.

        Returns:
            None when no batch came in time, when `wants_stop` answered True, or when the topic's end is reached with
            nothing left to give out (`at_end`).

        Raises:
            OffsetGone: a partition has nothing at the position any more.
            BrokerError: the broker refuses to go on. All messages that came before were given out.
        """
        limits = Limits(size, interval, self._settings.batch_max_bytes, most)
        give_up = None if patience is None else time.monotonic() + patience
        waited = False
        while True:
            room = self._batcher.room(limits)
            if room and (self._batcher or not waited):
                self._take(room, 0)
            now = time.monotonic()
            group = self._due(limits, now)
            if group is not None or wants_stop() or self.at_end or (give_up is not None and now >= give_up):
                return group
            wait = SLICE if give_up is None else min(SLICE, give_up - now)
            if self._batcher:
                self._take(size - len(self._batcher), min(wait, self._batcher.wait(limits, now)))
            else:
                self._take(1, wait)  # alone, so that the interval counts from its arrival
                waited = True

    def read_ahead(self, size: int, most: int) -> None:
        """
        Takes what has come and the next group may have, for `poll` to give out. Does not wait, and raises nothing.

        Args:
            size, most: as for `poll`.
        """
        if self._reader is None or self._reader.failure is not None:
            return
        room = self._batcher.room(Limits(size, 0.0, self._settings.batch_max_bytes, most))
        if room:
            self._take(room, 0)

    def _due(self, limits: Limits, now: float) -> Group | None:
        reader = self._awake()
        complete = reader.failure is not None or (bool(self.assigned) and reader.ended >= self.assigned)
        group = self._batcher.due(limits, now, complete=complete)
        if group is not None:
            group.partitions = self.assigned
            group.batches[-1].reached = self._positions()
            self._given.update(group.end)
        return group

    def _serve(self) -> None:
        """Has librdkafka call its callbacks. A message that comes along is held for the next `poll`."""
        if self._awake().failure is None:
            self._take(1, 0)

    def _take(self, most: int, wait: float) -> None:
        """As `TopicReader.take`, which raises once the messages before it are given out."""
        reader = self._awake()
        if reader.failure is not None and self._batcher:
            return
        arrived = reader.take(most, wait)
        now = time.monotonic()
        if arrived:
            # What has waited may have come right after the last look, while a transaction was waited for.
            self._batcher.add(arrived, now if wait else self._looked)
        self._looked = now

    def _positions(self) -> dict[Partition, Position]:
        """Partition -> where reading is, if all that came was given out, and as far as it has begun."""
        return {} if self.held_back or not self.assigned else self._awake().positions(self.assigned)

    def _new_reader(self) -> TopicReader:
        return TopicReader(self._spec, self._settings, self.complaints, self._reporter, to_the_end=self._to_the_end)

    def _awake(self) -> TopicReader:
        if self._reader is None:
            self._reader = self._new_reader()
            self.complaints.answered()
            self._looked = time.monotonic()
            self._reader.assign(self.assigned, self._resume_at)
        return self._reader
