"""Which partitions of a stream are read by which of its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from sluice.values.position import Partition

MAX_LANES = 64
"Each is a thread, a consumer, a connection and a transform process."


class Lane(NamedTuple):
    """One of the workers that a stream's partitions are dealt to."""

    number: int = 0
    "From 0 on."
    of: int = 1
    "How many the stream has."

    def __str__(self) -> str:
        return f"lane {self.number} of {self.of}"


WHOLE = Lane()
"The only lane of a stream."


def lane_of(partition: Partition, count: int, chosen: Sequence[int], topic: str) -> int:
    """
    The number of the lane that reads a partition. It stays the same when topics, or partitions of a topic, are added.

    Args:
        count: how many lanes there are.
        chosen: the numbers of the partitions that the stream reads, ascending; empty: all.
        topic: the only one that the stream reads. Of several topics, each begins with another lane.
    """
    name, number = partition
    begin = 0 if name == topic else crc32(name.encode())
    return (begin + (chosen.index(number) if number in chosen else number)) % count


def key_of(uid: str, lane: object) -> str:
    """
    What stands for a lane where something is kept by lane: for the first, the stream's uid.

    Args:
        lane: its number; None: the only one.
    """
    return f"{uid}/{lane}" if lane else uid
