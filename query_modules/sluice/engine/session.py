"""
One stream's loop: Kafka, transform, transactions; from one reading of the checkpoint until something breaks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from sluice.brokers import clients
from sluice.brokers.consumer import Consumer
from sluice.brokers.dead_letters import DeadLetters
from sluice.engine.broker_health import RENEW_AFTER, BrokerHealth
from sluice.engine.calls import Calls
from sluice.engine.committer import Committer
from sluice.engine.idle import IdleDetector
from sluice.engine.listener import Listener, Stop, Watermarks
from sluice.engine.merge_guard import Admission
from sluice.engine.retrier import Retrier
from sluice.engine.retry_policy import RetryPolicy
from sluice.engine.topic_guard import TopicGuard, TopicIdentity
from sluice.errors import BrokerUnreachable, OffsetGone, Stopped
from sluice.folding import Need
from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.persistence.sink import Sink
from sluice.scripting.transformer import Transformer
from sluice.values.batch import Group
from sluice.values.model import Desired

log = logging.getLogger("sluice.session")

IDLE = 2.5
"Seconds between two looks at what else there is to do, while no message comes."

ASKING = 0.5
"... and the brokers were asked something, or are to be told something."

SUSPECT = 0.1
"... and it is in doubt whether the brokers answer."

ASLEEP = 15.0
"... and the stream rests."

ENDS_INTERVAL = 0.2
"Seconds between two looks at how far the partitions go by what has come of them."


class StreamSession:
    """
    Reads the checkpoint, and goes on from there.

    Threads: for the thread that made it. The listener is called in it.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        loopback: Loopback,
        stop: Stop,
        listener: Listener,
        calls: Calls,
        retry_policy: RetryPolicy,
        lacks: Callable[[], frozenset[Need]],
        admission: Admission,
    ) -> None:
        """
        Args:
            calls: what the supervisor asks for.
            retry_policy: what is thought of refusals so far.
            lacks: what folding needs and the server does not do.
            admission: the stream's turns among others that merge the same.
        """
        self._desired = desired
        self._spec = desired.spec
        self._settings = settings
        self._loopback = loopback
        self._stop = stop
        self._wants_stop = stop.is_set
        self._listener = listener
        self._calls = calls
        self._retry_policy = retry_policy
        self._unlabelled = False
        "Whether the checkpoint is known to be without its label."
        self._lacks = lacks
        self._admission = admission
        self._watermarks: Watermarks | None = None
        self._next_ends = 0.0
        self._next_catch_up = 0.0
        self._lost = False
        self._resources = ExitStack()

    def __enter__(self) -> StreamSession:
        spec, settings, wants_stop = self._spec, self._settings, self._wants_stop
        with ExitStack() as resources:
            resources.callback(self._admission.abandon)
            self._broker_health = BrokerHealth(
                clients.admin(spec.name, spec.uri, spec.config),
                spec.topic,
                f"Kafka stream {spec.name}, topic {spec.topic} at {spec.uri}",
            )
            resources.callback(self._broker_health.close)
            self._rest = IdleDetector(spec, settings, self._calls.nudge.set)
            resources.callback(self._rest.end)
            self._consumer = resources.enter_context(Consumer(spec, settings))
            self._transformer = Transformer(spec, settings, wants_stop, self._lacks, self._admission.wants_keys)
            resources.callback(self._transformer.close)
            letters = DeadLetters(spec, wants_stop)
            resources.callback(letters.close)
            self._unlabel()
            held = self._loopback.read_checkpoint(self._desired.checkpoint_id)
            self._listener.begun(held)
            sink = Sink(self._loopback.connection, self._desired.checkpoint_id, held)
            self._applier = Committer(
                self._desired,
                settings,
                sink,
                self._transformer.pack,
                letters,
                self._stop,
                self._listener,
                fold=self._transformer.fold,
                retry_policy=self._retry_policy,
                count_parked=lambda: self._loopback.count_parked(self._desired.checkpoint_id),
                between=self._between,
                violated=self._unlabel,
                admission=self._admission,
            )
            self._retrier = Retrier(
                self._desired,
                settings,
                self._loopback,
                sink,
                self._transformer.whole,
                self._stop,
                self._listener,
                self._retry_policy,
                self._admission,
            )
            identity = TopicIdentity(spec, settings.broker_timeout)
            resources.callback(identity.close)
            self._guard = TopicGuard(spec, settings, self._consumer, self._applier, identity, wants_stop)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def run(self) -> None:
        """
        Until told to stop or the limit is reached.

        Raises:
            MessageRefused, GapFound: the stream's policy is to stop at what came.
            QueryRefused, BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: while something took its time.
        """
        applier = self._applier
        if applier.held.ended_generation == self._desired.generation:
            return
        self._begin()
        while not applier.finished and not self._wants_stop():
            held = applier.held
            if self._calls.constrained:
                applier.drain()
                self._unlabel()
            if held.retry_completed < self._calls.retry_requested:
                applier.drain()
                self._retrier.step()
            while applier.full or applier.answered:
                applier.settle()
            try:
                group = self._next_group()
            except OffsetGone as gone:
                self._guard.pass_gap(gone)
                continue
            self._look(busy=group is not None or bool(applier.in_flight) or self._consumer.held_back)
            if group is not None:
                self._apply(group)
            elif applier.in_flight:
                applier.settle()
            elif time.monotonic() >= self._next_catch_up:
                self._catch_up()
            if applier.held is not held or not applier.in_flight:
                # It gets on, or has nothing left to do: what went wrong before is over.
                self._listener.trouble(self._broker_health.trouble)
            self._guard.look()
            self._consumer.report(applier.held.positions)
            if group is not None or self._is_busy():
                self._rest.put_off()
            elif self._rest.ready(self._consumer.assigned, applier.held):
                self._sleep()
        applier.drain()
        self._catch_up()
        self._consumer.report(applier.held.positions)

    def _catch_up(self) -> None:
        """Moves the checkpoint past offsets that no message has. Nothing may be in flight."""
        held = self._applier.held
        if reached := self._consumer.reached(held.positions):
            self._next_catch_up = time.monotonic() + IDLE
            moved = held.moved(reached)
            self._applier.move(positions=moved.positions, leader_epochs=moved.leader_epochs)

    def _begin(self) -> None:
        """Begins to read, as soon as a broker answers. Raises as `TopicGuard.begin`, and Stopped."""
        began = time.monotonic()
        while True:
            try:
                self._guard.begin()
            except BrokerUnreachable as error:
                # librdkafka goes on trying, and has had its time.
                self._listener.failed(str(error), 0.0)
                if self._wants_stop():
                    raise Stopped from error
                if time.monotonic() - began >= RENEW_AFTER:
                    raise self._renewed(f"{error}; replaces its clients") from error
            else:
                self._listener.reading()
                return

    def _renewed(self, why: str) -> BrokerUnreachable:
        """Sees to it that the next session has clients of its own. What the stream shares with others goes as well."""
        log.warning("stream %s: %s", self._spec.name, why)
        clients.forget(self._broker_health.admin)
        return BrokerUnreachable(why)

    def _is_busy(self) -> bool:
        """Whether there is anything to do, or wrong, besides that messages come."""
        broker_health, consumer = self._broker_health, self._consumer
        return (
            broker_health.suspect
            or broker_health.trouble is not None
            or bool(self._applier.in_flight)
            or consumer.held_back
            or consumer.reporting
            or self._is_called()
            or self._is_behind()
        )

    def _is_behind(self) -> bool:
        """
        Whether there is, or may be, something that was not read: that is the stream's own to wait for. So is what an
        open transaction holds back.
        """
        watermarks, positions = self._broker_health.watermarks, self._applier.held.positions
        if watermarks is None or not self._consumer.assigned <= watermarks.keys():
            return True
        return any(high > max(low, positions.get(partition, 0)) for partition, (low, high) in watermarks.items())

    def _sleep(self) -> None:
        """Waits without a consumer, which the next `poll` makes anew, until there is something to do."""
        self._consumer.sleep(self._applier.held.places)
        while not self._is_called() and not self._rest.over(self._broker_health.watermarks):
            self._look(busy=False, resting=True)
            self._calls.nudge.wait(ASKING if self._broker_health.asking else ASLEEP)
            self._calls.nudge.clear()
        found = self._rest.end()
        if found is not None:
            self._guard.woke(changed=found.topic_changed)
            if found.trouble is not None:
                self._consumer.complaints.note(found.trouble)

    def _unlabel(self) -> None:
        """Takes the checkpoint's label off if the graph has a uniqueness constraint. Nothing may be in flight."""
        self._calls.constrained = False
        if not self._unlabelled:
            self._unlabelled = self._loopback.unlabel(self._desired.checkpoint_id)

    def _between(self) -> None:
        """What must not wait until a group is done."""
        self._look(busy=True)
        self._consumer.report(self._applier.held.positions)

    def _look(self, *, busy: bool, resting: bool = False) -> None:
        """Looks where the partitions end, and whether the brokers answer. Does not wait."""
        broker_health, consumer = self._broker_health, self._consumer
        self._listener.pulse()
        if (complaint := consumer.complaints.take()) is not None:
            broker_health.doubt(complaint)
        broker_health.obstacle = consumer.complaints.obstacle
        broker_health.follow(consumer.assigned)
        broker_health.look(busy=busy, resting=resting, positions=self._applier.held.positions)
        if broker_health.stuck is not None:
            raise self._renewed(broker_health.stuck)
        if busy and time.monotonic() >= self._next_ends:
            self._next_ends = time.monotonic() + ENDS_INTERVAL
            broker_health.heard(consumer.ends())
        if broker_health.watermarks != self._watermarks:
            self._watermarks = broker_health.watermarks
            self._listener.saw(self._watermarks)
        if broker_health.trouble is not None or self._lost:
            self._lost = broker_health.trouble is not None
            self._listener.trouble(broker_health.trouble)

    def _next_group(self) -> Group | None:
        spec, applier = self._spec, self._applier
        # What is in flight is heard of as soon as there is nothing else to do.
        busy = applier.in_flight or self._is_asked()
        suspect = self._broker_health.suspect
        asking = self._broker_health.asking or self._guard.asking or self._consumer.reporting or self._rest.entered
        idle = ASKING if asking else min(IDLE, self._guard.pause)
        return self._consumer.poll(
            spec.batch_size,
            spec.batch_interval,
            self._wants_stop if suspect else self._is_called,
            patience=0.0 if busy else SUSPECT if suspect else idle,
            most=applier.room,
        )

    def _is_called(self) -> bool:
        """Whether there has come to be something to do other than to wait for messages."""
        suspect = self._broker_health.suspect or self._consumer.complaints.pending
        return self._wants_stop() or suspect or self._is_asked()

    def _is_asked(self) -> bool:
        """Whether the supervisor has asked for something that is not done."""
        return self._calls.constrained or self._applier.held.retry_completed < self._calls.retry_requested

    def _apply(self, group: Group) -> None:
        try:
            self._applier.apply(group)
        except Stopped:
            log.debug("stream %s: stops before it has applied what it has read", self._spec.name)
