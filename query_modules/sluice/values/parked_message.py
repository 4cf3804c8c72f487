"""
Parked messages: each is a node that holds a message whole, until `streams.retry` has applied it.

    (:SluiceCheckpoint)-[:PARKED]->(:SluiceParked)

What a procedure requests is written to the stream's node, and the outcome to the checkpoint and the messages' nodes. So
no node has two writers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.values.failed_message import BASE64, FailedMessage
from sluice.values.record import Record, record_of

if TYPE_CHECKING:
    import confluent_kafka


class RetryRequest(NamedTuple):
    """What one call of `streams.retry` requests."""

    number: int
    "Counts the calls for a stream; a checkpoint names the last one that was answered."
    upto: int
    "Of messages, the number of the last one that is meant: what is parked later is not."
    partition: int | None = None
    "None: all."
    offset: int | None = None
    "None: all."
    topic: str | None = None
    "None: all."
    lanes: Sequence[int] = ()
    "What stands for `upto` in each lane of a stream with several."

    def for_lane(self, lane: int) -> RetryRequest:
        """What it requests of one lane."""
        return self._replace(upto=self.lanes[lane]) if lane < len(self.lanes) else self

    def means(self, message: ParkedMessage) -> bool:
        """Whether the message is to be applied again."""
        return (
            message.number <= self.upto
            and self.partition in (None, message.partition)
            and self.offset in (None, message.offset)
            and self.topic in (None, message.topic)
        )


@dataclass(frozen=True)
class ParkedMessage:
    """
    A parked message, and why it was parked.

    Key, payload and headers are the given bytes if those are UTF-8, else `base64:` followed by the bytes in base64.
    Nothing is cut (`as_bytes` returns the bytes).
    """

    number: int
    "Counts what the stream has parked: the order in which it was parked."
    time: str
    "When that was, in UTC, ISO 8601."
    topic: str
    partition: int
    offset: int
    timestamp: int | None
    "The message's own, in milliseconds since the epoch; None if it has none."
    key: str | None
    payload: str | None
    "None for a tombstone."
    payload_bytes: int
    headers: tuple[tuple[str, str | None], ...]
    query: str | None
    params: str | None
    error: str
    transform_sha256: str
    "Of the transform with which the message failed last; query, params and error are from that time, too."
    attempts: int = 0
    "How often it was retried."
    tried: str | None = None
    "When it was last retried, in UTC, ISO 8601."

    @property
    def place(self) -> str:
        """Where it is, for errors."""
        return f"topic {self.topic}, partition {self.partition}, offset {self.offset}"

    @property
    def record(self) -> Record:
        """The message, as Kafka gave it. Raises ValueError if its node was edited into something invalid."""
        return Record(
            as_bytes(self.payload),
            as_bytes(self.key),
            [(name, as_bytes(value)) for name, value in self.headers],
            self.topic,
            self.partition,
            self.offset,
            self.timestamp,
        )

    def properties(self) -> dict[str, Any]:
        """As its node holds it."""
        return {**asdict(self), "headers": json.dumps(self.headers, ensure_ascii=False)}


def parked(message: confluent_kafka.Message, entry: FailedMessage, number: int) -> ParkedMessage:
    """The message to park; `entry` says why."""
    record = record_of(message, lenient=True)
    return ParkedMessage(
        number=number,
        time=entry.time,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        key=as_text(record.key),
        payload=as_text(record.value),
        payload_bytes=len(record.value or b""),
        headers=tuple((name, as_text(value)) for name, value in record.headers),
        query=entry.query,
        params=entry.params,
        error=entry.error,
        transform_sha256=entry.transform_sha256,
    )


def message_of(properties: Mapping[str, Any]) -> ParkedMessage:
    """The message in a node's properties. Raises ValueError if it was edited into something invalid."""
    try:
        headers = json.loads(_text(properties, "headers") or "[]")
        return ParkedMessage(
            number=_number(properties, "number"),
            time=str(properties.get("time", "")),
            topic=str(properties["topic"]),
            partition=_number(properties, "partition"),
            offset=_number(properties, "offset"),
            timestamp=_number(properties, "timestamp") if properties.get("timestamp") is not None else None,
            key=_text(properties, "key"),
            payload=_text(properties, "payload"),
            payload_bytes=_number(properties, "payload_bytes", 0),
            headers=tuple((str(name), _text({name: value}, name)) for name, value in headers),
            query=_text(properties, "query"),
            params=_text(properties, "params"),
            error=str(properties.get("error", "")),
            transform_sha256=str(properties.get("transform_sha256", "")),
            attempts=_number(properties, "attempts", 0),
            tried=_text(properties, "tried"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the node of a parked message cannot be read: {error!r}") from error


def _text(properties: Mapping[Any, Any], name: Any) -> str | None:
    value = properties.get(name)
    if not isinstance(value, str | None):
        raise TypeError(f"{name} is not a text")
    return value


def _number(properties: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = properties.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is not an integer")
    return value


def as_text(data: bytes | None) -> str | None:
    """Bytes as a text that a property can hold, so that `as_bytes` returns them."""
    if data is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = BASE64
    is_text = "\0" not in text and not text.startswith(BASE64)  # a text that a procedure gives ends at a NUL
    return text if is_text else BASE64 + base64.b64encode(data).decode()


def as_bytes(text: str | None) -> bytes | None:
    """The reverse of `as_text`. Raises ValueError for invalid base64."""
    if text is None or not text.startswith(BASE64):
        return None if text is None else text.encode()
    return base64.b64decode(text[len(BASE64) :], validate=True)


def encode_requests(requests: Iterable[RetryRequest]) -> str:
    """As the stream's node holds them; without what an earlier version of Sluice does not know, where it is nothing."""
    late = ("topic", "lanes")
    plain = [{key: value for key, value in one._asdict().items() if key not in late or value} for one in requests]
    return json.dumps(plain, separators=(",", ":"))


def decode_requests(text: object) -> tuple[RetryRequest, ...]:
    """The reverse of `encode_requests`. If the text cannot be read, after an edit by hand, the result is empty."""
    try:
        requests = tuple(RetryRequest(**request) for request in json.loads(str(text or "[]")))
    except (TypeError, ValueError):
        return ()
    return tuple(request for request in requests if _is_right(request))


def _is_right(request: RetryRequest) -> bool:
    if not isinstance(request.lanes, list | tuple):
        return False
    numbers = (request.number, request.upto, *request.lanes)
    places = (request.partition, request.offset)
    whole = all(isinstance(part, int) for part in numbers) and all(isinstance(part, int | None) for part in places)
    return whole and isinstance(request.topic, str | None)


def groups(messages: Sequence[ParkedMessage], size: int, max_bytes: int) -> list[list[ParkedMessage]]:
    """Messages in groups of at most `size`, with payloads of at most `max_bytes` together, or of a single message."""
    result: list[list[ParkedMessage]] = []
    room = 0
    for message in messages:
        if not result or len(result[-1]) == size or message.payload_bytes > room:
            result.append([])
            room = max_bytes
        result[-1].append(message)
        room -= message.payload_bytes
    return result
