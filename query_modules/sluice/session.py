"""
One stream's loop: Kafka, batch, transform, one transaction, from one reading of the checkpoint until something breaks.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from sluice import nodes
from sluice.consumer import Batch, Consumer
from sluice.errors import MessageRefused, QueryRefused, TransformError
from sluice.jail import Jail
from sluice.loopback import Loopback
from sluice.model import Checkpoint, Desired, Status
from sluice.settings import Settings
from sluice.sink import Sink

log = logging.getLogger("sluice.session")


class Session:
    """
    Reads the checkpoint, and goes on from there.

    Threads: for the thread that made it. `publish` is called in it with what became known as committed.
    """

    def __init__(
        self,
        desired: Desired,
        settings: Settings,
        loopback: Loopback,
        wants_stop: Callable[[], bool],
        publish: Callable[[Mapping[int, int]], None],
    ) -> None:
        self._desired = desired
        self._spec = desired.spec
        self._settings = settings
        self._loopback = loopback
        self._wants_stop = wants_stop
        self._publish = publish
        self._resources = ExitStack()
        self._jail: Jail | None = None

    def __enter__(self) -> Session:
        spec = self._spec
        with ExitStack() as resources:
            self._consumer = resources.enter_context(Consumer(spec.name, spec.uri, spec.topic, self._settings))
            resources.callback(self._close_jail)
            held = self._loopback.read_checkpoint(self._desired.checkpoint_id)
            self._sink = Sink(self._loopback.connection, self._desired.checkpoint_id, held)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def run(self, *, carefully: bool) -> None:
        """
        Until told to stop or the limit is reached.

        Args:
            carefully: apply the first batch so that a message that cannot be applied is found, and everything before
                it is; for the session after one that ended by an error of data.

        Raises:
            TransformError, QueryRefused: a batch cannot be applied, and none that came after it was.
            MessageRefused: when careful; a message cannot be applied, and everything before it was.
            BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: while the transform was running.
        """
        sink, spec = self._sink, self._spec
        if sink.held.ended_generation == self._desired.generation:
            return
        self._consumer.assign(self._consumer.partitions(), sink.held.positions)
        start = dict(sink.held.positions) or "its beginning"
        log.info("stream %s: running, topic %s from %s", spec.name, spec.topic, start)
        while not self._limit_reached(sink.reached):
            if sink.full:
                self._settle()
            # What is in flight is heard of as soon as there is nothing else to do.
            patience = 0.0 if sink.in_flight else None
            batch = self._consumer.poll_batch(spec.batch_size, spec.batch_interval, self._wants_stop, patience=patience)
            if batch is not None and carefully:
                self._isolate(batch)
                carefully = False
            elif batch is not None:
                self._send(batch)
            elif sink.in_flight:
                self._settle()
            else:
                break
        while sink.in_flight:
            self._settle()

    def _send(self, batch: Batch, *, counts: bool = True) -> None:
        """Transforms a batch and sends it; `counts` is False for a part of a batch."""
        queries = self._transform().pack(batch.payloads)
        reached = self._after(batch, counts=counts)
        self._sink.send(queries, reached, self._properties(reached))

    def _settle(self) -> None:
        self._sink.settle()
        self._publish(self._sink.held.positions)

    def _isolate(self, batch: Batch) -> None:
        """
        Applies a batch in ever smaller parts where it cannot be applied whole, each in a transaction of its own.

        For k messages that cannot be applied, of n, these are at most 2 k log2(n) + 1 transactions.
        """
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                self._send(part, counts=not parts)
                self._settle()
            except (TransformError, QueryRefused) as error:
                if error.retryable:
                    raise
                if len(part) == 1:
                    raise self._refusal(part, error) from error
                parts += reversed(part.halves())

    def _refusal(self, part: Batch, error: Exception) -> MessageRefused:
        (message,) = part.messages
        place = f"topic {self._spec.topic}, partition {message.partition()}, offset {message.offset()}"
        return MessageRefused(f"Kafka stream {self._spec.name}, {place}: {error}")

    def _transform(self) -> Jail:
        """The jail; a new one if a transform brought the last one down."""
        if self._jail is None or self._jail.closed:
            self._jail = Jail(self._spec.transform, self._settings, self._wants_stop)
        return self._jail

    def _close_jail(self) -> None:
        if self._jail is not None:
            self._jail.close()

    def _after(self, batch: Batch, *, counts: bool) -> Checkpoint:
        """The checkpoint behind `batch` and all that was sent before it."""
        before, generation = self._sink.reached, self._desired.generation
        return dataclasses.replace(
            before,
            positions={**before.positions, **batch.end},
            batches=before.batches + counts,
            messages=before.messages + len(batch),
            generation=generation,
            generation_batches=before.batches_in(generation) + counts,
        )

    def _properties(self, reached: Checkpoint) -> dict[str, Any]:
        """What the checkpoint node is to hold; with the last batch of a limit, also that the run has ended."""
        properties = nodes.checkpoint_properties(reached)
        if self._limit_reached(reached):
            properties |= nodes.ended_properties(self._desired.generation, Status.STOPPED, None)
        return properties

    def _limit_reached(self, checkpoint: Checkpoint) -> bool:
        limit = self._desired.limit_batches
        return limit is not None and checkpoint.batches_in(self._desired.generation) >= limit
