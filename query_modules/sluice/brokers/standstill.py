"""
Why messages that a partition has do not come: a transaction before them is open, or the client no longer hears. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sluice.values.failed_message import now as utc_now
from sluice.values.position import Partition

NOTICE = 5.0
"Seconds without progress after which a partition is looked into; most transactions are shorter."


class _Stand(NamedTuple):
    position: int
    since: float
    "As the owner's clock counts."
    date: str
    "The same, for people."


class Standstill:
    """
    The partitions that a stream does not get on in, though Kafka has more of them.

    Threads: for the thread that made it.
    """

    def __init__(self, name: str) -> None:
        """`name`: the stream's, for texts."""
        self._name = name
        self._stands: dict[Partition, _Stand] = {}
        self._highs: Mapping[Partition, int] = {}
        self._stable: Mapping[Partition, int] = {}

    def follow(self, positions: Mapping[Partition, int], highs: Mapping[Partition, int], now: float) -> None:
        """
        Args:
            positions: partition -> offset that the stream reads next.
            highs: partition -> offset that its next message gets.
        """
        self._highs = highs
        before, self._stands = self._stands, {}
        for partition, position in positions.items():
            if highs.get(partition, 0) > position:
                stand = before.get(partition)
                same = stand is not None and stand.position == position
                self._stands[partition] = stand if stand and same else _Stand(position, now, utc_now())
        self._stable = {p: offset for p, offset in self._stable.items() if self._stands.get(p) is before.get(p)}

    def asks(self, now: float) -> bool:
        """Whether the last stable offsets are to be asked for."""
        return any(now - stand.since >= NOTICE for stand in self._stands.values())

    def hear(self, stable: Mapping[Partition, int], now: float) -> None:
        """`stable`: partition -> last stable offset: what is after it may belong to an open transaction."""
        # A partition that has moved on since may have been asked about before.
        asked = [partition for partition, stand in self._stands.items() if now - stand.since >= NOTICE]
        self._stable = {partition: stable[partition] for partition in asked if partition in stable}

    @property
    def reason(self) -> str | None:
        """What keeps the stream from reading on, where that is an open transaction."""
        for partition, stand in sorted(self._stands.items()):
            stable = self._stable.get(partition)
            if stable is not None and stable <= stand.position:
                count = self._highs[partition] - stable
                return (
                    f"Kafka stream {self._name}, {partition}: {count} messages wait after an open transaction, since "
                    f"{stand.date}, last stable offset {stable}: its producer has to end it, or Kafka does after the "
                    f"producer's transaction.timeout.ms"
                )
        return None

    def unexplained(self, now: float) -> float:
        """For how many seconds messages that could be read have not come, of the partition where that is longest."""
        readable = [
            now - stand.since
            for partition, stand in self._stands.items()
            if self._stable.get(partition, -1) > stand.position
        ]
        return max(readable, default=0.0)
