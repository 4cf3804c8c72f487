"""Sends a stream's transactions over one connection, and finds out what became of them."""

from __future__ import annotations

from sluice.engine.memory_trial import TRIES, MemoryTrial, lacks_memory
from sluice.engine.run import Run
from sluice.errors import FenceLost, QueryRefused, Stopped, TransientFailure
from sluice.persistence.loopback import Loopback
from sluice.persistence.sink import Sink
from sluice.persistence.transaction import Transaction
from sluice.values.merge_keys import MergeKeys

VIOLATION_TRIES = 3
"Tries of what cannot be divided any more and violates a uniqueness constraint, before it is to blame."

TURN_PATIENCE = 0.1
"Seconds of waiting for a turn after which a stream looks after everything else."


class Writer:
    """
    One stream's transactions, in order, each in its turn among other streams that merge the same.

    Threads: for the thread that owns the connection.
    """

    def __init__(self, run: Run, loopback: Loopback, sink: Sink) -> None:
        """`loopback`: over the sink's connection."""
        self.loopback = loopback
        "For statements beside the transactions, with none in flight."
        self.sink = sink
        "To be asked by others, and sent to by this one alone."
        self._run = run
        self._unlabelled = False
        "Whether the checkpoint is known to be without its label."

    def has_turn(self, keys: MergeKeys) -> bool:
        """
        Whether a transaction that merges these may be sent now; then it has to be. A stream that has nothing in flight
        waits for it, up to `TURN_PATIENCE`; it never does while a transaction of its own is open. Raises
        ConnectionLost, and has no turn: it would be of no use.
        """
        if self.sink.in_flight.all:
            return self._run.turns.enter(keys)
        self.loopback.connection.check_open()
        return self._run.turns.enter(keys, TURN_PATIENCE)

    def send(self, transaction: Transaction) -> None:
        """Sends a transaction that has its turn, after those in flight. Raises as `Sink.send`."""
        self._run.status.sending()
        self.sink.send(transaction)

    def settle(self) -> Transaction:
        """
        The oldest transaction in flight, once it is committed. Raises as `Sink.settle`. Other streams get their turn as
        soon as it is known that a transaction has ended.
        """
        turns, status = self._run.turns, self._run.status
        try:
            transaction = self.sink.settle()
        except FenceLost:
            turns.refused()
            raise
        except QueryRefused as error:
            turns.refused()
            status.answered()
            if error.violates_uniqueness:
                self.unlabel()
            raise
        turns.committed()
        self._run.retry_policy.committed()
        status.committed(transaction)
        self.sink.release()
        return transaction

    def commit(self, transaction: Transaction, *, divisible: bool = False) -> None:
        """
        Sends a transaction and waits for it, again and again as long as what refuses it may pass. Nothing may be in
        flight.

        Args:
            divisible: whether a part of it can be tried instead, so that one try shows enough.

        Raises:
            QueryRefused: it is refused, and nothing of it took effect.
            GraphError: the checkpoint tells whether it took effect.
            Stopped: the run is to end; it did not take effect.
        """
        policy, trial = self._run.retry_policy, MemoryTrial(self.loopback.server)
        violations = 0
        while True:
            while not self.has_turn(transaction.queries.keys):
                self._run.check()
            self.send(trial.next_try(transaction))
            try:
                self.settle()
            except QueryRefused as error:
                if trial.is_over(error):
                    continue
                if lacks_memory(error) and (fault := trial.fault(error, tries=1 if divisible else TRIES)):
                    raise fault from error
                violations += error.violates_uniqueness
                if 0 < violations < VIOLATION_TRIES and not divisible:
                    continue  # what it met is committed, so a MERGE finds it at once
                if not isinstance(error, TransientFailure) or policy.of_data(error):
                    raise
                self.back_off(error)
            else:
                break
        if violations:
            policy.raced()

    def back_off(self, error: QueryRefused) -> None:
        """Waits before what was refused for a reason that may pass is sent again. Raises Stopped."""
        policy = self._run.retry_policy
        if isinstance(error, TransientFailure):
            policy.refused(error)
        seconds = policy.failed()
        self._run.status.failed(str(error), seconds)
        if self._run.cancel.wait(seconds):
            raise Stopped

    def memory_fault(self, error: QueryRefused) -> QueryRefused | None:
        """What is wrong with a transaction for which the server lacks memory though much is left; None: nothing."""
        return MemoryTrial(self.loopback.server).fault(error, tries=1) if lacks_memory(error) else None

    def unlabel(self) -> None:
        """Takes the checkpoint's label off if the graph has a uniqueness constraint. Nothing may be in flight."""
        if not self._unlabelled:
            self._unlabelled = self.loopback.unlabel(self._run.desired.checkpoint_id)
