"""
What Kafka says of a topic.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Topic(NamedTuple):
    """A topic as it is now."""

    id: str
    "Kafka's spelling of it, another when the topic is made anew. Empty: not known, or the broker has none to give."
    partitions: frozenset[int]


def described(answer: Any) -> Topic:
    """What an admin client's answer says."""
    return Topic(_text(answer.topic_id), frozenset(partition.id for partition in answer.partitions))


def _text(topic_id: Any) -> str:
    # Old brokers give zero for none.
    known = topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits()
    return str(topic_id) if known else ""
