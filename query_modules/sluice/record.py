"""
A message of Kafka as plain values: what travels to a transform that wants more of a message than its value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import confluent_kafka

TIMESTAMP_NOT_AVAILABLE = 0
"confluent_kafka's word for a message without a timestamp."


class Record(NamedTuple):
    """One message."""

    value: bytes | None
    "None for a tombstone."
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    topic: str
    partition: int
    offset: int
    timestamp: int | None
    "Milliseconds since the epoch; None if the message has none."


def record_of(message: confluent_kafka.Message) -> Record:
    """The message's values."""
    kind, timestamp = message.timestamp()
    return Record(
        message.value(),
        message.key(),
        message.headers() or [],
        message.topic(),
        message.partition(),
        message.offset(),
        None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
    )
