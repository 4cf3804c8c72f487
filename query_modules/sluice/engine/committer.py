"""
Takes groups of batches to the graph: transform, one transaction, and what is to happen if that cannot be.

Errors of data end here: the message that causes one is found, and the stream's policy says whether to stop at it or to
continue after it (`isolation`). So do conflicts with other transactions: the group is sent again, in smaller ones. All
other errors pass through, with the graph holding the checkpoint that tells how far it came.
"""

from __future__ import annotations

import time
from dataclasses import replace

from sluice.engine.gaps import CheckpointMove
from sluice.engine.group_size import GroupSize
from sluice.engine.isolation import Isolation
from sluice.engine.progress import Progress
from sluice.engine.refusal import Refused, divided
from sluice.engine.run import Run
from sluice.engine.writer import Writer
from sluice.errors import QueryRefused, TransientFailure
from sluice.persistence.transaction import Transaction
from sluice.scripting.transformer import Transformer
from sluice.values.batch import Group
from sluice.values.model import Checkpoint

SHARING = 0.05
"Seconds between two looks at what other lanes have left of a limit of batches."


class Committer:
    """
    One stream's batches, in order, each applied once.

    What is submitted is pending until it is sent, then in flight until it is settled. Several transactions may be in
    flight; after a refusal, those after it are pending again.

    Threads: for the thread that owns the writer.
    """

    def __init__(self, run: Run, writer: Writer, transform: Transformer, isolation: Isolation) -> None:
        """`isolation`: what finds the message to blame."""
        self._run = run
        self._writer = writer
        self._sink = writer.sink
        self._transform = transform
        self._isolation = isolation
        self._progress = Progress(run.desired, run.settings.error_history)
        self._pace = GroupSize(run.spec.batch_size)
        self._limit, self._lane = run.batch_limit, run.spec.lane.number
        self._unclaimed: Group | None = None
        "What was submitted, and goes beyond what this lane could claim of the run's limit."
        self._pending: list[Group | Transaction | Refused[Group]] = []  # the next last
        self._settled_at = 0.0

    @property
    def pending(self) -> bool:
        """Whether something is submitted and not sent."""
        return bool(self._pending)

    @property
    def in_flight(self) -> int:
        """Transactions sent and not settled."""
        return len(self._sink.in_flight.all)

    @property
    def batch_limit(self) -> int:
        """How many batches the next group may have."""
        left = self._progress.batches_left(self._sink.reached)
        if self._limit is not None:
            left = self._limit.left(self._lane)
        return self._pace.batches if left is None else max(1, min(self._pace.batches, left))

    @property
    def limited(self) -> bool:
        """Whether the run ends after some number of batches."""
        return self._limit is not None or self._progress.batches_left(self.held) is not None

    @property
    def held(self) -> Checkpoint:
        """The checkpoint as committed, as far as is known."""
        return self._sink.held

    @property
    def finished(self) -> bool:
        """Whether the limit of batches is reached once everything that was sent is committed."""
        if self._limit is not None:
            return self._limit.is_reached(self._lane, self.held.batches_in(self._run.desired.generation))
        return self._progress.batches_left(self._sink.reached) == 0

    def submit(self, group: Group) -> None:
        """Takes a group, to be applied after those before it. Does nothing yet: `advance` does, and `drain`."""
        if self._limit is None:
            self._pending.insert(0, group)
        else:
            self._unclaimed = group
            self.may_read()

    def may_read(self) -> bool:
        """
        Whether there can be more batches. Not while other lanes have claimed what is left of the run's limit: they may
        not need it after all. What was submitted and is beyond that waits. Takes a moment to say no where there is
        nothing else to do.
        """
        if self._limit is None:
            return True
        if self._unclaimed is not None:
            group, count = self._unclaimed, self._limit.claim(self._lane, len(self._unclaimed))
            self._unclaimed = group.part(count, len(group)) if count < len(group) else None
            if count:
                self._pending.insert(0, group.part(0, count))
        may_read = self._unclaimed is None and self._limit.left(self._lane) > 0
        if not may_read and not self._pending and not self.in_flight:
            self._run.cancel.wait(SHARING)
        return may_read

    def advance(self) -> None:
        """
        Continues with what is pending: transforms a group, or as much of it as a slow transform does at a time, and
        sends it, unless something else has to be settled first, or another stream's turn waited for.

        Raises:
            MessageRefused: a message cannot be applied and the stream stops at it; all before it are applied.
            QueryRefused: for now; nothing that was in flight took effect from that group on.
            BrokerError, GraphError: the checkpoint tells how far it came.
            Stopped: the run is to end; the same.
        """
        self._run.check()
        item = self._pending[-1]
        if isinstance(item, Group):
            self._pending.pop()
            self._transform_next(item)
            item = self._pending[-1]
        if isinstance(item, Group):
            return  # all that is known is that a batch after these fails
        if isinstance(item, Refused):
            if self.in_flight:
                self.settle()  # what comes before it is not to blame
            else:
                self._pending.pop()
                self._isolation.apply(item)
        elif self._is_due or not self._writer.has_turn(item.queries.keys):
            if self.in_flight:
                self.settle()  # no stream waits while a transaction of its own is open
        else:
            self._pending.pop()
            self._send(item)

    def settle(self) -> None:
        """Waits until the oldest transaction in flight is committed, or refused and so pending. Raises as `advance`."""
        sent = self._sink.in_flight.all
        try:
            transaction = self._writer.settle()
        except QueryRefused as error:
            self._resubmit(sent, error)
            return
        now = time.monotonic()
        if transaction.group:
            self._pace.took(len(transaction.group), now - max(transaction.sent_at, self._settled_at))
        self._settled_at = now

    def settle_ready(self) -> None:
        """Settles what has to be settled before more is sent, and what can be at little cost. Raises as `advance`."""
        while self._is_due:
            self.settle()

    def drain(self) -> None:
        """Until nothing is in flight or, unless the run is to end, pending. Raises as `advance`."""
        while self.in_flight or (self._pending and not self._run.cancel.is_set()):
            if self.in_flight:
                self.settle()
            else:
                self.advance()

    def move(self, move: CheckpointMove) -> None:
        """Changes the checkpoint by itself, with nothing in flight. Raises as `Writer.commit`."""
        before, after = self.held, self._progress.with_entries(move.after, move.entries)
        self._writer.commit(Transaction(before, after, self._progress.properties(before, after)))

    @property
    def _is_due(self) -> bool:
        """Whether one is to be settled now; at little cost only if the server has another to continue with."""
        return self._sink.full or (self.in_flight > 1 and self._sink.answered)

    def _transform_next(self, group: Group) -> None:
        began = time.monotonic()
        queries = self._transform.fold(group)
        now, later = divided(group, queries)
        self._pending += reversed(later)
        if now:
            # Where it begins is known once it is sent.
            transaction = Transaction(self.held, self.held, queries=queries, group=now)
            self._pending.append(replace(transaction, transform_seconds=time.monotonic() - began))

    def _send(self, transaction: Transaction) -> None:
        before = self._sink.reached
        after = self._progress.after(before, transaction.group)
        properties = self._progress.properties(before, after)
        self._writer.send(replace(transaction, before=before, after=after, properties=properties))

    def _resubmit(self, sent: tuple[Transaction, ...], error: QueryRefused) -> None:
        """The oldest of those in flight was refused, and none of them took effect: they are to be sent again."""
        oldest, *later = sent
        policy = self._run.retry_policy
        blamed = False
        if len(oldest.group) == 1:  # a larger one gets smaller first
            error = self._writer.memory_fault(error) or error
        if not (error.violates_uniqueness and policy.violated()):
            blamed = policy.of_data(error)
            if not blamed and not isinstance(error, TransientFailure):
                raise error
        if not blamed:
            self._pace.refused(len(oldest.group))
            self._writer.back_off(error)
        limit = self._pace.batches
        for transaction in reversed(later if blamed else sent):
            group = transaction.group
            if len(group) <= limit:
                self._pending.append(transaction)
            else:
                parts = [group.part(start, start + limit) for start in range(0, len(group), limit)]
                self._pending += reversed(parts)
        if blamed:
            self._pending.append(Refused(oldest.group, error, oldest.queries))
