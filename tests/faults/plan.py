"""What a round's stream and its topics are to be like, and how the stream is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kafka import Topics


@dataclass(frozen=True)
class Plan:
    """What a round's stream is like."""

    batch_size: int = 100
    config: Mapping[str, Any] = field(default_factory=dict)
    chained: bool = False
    "Whether each message's vertex is bound to the one before it."
    riders: int = 0
    "Further streams on the topics, of one lane, which nobody stops, and which know of no poison."
    shares: bool = False
    "Whether all of these, and all lanes, merge the same vertices and relationships."
    constrained: bool = False
    "Whether these vertices have a uniqueness constraint."
    has_side: bool = False
    "Whether the last topic has a partition for faults of Kafka's logs."
    topics: int = 1
    lanes: int = 1
    "In the beginning."


@dataclass(frozen=True)
class Layout:
    """
    The topics of a round. Their partitions are numbered in one row, topic after topic; the side partition, if there is
    one, is the last.
    """

    topics: tuple[str, ...]
    per_topic: int
    "Partitions, without the side partition."
    has_side: bool = False

    @property
    def count(self) -> int:
        """The number of partitions, without the side partition."""
        return len(self.topics) * self.per_topic

    @property
    def numbers(self) -> range:
        """All partitions."""
        return range(self.count + self.has_side)

    @property
    def named(self) -> str:
        """As `TOPIC` names them."""
        return ",".join(self.topics)

    def place(self, number: int) -> tuple[str, int]:
        """The topic, and the number that Kafka knows a partition by."""
        at = min(number // self.per_topic, len(self.topics) - 1)
        return self.topics[at], number - at * self.per_topic

    def number(self, topic: str, partition: int) -> int:
        """The reverse of `place`."""
        return self.topics.index(topic) * self.per_topic + partition

    def numbered(self, found: Mapping[str, Any]) -> dict[int, int]:
        """Offsets by partition, from the form that `streams.info` has them in."""
        by_topic = {self.topics[0]: found} if len(self.topics) == 1 else found
        return {self.number(topic, int(p)): offset for topic, part in by_topic.items() for p, offset in part.items()}

    def as_map(self, offsets: Mapping[int, int]) -> dict[str, dict[str, int]]:
        """Offsets by partition in the form that SEEK takes them in."""
        found: dict[str, dict[str, int]] = {}
        for number, offset in offsets.items():
            topic, partition = self.place(number)
            found.setdefault(topic, {})[str(partition)] = offset
        return found


def lay_out(topics: Topics, partitions: int, plan: Plan) -> Layout:
    """Makes the topics of a round, which have so many partitions together, without the side partition."""
    per_topic, last = partitions // plan.topics, plan.topics - 1
    counts = [per_topic + (plan.has_side and number == last) for number in range(plan.topics)]
    return Layout(tuple(topics.create(partitions=count) for count in counts), per_topic, plan.has_side)


@dataclass(frozen=True)
class Look:
    """What `streams.info` says of a stream."""

    status: str
    reason: str | None
    positions: Mapping[int, int]
    passed: int
    "How many messages the stream is past; the side partition's do not count."
