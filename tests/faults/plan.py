"""What a round's stream is to be like, and how it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What a round's stream is like."""

    batch_size: int = 100
    config: Mapping[str, Any] = field(default_factory=dict)
    chained: bool = False
    "Whether each message's vertex is bound to the one before it."
    riders: int = 0
    "Further streams on the topic, which nobody stops, and which know of no poison."
    shares: bool = False
    "Whether all of these merge the same vertices and relationships."
    has_side: bool = False
    "Whether the topic has a partition for faults of Kafka's logs."


@dataclass(frozen=True)
class Look:
    """What `streams.info` says."""

    status: str
    reason: str | None
    positions: Mapping[int, int]
    passed: int
    "How many messages are behind the stream; the side partition's do not count."
