"""
A dead letter: a message as it was, with headers of ours after its own that say where it came from and why.
"""

from __future__ import annotations

from sluice.values.record import Columns, Record, columns_of, records_of

HEADERS = tuple(
    f"sluice.{name}"
    for name in (
        *("stream", "topic", "partition", "offset", "timestamp_ms"),
        *("error", "query", "params", "transform_sha256", "time"),
    )
)
"Their names, in order. All of them are there; a value may be null."


def originals(columns: Columns) -> Columns:
    """The messages that dead letters were, for a transform that sees whole messages."""
    return columns_of(list(map(original, records_of(columns))))


def original(record: Record) -> Record:
    """
    The message that a dead letter was: with its own headers, and where and when it was in its own topic. What is no
    dead letter is itself. If it failed again in a stream of dead letters, it is the message that was there first.
    """
    while (earlier := _earlier(record)) is not None:
        record = earlier
    return record


def _earlier(record: Record) -> Record | None:
    last = record.headers[-len(HEADERS) :]
    if tuple(name for name, _ in last) != HEADERS:
        return None
    _, topic, partition, offset, timestamp, *_ = (value for _, value in last)
    if topic is None or partition is None or offset is None or timestamp is None:
        return None
    try:
        place = topic.decode(), int(partition), int(offset), int(timestamp)
    except ValueError:  # somebody else wrote such headers
        return None
    own = record.headers[: -len(HEADERS)]
    return Record(record.value, record.key, own, *place[:3], place[3] if place[3] >= 0 else None)
