"""What the latest transactions of one stream did."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sluice.persistence.transaction import Transaction
from sluice.values.failed_message import now
from sluice.values.model import Checkpoint
from sluice.values.position import Partition, as_map

STAGES = ("poll", "transform", "write", "commit")
"""
What a transaction's time goes into: gathering its messages once the first is there, the transform, handing it to the
server, and waiting for the server.
"""


@dataclass(frozen=True)
class HistoryEntry:
    """What one transaction did, or one that was found to be in the graph after its answer was lost."""

    time: str
    "When it was committed, or found, or, as long as there is no answer, sent; in UTC, ISO 8601."
    begin: Mapping[str, Any]
    "As `as_map`: partition -> offset that it began at, None: the earliest; only partitions that it moved."
    end: Mapping[str, Any]
    "The same: partition -> offset after it."
    batches: int
    messages: int
    "Those that took effect."
    failed: int
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
        return dict(vars(self))


class Mark(NamedTuple):
    """What a checkpoint counts."""

    positions: Mapping[Partition, int]
    batches: int
    messages: int
    failed: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Mark:
        return cls(checkpoint.positions, checkpoint.batches, checkpoint.messages, checkpoint.failed)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.batches, self.messages, self.failed


class History:
    """The latest transactions that were committed, in order. Threads: one thread at a time."""

    def __init__(self, size: int) -> None:
        """`size`: how many transactions are remembered."""
        self._entries: deque[HistoryEntry] = deque(maxlen=size)
        self._marks: deque[Mark] = deque(maxlen=size + 1)
        "What the checkpoint counted before the first entry, as far as that is known, and after each."

    @property
    def mark(self) -> Mark | None:
        """What the checkpoint counts after the latest entry; None: not known."""
        return self._marks[-1] if self._marks else None

    def start(self, mark: Mark) -> None:
        """The next entry begins here."""
        if self._marks:
            self._marks.pop()
        self._marks.append(mark)

    def append(self, transaction: Transaction, retries: int, transform_sha256: str) -> HistoryEntry:
        """It was committed, after this many retries."""
        reached = Mark.of(transaction.after)
        entry = _entry(transaction, self.mark or reached, retries, transform_sha256, now())
        self._entries.append(entry)
        self._marks.append(reached)
        return entry

    def up_to(
        self, checkpoint: Checkpoint | None, in_flight: Sequence[Transaction] = (), transform_sha256: str = ""
    ) -> list[HistoryEntry]:
        """
        The entries that a checkpoint counts, oldest first.

        Args:
            checkpoint: as the reader sees it. None, or one that no entry leads to, such as one that was edited by hand:
                all.
            in_flight: transactions that may be committed though the worker has not heard of it yet: a reader whose
                checkpoint counts one of these finds it, too.
        """
        entries = list(self._entries)
        if checkpoint is None:
            return entries
        wanted = Mark.of(checkpoint)
        marks = list(self._marks)
        for back in range(min(len(marks), len(entries) + 1)):
            if marks[-1 - back] == wanted:
                return entries[: len(entries) - back]
        before, more = self.mark, []
        for transaction in in_flight:
            reached = Mark.of(transaction.after)
            if before is not None and reached != before:
                at = now(in_seconds=transaction.sent_at - time.monotonic())
                more.append(_entry(transaction, before, 0, transform_sha256, at))
            if reached == wanted:
                return [*entries, *more]
            before = reached
        return entries

    def handed_over(self) -> dict[str, Any]:
        """What a successor is to know, in plain types: its classes are others than ours."""
        return {"entries": [entry.as_row() for entry in self._entries], "mark": self.mark and self.mark._asdict()}

    def take_over(self, given: Mapping[str, Any]) -> None:
        """Goes on from what `handed_over` gave; what another version of this package knew otherwise is left out."""
        known = set(HistoryEntry.__dataclass_fields__)
        for fields in given.get("entries", ()):
            if set(fields) == known:
                ends = {name: {str(key): value for key, value in fields[name].items()} for name in ("begin", "end")}
                self._entries.append(HistoryEntry(**{**fields, **ends}))
        mark = given.get("mark")
        if mark and set(mark) == set(Mark._fields):
            self.start(Mark(**mark))


def _entry(transaction: Transaction, before: Mark, retries: int, transform_sha256: str, at: str) -> HistoryEntry:
    reached = Mark.of(transaction.after)
    moved = [partition for partition, end in reached.positions.items() if before.positions.get(partition) != end]
    batches, messages, failed = (new - old for new, old in zip(reached.counts, before.counts, strict=True))
    return HistoryEntry(
        time=at,
        begin=as_map({partition: before.positions.get(partition) for partition in moved}, transaction.after.topic),
        end=as_map({partition: reached.positions[partition] for partition in moved}, transaction.after.topic),
        batches=batches,
        messages=messages,
        failed=failed,
        queries=transaction.given,
        sent=transaction.sent,
        ms={stage: round(spent, 3) for stage, spent in times_ms(transaction).items()},
        retries=retries,
        transform_sha256=transform_sha256,
    )


def times_ms(transaction: Transaction) -> dict[str, float]:
    """STAGES -> milliseconds."""
    polled, transformed = transaction.group.polled, transaction.transform_seconds
    times = (polled, transformed, transaction.write_seconds, transaction.commit_seconds)
    return dict(zip(STAGES, (1000 * seconds for seconds in times), strict=True))
