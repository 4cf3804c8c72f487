"""
One stream's loop: Kafka, transform, transactions.

    source.poll ──group──► committer.submit, advance ──► transform ──► writer: at most 4 transactions in flight
         ▲                                                               │
         └─ report ◄── held ◄── committer.settle ◄── committed ──────────┘

    guard.poll ──TopicChanged, PartitionsFound──► committer.move, source.assign
    lookout.look ──Health──► status.update
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sluice.brokers.consumer import Consumer
from sluice.engine.broker_health import RENEW_AFTER, BrokerHealth
from sluice.engine.committer import Committer
from sluice.engine.gaps import CheckpointMove, is_unvalidated, past_gap, to_topics
from sluice.engine.idle import IdleDetector
from sluice.engine.lookout import Lookout
from sluice.engine.retrier import Retrier
from sluice.engine.run import Run, Watch
from sluice.engine.topic_guard import PartitionsFound, TopicChanged, TopicGuard, TopicsCameOrWent
from sluice.engine.writer import Writer
from sluice.errors import BrokerUnreachable, OffsetGone, Stopped
from sluice.values.position import Partition

log = logging.getLogger("sluice.session")

IDLE = 2.5
"Seconds between two looks at what else there is to do, while no message comes."

ASKING = 0.5
"... and the brokers were asked something, or are to be told something."

SUSPECT = 0.1
"... and it is in doubt whether the brokers answer."

ASLEEP = 15.0
"... and the stream rests."


@dataclass(frozen=True)
class Parts:
    """What the loop joins; each can be a fake."""

    source: Consumer
    writer: Writer
    committer: Committer
    retrier: Retrier
    health: BrokerHealth
    guard: TopicGuard
    idle: IdleDetector
    watch: Watch


class StreamLoop:
    """
    From one reading of the checkpoint until the run is to end, its limit is reached, or something breaks.

    Threads: for the thread that made the parts.
    """

    def __init__(self, run: Run, parts: Parts) -> None:
        self._run = run
        self._parts = parts
        self._source = parts.source
        self._committer = parts.committer
        self._lookout = Lookout(run, parts.source, parts.health, parts.guard)
        self._next_catch_up = 0.0
        parts.watch.meanwhile = self._meanwhile

    def run(self) -> None:
        """
        Raises:
            MessageRefused, GapFound: the stream's policy is to stop at what came.
            QueryRefused, BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: while something took its time.
        """
        run, source, committer = self._run, self._source, self._committer
        if committer.held.ended_generation == run.desired.generation:
            return
        self._begin()
        while not committer.finished and not run.cancel.is_set():
            held = committer.held
            committer.settle_ready()
            if not committer.pending:
                self._answer_calls()
                if committer.may_read():
                    self._read()
            busy = committer.pending
            self._write()
            self._look(busy=busy or bool(committer.in_flight) or source.held_back)
            if committer.held is not held or not committer.in_flight:
                # It gets on, or has nothing left to do: what went wrong before is over.
                run.status.trouble(self._lookout.seen.trouble)
            self._follow_topic()
            source.report(committer.held.positions)
            self._rest(busy=busy or self._is_busy())
        committer.drain()
        self._catch_up()
        source.report(committer.held.positions)

    def _begin(self) -> None:
        """Begins to read, as soon as a broker answers; librdkafka goes on trying. Raises as `TopicGuard.begin`."""
        began = time.monotonic()
        while True:
            try:
                self._assign()
            except BrokerUnreachable as error:
                self._run.status.failed(str(error), 0.0)
                self._run.check()
                if time.monotonic() - began >= RENEW_AFTER:
                    raise self._renewed(f"{error}; replaces its clients") from error
            else:
                self._run.status.assigned(self._committer.held)
                return

    def _renewed(self, why: str) -> BrokerUnreachable:
        """The next session gets other clients. What the stream shares with others goes as well."""
        log.warning("stream %s: %s", self._run.spec.name, why)
        self._parts.health.give_up_clients()
        return BrokerUnreachable(why)

    def _assign(self) -> None:
        """Reads from where the checkpoint says. Raises as `TopicGuard.begin`, and GapFound."""
        topics = self._parts.guard.begin(self._committer.held)
        self._adopt(topics.ids)
        self._source.assign(topics.partitions, self._committer.held.places)

    def _answer_calls(self) -> None:
        """Does what the supervisor asks for."""
        calls, committer = self._run.calls, self._committer
        if calls.constrained:
            committer.drain()
            calls.constrained = False
            self._parts.writer.unlabel()
        if committer.held.retry_completed < calls.retry_requested:
            committer.drain()
            self._parts.retrier.step()

    def _read(self) -> None:
        """Submits what is due, if it comes in time."""
        spec, committer, health = self._run.spec, self._committer, self._lookout.seen
        # What is in flight is heard of as soon as there is nothing else to do.
        hurry, suspect = committer.in_flight or self._is_asked(), health.suspect
        asking = health.asking or self._parts.guard.asking or self._source.reporting or self._parts.idle.entered
        idle = ASKING if asking else min(IDLE, self._parts.guard.pause)
        try:
            group = self._source.poll(
                spec.batch_size,
                spec.batch_interval,
                self._run.cancel.is_set if suspect else self._is_called,
                patience=0.0 if hurry else SUSPECT if suspect else idle,
                most=committer.batch_limit,
            )
        except OffsetGone as gone:
            self._pass_gap(gone)
            return
        if group is not None:
            committer.submit(group)

    def _write(self) -> None:
        committer = self._committer
        if committer.pending:
            try:
                committer.advance()
            except Stopped:
                log.debug("stream %s: stops before applying everything that it has read", self._run.spec.name)
        elif committer.in_flight:
            committer.settle()
        elif time.monotonic() >= self._next_catch_up:
            self._catch_up()

    def _catch_up(self) -> None:
        """Moves the checkpoint past offsets that no message has. Nothing may be in flight."""
        held = self._committer.held
        if reached := self._source.reached(held.positions):
            self._next_catch_up = time.monotonic() + IDLE
            self._committer.move(CheckpointMove(held.moved(reached)))

    def _follow_topic(self) -> None:
        """Reads the topics as they are now."""
        event = self._parts.guard.poll(self._committer.held)
        if isinstance(event, TopicChanged) and self._adopt(event.topic_ids):
            self._assign()
        elif isinstance(event, PartitionsFound):
            self._source.extend(event.partitions, self._committer.held.places)
        elif isinstance(event, TopicsCameOrWent):
            for topic in sorted(event.gone):
                log.warning("stream %s: topic %s does not exist any more; reads the others", self._run.spec.name, topic)
            self._committer.drain()
            self._assign()

    def _adopt(self, topic_ids: Mapping[str, str]) -> bool:
        """
        Compares the topics' ids with those of the positions, and notes those that were not known. Raises GapFound.
        Returns whether there is another topic of the same name.
        """
        committer = self._committer
        news = dict(topic_ids.items() - committer.held.topic_ids.items())
        if not news:
            return False
        committer.drain()
        is_other = not news.keys().isdisjoint(committer.held.topic_ids)
        committer.move(to_topics(self._run.spec, committer.held, news))
        if is_other:
            self._source.renew()
        return is_other

    def _pass_gap(self, gone: OffsetGone) -> None:
        """Continues where a partition begins now. Raises GapFound, or BrokerError where nothing is gone."""
        committer = self._committer
        committer.drain()
        partition = Partition(*gone.partition)
        is_identified = partition.topic in committer.held.topic_ids
        if not (is_identified and self._adopt(self._parts.guard.topic_ids())):
            held, watermarks = committer.held, self._source.topic.watermarks(partition)
            high = watermarks[1]
            if is_unvalidated(held, gone, high):
                log_end = self._source.log_end(partition, high, held.places[partition].leader_epoch)
                gone = OffsetGone(str(gone), partition=partition, log_end=log_end)
            committer.move(past_gap(self._run.spec, held, gone, watermarks))
        self._assign()

    def _look(self, *, busy: bool, resting: bool = False) -> None:
        """As `Lookout.look`. Raises BrokerUnreachable: the clients do not recover, and are given up."""
        seen = self._lookout.look(self._committer.held.positions, busy=busy, resting=resting)
        if seen.stuck is not None:
            raise self._renewed(seen.stuck)

    def _meanwhile(self) -> None:
        """
        While the transform works: takes what has come for the next group. What the stream reports is kept true, too,
        since a transform may take half a minute for a batch. Does not wait.
        """
        spec, committer = self._run.spec, self._committer
        if not committer.limited:
            self._source.read_ahead(spec.batch_size, committer.batch_limit)
        if self._lookout.is_due:
            self._lookout.look(committer.held.positions, busy=True)

    def _rest(self, *, busy: bool) -> None:
        """Waits without a consumer, if nothing has come for long enough, until there is something to do."""
        idle, calls, held = self._parts.idle, self._run.calls, self._committer.held
        if busy:
            idle.put_off()
            return
        if not idle.ready(self._source.assigned, held):
            return
        self._source.sleep(held.places)  # the next `poll` makes another consumer
        while not self._is_called() and not idle.over(self._lookout.seen.watermarks):
            self._look(busy=False, resting=True)
            calls.nudge.wait(ASKING if self._lookout.seen.asking else ASLEEP)
            calls.nudge.clear()
        found = idle.end()
        if found is not None:
            self._parts.guard.woke(changed=found.topic_changed)
            if found.trouble is not None:
                self._source.complaints.note(found.trouble)

    def _is_busy(self) -> bool:
        """Whether there is anything to do, or wrong, besides that messages come."""
        return (
            self._lookout.seen.trouble is not None
            or bool(self._committer.in_flight)
            or self._committer.pending
            or self._source.held_back
            or self._source.reporting
            or self._is_called()
            or self._is_behind()
        )

    def _is_behind(self) -> bool:
        """
        Whether there is, or may be, something that was not read: that is the stream's own to wait for. So is what an
        open transaction holds back.
        """
        watermarks, positions = self._lookout.seen.watermarks, self._committer.held.positions
        if watermarks is None or not self._source.assigned <= watermarks.keys():
            return True
        return any(high > max(low, positions.get(partition, 0)) for partition, (low, high) in watermarks.items())

    def _is_called(self) -> bool:
        """Whether there has come to be something to do other than to wait for messages."""
        suspect = self._lookout.seen.suspect or self._source.complaints.pending
        return suspect or self._run.cancel.is_set() or self._is_asked() or self._committer.finished

    def _is_asked(self) -> bool:
        """Whether the supervisor has asked for something that is not done."""
        calls = self._run.calls
        return calls.constrained or self._committer.held.retry_completed < calls.retry_requested
