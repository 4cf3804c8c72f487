"""
What a stream's workers do in this process, for whoever asks: how it stands now, counters, times, the latest batches.

None of it is in the graph, and none of it is needed there: the checkpoint holds what has to be right after a restart.
What is here begins anew with the server's process; a reload of the modules hands it over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sluice.engine.history import STAGES, History, HistoryEntry, Mark, times_ms
from sluice.engine.turns import Waits
from sluice.persistence.transaction import InFlight, Transaction
from sluice.values.failed_message import now
from sluice.values.model import Checkpoint, Folding
from sluice.values.output_lines import OutputLines
from sluice.values.position import Partition

WINDOW = 60.0
"Seconds that rates are averages over."

Clock = Callable[[], float]


@dataclass(frozen=True)
class WorkerState:
    """How a stream's worker stands. Never changes; a new one replaces it."""

    assigned: bool = False
    "Whether it reads: it knows its partitions and asks Kafka for their messages."
    trouble: str | None = None
    "What it is trying to get over, in one line; None: nothing."
    since: str | None = None
    "When that began, in UTC, ISO 8601."
    next_try: str | None = None
    "When it tries again, in UTC, ISO 8601; None: it is trying now, or librdkafka does by itself."
    watermarks: Mapping[Partition, tuple[int, int]] | None = None
    "partition -> first offset, and the offset that its next message gets; None: nobody has told yet."
    only_retries: bool = False
    "Whether the stream does not run, and the worker is there for parked messages alone."


class Monitor:
    """
    Counts and remembers for one stream; outlives its workers.

    Threads: one stream's worker writes, one worker at a time; any may read.
    """

    def __init__(self, history: int, clock: Clock = time.monotonic) -> None:
        """`history`: how many transactions are remembered, the latest."""
        self.state: WorkerState | None = None
        "None: no worker is there. Replaced by the worker and the supervisor, never changed."
        self.folding = Folding()
        "What became of the queries of the latest worker. Replaced by the worker."
        self.lines = OutputLines()
        "What its transform has written."
        self.waits = Waits()
        "How the workers have waited for other streams that merge the same."
        self._clock = clock
        self._lock = threading.Lock()  # guards all below
        self._history = History(history)
        self._in_flight = InFlight()
        self._transform_sha256 = ""
        self._seconds: deque[tuple[int, int, int]] = deque()  # (second, batches, messages), of the last WINDOW
        self._ms = dict.fromkeys(STAGES, 0.0)
        self._retries = 0
        self._retries_told = 0
        self._error: tuple[str, str] | None = None
        self._began: float | None = None

    def begin(self, *, only_retries: bool = False) -> None:
        """A worker is there."""
        self.state = WorkerState(only_retries=only_retries)
        self.folding = Folding()
        self.waits.begin()
        with self._lock:
            self._began = self._clock()
            self._seconds.clear()

    def end(self) -> None:
        """The worker is gone."""
        self.state = None

    def cannot_retry(self, why: str) -> None:
        """There can be no worker for the parked messages of a stream that does not run."""
        if self.state is None or self.state.trouble != why:
            self.state = WorkerState(only_retries=True, trouble=why, since=now())
            self.failed(why)

    def changed(self, **changes: Any) -> None:
        """The worker stands otherwise in these fields of `WorkerState`."""
        if self.state is not None:
            self.state = replace(self.state, **changes)

    def begun(self, held: Checkpoint, in_flight: InFlight, transform_sha256: str) -> None:
        """
        The worker has read its checkpoint. What that counts and the history does not was committed by a transaction
        whose answer was lost.

        Args:
            in_flight: where the transactions will be that the worker sends.
        """
        with self._lock:
            self._in_flight, self._transform_sha256 = in_flight, transform_sha256
            mark = self._history.mark
            if mark is not None and mark.counts != Mark.of(held).counts:
                self._append(Transaction(held, held))
            self._history.start(Mark.of(held))

    def committed(self, transaction: Transaction) -> None:
        """
        A transaction was committed, and is still among those in flight: so whoever sees what it wrote finds it, here or
        there. One that counts nothing and moves nothing is none of a stream's batches.
        """
        with self._lock:
            if self._history.mark != Mark.of(transaction.after):
                self._append(transaction)

    def _append(self, transaction: Transaction) -> None:
        entry = self._history.append(transaction, self._retries - self._retries_told, self._transform_sha256)
        self._retries_told = self._retries
        for stage, spent in times_ms(transaction).items():
            self._ms[stage] += spent
        batches, messages = entry.batches, entry.messages
        second = int(self._clock())
        if self._seconds and self._seconds[-1][0] == second:
            _, earlier_batches, earlier_messages = self._seconds.pop()
            batches, messages = batches + earlier_batches, messages + earlier_messages
        self._seconds.append((second, batches, messages))
        self._forget_before(second - int(WINDOW))

    def retrying(self) -> None:
        """Something is tried again."""
        with self._lock:
            self._retries += 1

    def failed(self, error: str) -> None:
        """Something went wrong."""
        with self._lock:
            self._error = (now(), error)

    def entries(self, limit: int, checkpoint: Checkpoint | None = None) -> list[HistoryEntry]:
        """
        What the latest transactions did, the newest first.

        Args:
            checkpoint: as the reader sees it, so that they add up to what it counts; None: all that is known.
        """
        with self._lock:
            return self._up_to(checkpoint)[::-1][:limit]

    def counts(self) -> dict[str, Any]:
        """Rates, retries and the latest error, as columns of `streams.info`."""
        with self._lock:
            return self._counts()

    def figures(self, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
        """The same, and what else is known of the work, as columns of `streams.info`; `checkpoint` as for `entries`."""
        with self._lock:
            entries = self._up_to(checkpoint)
            return {
                **self._counts(),
                "times_ms": {stage: round(spent, 3) for stage, spent in self._ms.items()},
                "last_batch": entries[-1].as_row() if entries else None,
            }

    def _counts(self) -> dict[str, Any]:
        clock = self._clock()
        self._forget_before(int(clock - WINDOW))
        age = WINDOW if self._began is None else min(max(clock - self._began, 1.0), WINDOW)
        batches = sum(batches for _, batches, _ in self._seconds)
        messages = sum(messages for _, _, messages in self._seconds)
        return {
            "rates": {"messages_per_s": round(messages / age, 3), "batches_per_s": round(batches / age, 3)},
            "retries": self._retries,
            "last_error": None if self._error is None else {"time": self._error[0], "error": self._error[1]},
        }

    def handed_over(self) -> dict[str, Any]:
        """What a successor is to know, in plain types: its classes are others than ours."""
        with self._lock:
            return {
                **self._history.handed_over(),
                "ms": dict(self._ms),
                "retries": self._retries,
                "error": self._error,
                "waits": self.waits.handed_over(),
                "lines": self.lines.latest(),
            }

    def take_over(self, given: Mapping[str, Any]) -> None:
        """Goes on from what `handed_over` gave."""
        with self._lock:
            self._history.take_over(given)
            self._ms.update({stage: spent for stage, spent in given.get("ms", {}).items() if stage in self._ms})
            self._retries = self._retries_told = given.get("retries", 0)
            self._error = given.get("error")
            self.waits.take_over(given.get("waits", {}))
            self.lines.add(given.get("lines", ()))

    def _up_to(self, checkpoint: Checkpoint | None) -> list[HistoryEntry]:
        return self._history.up_to(checkpoint, self._in_flight.all, self._transform_sha256)

    def _forget_before(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] < second:
            self._seconds.popleft()
