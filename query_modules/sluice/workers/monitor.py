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
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from sluice.model import Checkpoint, Folding
from sluice.set_aside import now
from sluice.workers.listener import Transaction

WINDOW = 60.0
"Seconds that rates are averages over."

STAGES = ("poll", "transform", "write", "commit")
"""
What a transaction's time goes into: gathering its messages once the first is there, the transform, handing it to the
server, and waiting for the server.
"""

Clock = Callable[[], float]


@dataclass(frozen=True)
class WorkerState:
    """How a stream's worker stands. Never changes; a new one replaces it."""

    positions: Mapping[int, int] = field(default_factory=dict)
    "partition -> offset of the next message to read, as far as this worker has brought it."
    assigned: bool = False
    "Whether it reads: it knows its partitions and asks Kafka for their messages."
    trouble: str | None = None
    "What it is trying to get over, in one line; None: nothing."
    since: str | None = None
    "When that began, in UTC, ISO 8601."
    next_try: str | None = None
    "When it tries again, in UTC, ISO 8601; None: it is trying now, or librdkafka does by itself."
    watermarks: Mapping[int, tuple[int, int]] | None = None
    "partition -> first offset, and the offset that its next message gets; None: nobody has told yet."


@dataclass(frozen=True)
class Entry:
    """What one transaction did, or one that was found to be in the graph after its answer was lost."""

    time: str
    "When it was committed, or found, in UTC, ISO 8601."
    begin: Mapping[int, int | None]
    "partition -> offset that it began at, None: the earliest; only partitions that it moved."
    end: Mapping[int, int]
    "partition -> offset behind it."
    batches: int
    messages: int
    "Those that took effect."
    set_aside: int
    queries: int
    "As the transform gave them."
    sent: int
    "As they were sent, folded."
    ms: Mapping[str, float]
    "STAGES -> milliseconds. Transactions overlap, so that these may add up to more than the time that passed."
    retries: int
    "What went wrong before it could be committed."
    transform_sha256: str

    def as_row(self) -> dict[str, Any]:
        """A record of `streams.batches`."""
        return {**asdict(self), "begin": by_name(self.begin), "end": by_name(self.end)}


class _Mark(NamedTuple):
    """What a checkpoint counts."""

    positions: Mapping[int, int]
    batches: int
    messages: int
    set_aside: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> _Mark:
        return cls(checkpoint.positions, checkpoint.batches, checkpoint.messages, checkpoint.set_aside)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.batches, self.messages, self.set_aside


class Monitor:
    """
    Counts and remembers for one stream; outlives its workers.

    Threads: one stream's worker writes, one worker at a time; any may read.
    """

    def __init__(self, history: int, clock: Clock = time.monotonic) -> None:
        """
        Args:
            history: how many transactions are remembered, the latest.
        """
        self.state: WorkerState | None = None
        "None: no worker is there. Replaced by the worker and the supervisor, never changed."
        self.folding = Folding()
        "What became of the queries of the latest worker. Replaced by the worker."
        self._clock = clock
        self._lock = threading.Lock()  # guards all below
        self._entries: deque[Entry] = deque(maxlen=history)
        self._seconds: deque[tuple[int, int, int]] = deque()  # (second, batches, messages), of the last WINDOW
        self._ms = dict.fromkeys(STAGES, 0.0)
        self._retries = 0
        self._retries_told = 0
        self._error: tuple[str, str] | None = None
        self._began: float | None = None
        self._mark: _Mark | None = None

    def begin(self) -> None:
        """A worker is there."""
        self.state = WorkerState()
        self.folding = Folding()
        with self._lock:
            self._began = self._clock()
            self._seconds.clear()

    def end(self) -> None:
        """The worker is gone."""
        self.state = None

    def changed(self, **changes: Any) -> None:
        """The worker stands otherwise in these fields of `WorkerState`."""
        if self.state is not None:
            self.state = replace(self.state, **changes)

    def begun(self, held: Checkpoint, transform_sha256: str) -> None:
        """
        The worker has read its checkpoint. What that counts and nobody has told was committed by a transaction whose
        answer was lost.
        """
        with self._lock:
            if self._mark is not None and self._mark.counts != _Mark.of(held).counts:
                self._append(Transaction(held), transform_sha256)
            self._mark = _Mark.of(held)

    def committed(self, transaction: Transaction, transform_sha256: str) -> None:
        """A transaction was committed; one that counts nothing and moves nothing is none of a stream's batches."""
        with self._lock:
            if self._mark != _Mark.of(transaction.reached):
                self._append(transaction, transform_sha256)

    def _append(self, transaction: Transaction, transform_sha256: str) -> None:
        reached = _Mark.of(transaction.reached)
        before = self._mark or reached
        moved = [partition for partition, end in reached.positions.items() if before.positions.get(partition) != end]
        batches, messages, set_aside = (new - old for new, old in zip(reached.counts, before.counts, strict=True))
        ms = dict(zip(STAGES, (1000 * seconds for seconds in _times(transaction)), strict=True))
        entry = Entry(
            time=now(),
            begin={partition: before.positions.get(partition) for partition in moved},
            end={partition: reached.positions[partition] for partition in moved},
            batches=batches,
            messages=messages,
            set_aside=set_aside,
            queries=transaction.given,
            sent=transaction.sent,
            ms={stage: round(spent, 3) for stage, spent in ms.items()},
            retries=self._retries - self._retries_told,
            transform_sha256=transform_sha256,
        )
        self._entries.append(entry)
        self._mark, self._retries_told = reached, self._retries
        for stage, spent in ms.items():
            self._ms[stage] += spent
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

    def entries(self, limit: int) -> list[Entry]:
        """What the latest transactions did, the newest first."""
        with self._lock:
            return list(reversed(self._entries))[:limit]

    def figures(self) -> dict[str, Any]:
        """Counters and rates, as columns of `streams.info`."""
        with self._lock:
            clock = self._clock()
            self._forget_before(int(clock - WINDOW))
            age = WINDOW if self._began is None else min(max(clock - self._began, 1.0), WINDOW)
            batches = sum(batches for _, batches, _ in self._seconds)
            messages = sum(messages for _, _, messages in self._seconds)
            last = self._entries[-1].as_row() if self._entries else None
            return {
                "rates": {
                    "messages_per_s": round(messages / age, 3),
                    "batches_per_s": round(batches / age, 3),
                },
                "times_ms": {stage: round(spent, 3) for stage, spent in self._ms.items()},
                "retries": self._retries,
                "last_batch": last,
                "last_error": None if self._error is None else {"time": self._error[0], "error": self._error[1]},
            }

    def handed_over(self) -> dict[str, Any]:
        """What a successor is to know, in plain types: its classes are others than ours."""
        with self._lock:
            return {
                "entries": [asdict(entry) for entry in self._entries],
                "mark": self._mark and self._mark._asdict(),
                "ms": dict(self._ms),
                "retries": self._retries,
                "error": self._error,
            }

    def take_over(self, given: Mapping[str, Any]) -> None:
        """Goes on from what `handed_over` gave; what another version of this package knew otherwise is left out."""
        known = set(Entry.__dataclass_fields__)
        with self._lock:
            for fields in given.get("entries", ()):
                if set(fields) == known:
                    self._entries.append(Entry(**fields))
            mark = given.get("mark")
            if mark and set(mark) == set(_Mark._fields):
                self._mark = _Mark(**mark)
            self._ms.update({stage: spent for stage, spent in given.get("ms", {}).items() if stage in self._ms})
            self._retries = self._retries_told = given.get("retries", 0)
            self._error = given.get("error")

    def _forget_before(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] < second:
            self._seconds.popleft()


def by_name(numbers: Mapping[int, Any]) -> dict[str, Any]:
    """Partitions as the keys that a result can have: texts, in the order of the numbers."""
    return {str(partition): numbers[partition] for partition in sorted(numbers)}


def _times(transaction: Transaction) -> tuple[float, ...]:
    """Seconds, in the order of STAGES."""
    return transaction.polled, transaction.transformed, transaction.written, transaction.committed
