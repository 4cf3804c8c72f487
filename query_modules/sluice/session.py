"""
One stream's loop: Kafka, transform, transactions; from one reading of the checkpoint until something breaks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from sluice.applier import Applier
from sluice.batch import Group
from sluice.consumer import Consumer
from sluice.dead_letter import DeadLetters
from sluice.doubts import Doubts
from sluice.errors import OffsetGone
from sluice.jail import Stopped
from sluice.listener import Listener, Stop
from sluice.loopback import Loopback
from sluice.model import Desired
from sluice.retrier import Retrier
from sluice.settings import Settings
from sluice.sink import Sink
from sluice.topic_guard import TopicGuard, TopicIdentity
from sluice.transformer import Transformer

log = logging.getLogger("sluice.session")

IDLE = 1.0
"Seconds between two looks at the topic while no message comes."


class Session:
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
        retries_asked: Callable[[], int],
        doubts: Doubts,
    ) -> None:
        """
        Args:
            retries_asked: the number of the last `RetryRequest` that the supervisor has seen.
            doubts: what is thought of refusals so far.
        """
        self._desired = desired
        self._spec = desired.spec
        self._settings = settings
        self._loopback = loopback
        self._stop = stop
        self._wants_stop = stop.is_set
        self._listener = listener
        self._retries_asked = retries_asked
        self._doubts = doubts
        self._resources = ExitStack()

    def __enter__(self) -> Session:
        spec, settings, wants_stop = self._spec, self._settings, self._wants_stop
        with ExitStack() as resources:
            self._consumer = resources.enter_context(Consumer(spec, settings))
            self._transformer = Transformer(spec, settings, wants_stop)
            resources.callback(self._transformer.close)
            letters = DeadLetters(spec, wants_stop)
            resources.callback(letters.close)
            held = self._loopback.read_checkpoint(self._desired.checkpoint_id)
            sink = Sink(self._loopback.connection, self._desired.checkpoint_id, held)
            self._applier = Applier(
                self._desired,
                settings,
                sink,
                self._transformer.pack,
                letters,
                self._stop,
                self._listener,
                fold=self._transformer.fold,
                doubts=self._doubts,
                count_kept=lambda: self._loopback.count_kept(self._desired.checkpoint_id),
            )
            self._retrier = Retrier(
                self._desired,
                settings,
                self._loopback,
                sink,
                self._transformer.whole,
                self._stop,
                self._listener,
                self._doubts,
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
        applier, spec = self._applier, self._spec
        if applier.held.ended_generation == self._desired.generation:
            return
        self._guard.begin()
        start = dict(applier.held.positions) or "its beginning"
        log.info("stream %s: running, topic %s from %s", spec.name, spec.topic, start)
        while not applier.finished and not self._wants_stop():
            if applier.held.retries < self._retries_asked():
                applier.drain()
                self._retrier.step()
            if applier.full:
                applier.settle()
            try:
                group = self._next_group()
            except OffsetGone as gone:
                self._guard.pass_gap(gone)
                continue
            if group is not None:
                self._apply(group)
            elif applier.in_flight:
                applier.settle()
            else:
                # Nothing left to do: what went wrong before is over, but for what librdkafka says now.
                self._listener.trouble(self._consumer.trouble)
            self._guard.look()
            self._consumer.report(applier.held.positions)
        applier.drain()
        self._consumer.report(applier.held.positions)

    def _next_group(self) -> Group | None:
        spec, applier = self._spec, self._applier
        # What is in flight is heard of as soon as there is nothing else to do.
        busy = applier.in_flight or applier.held.retries < self._retries_asked()
        patience = 0.0 if busy else IDLE
        return self._consumer.poll(
            spec.batch_size, spec.batch_interval, self._wants_stop, patience=patience, most=applier.room
        )

    def _apply(self, group: Group) -> None:
        try:
            self._applier.apply(group)
        except Stopped:
            log.debug("stream %s: stops before it has applied what it has read", self._spec.name)
