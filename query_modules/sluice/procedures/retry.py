"""
Parked messages: lists them, and has them applied again.

The request is written to the stream's node, and a worker
answers it once it is committed.
"""

from __future__ import annotations

from sluice.errors import SettingError
from sluice.procedures.stream_node import Parked, StreamNode
from sluice.procedures.streams import Row, Streams
from sluice.scripting import admission
from sluice.values.model import check_count
from sluice.values.parked_message import RetryRequest, decode_requests, encode_requests
from sluice.values.position import Partition


def list_parked(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    A stream's parked messages, in the order in which they were parked, at most `limit`. Raises StreamNotFound;
    SettingError if the limit is not a positive number, or a node was edited.
    """
    check_count(name, "limit", limit)
    stream = streams.find(name)
    asked = unanswered(stream)
    return [_row(one, asked) for one in _parked(stream)[:limit]]


def retry(
    streams: Streams, name: str, limit: int | None, partition: int | None, offset: int | None, topic: str | None
) -> list[Row]:
    """
    Requests that messages be applied again, with the transform that the stream has then: `messages`, their number.

    Args:
        limit: at most this number, the oldest; None: all.
        partition: only messages of this partition.
        offset: only the message at this offset of `partition`.
        topic: only messages of this topic.

    Raises:
        StreamNotFound; SettingError: an argument is wrong, or there is no message at the given place.
    """
    if limit is not None:
        check_count(name, "limit", limit)
    stream = streams.find(name)
    _check_place(name, partition, offset)
    if offset is not None and topic is None and not stream.only_topic:
        raise SettingError(f"Kafka stream {name}, an offset needs its topic, since the stream may read several")
    admission.check(stream.spec, streams.settings)  # else nothing could be retried
    asked, answered = stream.get("retry_requested"), stream.checkpoint().retry_completed
    number = max(asked if isinstance(asked, int) else 0, answered) + 1
    everything = RetryRequest(number, _LAST, partition, offset, topic)
    meant = [one for one in _parked(stream) if everything.means(one.message)][:limit]
    if not meant and offset is not None:
        of = (
            f"partition {partition}, offset {offset}"
            if topic is None
            else f"{Partition(topic, partition or 0)}, offset {offset}"
        )
        raise SettingError(f"Kafka stream {name}, no message of {of} is parked")
    if meant:
        last = {one.lane: one.message.number for one in meant}  # each lane has numbers of its own
        lanes = stream.lane_count
        request = everything._replace(
            upto=max(last.values()), lanes=tuple(last.get(lane, 0) for lane in range(lanes)) if lanes > 1 else ()
        )
        stream.set(retry_requested=request.number, retry_requests=encode_requests([*unanswered(stream), request]))
        streams.shared.ring()
    return [{"messages": len(meant)}]


_LAST = 2**63 - 1


def _check_place(name: str, partition: int | None, offset: int | None) -> None:
    for what, value in (("partition", partition), ("offset", offset)):
        if value is not None and value < 0:
            raise SettingError(f"Kafka stream {name}, {what} must be 0 or more, got {value}")
    if offset is not None and partition is None:
        raise SettingError(f"Kafka stream {name}, an offset needs its partition")


def unanswered(stream: StreamNode) -> tuple[RetryRequest, ...]:
    """The requests that not all lanes have answered, the oldest first."""
    answered = stream.checkpoint().retry_completed
    return tuple(request for request in decode_requests(stream.get("retry_requests")) if request.number > answered)


def _parked(stream: StreamNode) -> list[Parked]:
    try:
        return stream.parked()
    except ValueError as error:
        raise SettingError(f"Kafka stream {stream.name}, {error}") from error


def _row(one: Parked, asked: tuple[RetryRequest, ...]) -> Row:
    message = one.message
    return {
        "time": message.time,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp,
        "key": message.key,
        "payload": message.payload,
        "headers": [list(header) for header in message.headers],
        "attempts": message.attempts,
        "tried": message.tried,
        "waiting": any(request.for_lane(one.lane).means(message) for request in asked),
        "query": message.query,
        "params": message.params,
        "error": message.error,
        "transform_sha256": message.transform_sha256,
    }
