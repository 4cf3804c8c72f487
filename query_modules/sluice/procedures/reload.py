"""
The verb that fetches a stream's script again. A new one is tried on messages that the stream has read, before it
replaces the old one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sluice.brokers.consumer import Consumer
from sluice.brokers.topic_offsets import TopicOffsets
from sluice.errors import SettingError, TransformError
from sluice.host.settings import Settings
from sluice.procedures.streams import Row, Streams
from sluice.scripting import admission
from sluice.scripting.client import until
from sluice.scripting.pinning import pin
from sluice.scripting.transformer import Transformer
from sluice.values.batch import Batch, Group, partition_of
from sluice.values.configuration import Isolate
from sluice.values.model import StreamSpec, Transform
from sluice.values.position import Partition, Position

if TYPE_CHECKING:
    import confluent_kafka

MAX_TRIED = 10_000
"Maximum number of messages that a new script may be tried on: they are held in memory."

READ_AT_ONCE = 1000
"Number of messages requested at a time."


def reload_transform(streams: Streams, name: str, trial_messages: int, check_abort: Callable[[], None]) -> list[Row]:
    """
    Fetches a stream's script again and, if it has changed, replaces the old one with it: `old_sha256, new_sha256,
    tried`.

    Before that it is tried on the last messages that the stream has read, if the old one may run. A running stream
    continues with it. An unchanged script is signed again, which is what an unsigned one needs.

    Args:
        trial_messages: how many; 0: none, and Kafka is not queried.
        check_abort: raises if the caller's query is to end.

    Raises:
        StreamNotFound, SettingError; ScriptError; BrokerError or TopicNotFound if Kafka has no messages to try it on;
        TransformError if it fails where the old one does not. Nothing was changed.
    """
    if not 0 <= trial_messages <= MAX_TRIED:
        raise SettingError(
            f"Kafka stream {name}, trial_messages must be an integer from 0 to {MAX_TRIED}, got {trial_messages}"
        )
    stream = streams.find(name)
    spec = stream.spec
    new = pin(spec.transform.uri, streams.settings, until(check_abort), spec.config.transform)
    tried = 0
    # An old script that may not run is not run for a comparison either.
    if new.sha256 != spec.transform.sha256 and admission.refusal(spec.transform, streams.settings) is None:
        positions = stream.checkpoint().positions
        if trial_messages and positions:
            messages = last_read(spec, positions, trial_messages, streams.settings, check_abort)
            tried = compare(spec, new, messages, streams.settings, check_abort)
    if new != spec.transform:
        stream.set(transform_source=new.source, transform_sha256=new.sha256, transform_signature=new.signature)
        streams.shared.ring()
    return [{"old_sha256": spec.transform.sha256, "new_sha256": new.sha256, "tried": tried}]


def last_read(
    spec: StreamSpec, positions: Mapping[Partition, int], most: int, settings: Settings, check_abort: Callable[[], None]
) -> list[confluent_kafka.Message]:
    """
    The last messages before a stream's positions that Kafka still has: at most `most` of them, the same number from
    each partition, ordered by partition and offset.

    Reads no longer than the settings' `test_timeout`, and no more bytes than a batch may have; returns what was read
    until then. Raises BrokerError: the broker does not answer.
    """
    deadline = time.monotonic() + settings.test_timeout

    def out_of_time() -> bool:
        check_abort()
        return time.monotonic() >= deadline

    found: list[confluent_kafka.Message] = []
    room = settings.batch_max_bytes
    with Consumer(spec, settings, to_the_end=True) as consumer:
        there = spec.reads(consumer.topic.partitions())
        offsets = TopicOffsets(spec, there, time.monotonic() + settings.broker_timeout)
        spans = spans_before(offsets.bounds(), positions, most)
        consumer.assign(spans, {partition: Position(start) for partition, (start, _) in spans.items()})
        due = set(spans)
        while due and room > 0 and not out_of_time():
            group = consumer.poll(READ_AT_ONCE, 0, out_of_time)
            for message in group.batches[0].messages if group else ():
                partition, offset = partition_of(message), message.offset()
                end = spans[partition][1]
                if offset < end:
                    found.append(message)
                    room -= len(message)
                if offset >= end - 1:
                    due.discard(partition)
            due -= consumer.ended
        if not found and due:
            raise consumer.complaints.silence(spec.topic, settings.test_timeout)
    return sorted(found, key=lambda message: (partition_of(message), message.offset()))


def compare(
    spec: StreamSpec,
    new: Transform,
    messages: Sequence[confluent_kafka.Message],
    settings: Settings,
    check_abort: Callable[[], None],
) -> int:
    """
    Gives the messages, in batches of the stream's size, to the new transform, and those that it refuses also to the old
    one.

    Takes no longer than the settings' `test_timeout` and one batch; only what was tried until then counts. Returns how
    many messages were tried. Raises TransformError: the new one refuses what the old one does not; the text names the
    message.
    """
    deadline = time.monotonic() + settings.test_timeout

    limited = dataclasses.replace(settings, transform_timeout=min(settings.transform_timeout, settings.test_timeout))
    before = Transformer(spec, limited, until(check_abort))
    after = Transformer(dataclasses.replace(spec, transform=new), limited, until(check_abort))
    tried = 0
    try:
        for start in range(0, len(messages), spec.batch_size):
            if time.monotonic() >= deadline:
                break
            batch = Batch(list(messages[start : start + spec.batch_size]))
            error = _refusal(after, batch)
            if error is not None:
                alone = _refused_alone(spec, before, after, batch, deadline)
                if alone is not None:
                    raise _regression(spec, *alone)
                if _refusal(before, batch) is None:
                    raise _regression(spec, batch, error)
            tried += len(batch)
    finally:
        before.close()
        after.close()
    return tried


def spans_before(
    bounds: Mapping[Partition, tuple[int, int]], positions: Mapping[Partition, int], most: int
) -> dict[Partition, tuple[int, int]]:
    """Partition -> the first offset to read, and the one to stop before; only where there is anything to read."""
    read = {
        partition: (low, min(positions[partition], high))
        for partition, (low, high) in sorted(bounds.items())
        if low < positions.get(partition, 0)
    }
    read = {partition: (low, end) for partition, (low, end) in list(read.items())[:most] if low < end}
    if not read:
        return {}
    share, left = divmod(most, len(read))
    return {
        partition: (max(low, end - share - (index < left)), end)
        for index, (partition, (low, end)) in enumerate(read.items())
    }


def _refusal(transformer: Transformer, batch: Batch) -> TransformError | None:
    return transformer.pack(Group([batch])).error


def _refused_alone(
    spec: StreamSpec, before: Transformer, after: Transformer, batch: Batch, deadline: float
) -> tuple[Batch, TransformError] | None:
    """The first message that only the new transform refuses by itself; None if there is none, or no time to search."""
    if spec.config.isolate is Isolate.NEVER:
        return None
    for message in batch.messages:
        if time.monotonic() >= deadline:
            break
        alone = Batch([message])
        error = _refusal(after, alone)
        if error is not None and _refusal(before, alone) is None:
            return alone, error
    return None


def _regression(spec: StreamSpec, batch: Batch, error: TransformError) -> TransformError:
    return TransformError(
        f"Kafka stream {spec.name}, nothing was changed: the new script fails where the old one does not, "
        f"at {batch.place}: {error}"
    )
