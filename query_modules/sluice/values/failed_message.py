"""
What is known about a message that a stream stopped at, or passed without applying it, and about messages that Kafka no
longer had.

The latest ones are kept in the stream's checkpoint node, as JSON, cut to a size that a node can hold.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sluice.bolt.temporal import plain
from sluice.errors import one_line
from sluice.values.record import readable_headers

if TYPE_CHECKING:
    import confluent_kafka

GAP = "gap"
"The action of an entry that stands for messages that Kafka no longer had."

BASE64 = "base64:"

TEXT_LIMIT = 1024
"Bytes kept of a key, of the headers, of a query and of its parameters each."


@dataclass(frozen=True)
class FailedMessage:
    """
    One entry of the history.

    Texts are the given bytes if those are UTF-8, else `base64:` followed by the bytes in base64. Long ones are cut.
    """

    time: str
    "When it failed, in UTC, ISO 8601."
    action: str
    "What the stream did: stop, skip, park, dead_letter, or gap."
    topic: str
    partition: int
    offset: int
    error: str
    count: int = 1
    "How many offsets it stands for, from `offset` on: 1 for a message, more for a gap."
    key: str | None = None
    payload: str | None = None
    "None for a tombstone."
    payload_bytes: int = 0
    "How long the whole payload is."
    headers: tuple[tuple[str, str | None], ...] = ()
    query: str | None = None
    "The query that was refused; None if none was, or if the transaction as a whole was."
    params: str | None = None
    "Its parameters, as JSON."
    transform_sha256: str = ""

    def as_row(self) -> dict[str, Any]:
        """A record of `streams.errors`."""
        return {**asdict(self), "headers": [list(header) for header in self.headers]}


def of_message(  # noqa: PLR0913 - what a failed message consists of, by name
    message: confluent_kafka.Message,
    *,
    action: str,
    error: object,
    query: tuple[str, Any] | None,
    transform_sha256: str,
    payload_limit: int,
) -> FailedMessage:
    """
    The entry for a message.

    Args:
        query: text and parameters of the query that was refused, if one was.
        payload_limit: bytes kept of the payload.
    """
    value = message.value()
    text, params = described_query(query)
    return FailedMessage(
        time=now(),
        action=action,
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        error=one_line(error),
        key=as_text(message.key()),
        payload=as_text(value, payload_limit),
        payload_bytes=len(value or b""),
        headers=_headers(readable_headers(message)),
        query=text,
        params=params,
        transform_sha256=transform_sha256,
    )


def described_query(query: tuple[str, Any] | None) -> tuple[str | None, str | None]:
    """A query's text and, as JSON, its parameters, cut where they are long."""
    if query is None:
        return None, None
    return as_text(query[0].encode()), as_text(as_json(query[1]).encode())


def of_gap(topic: str, partition: int, offset: int, count: int, error: object) -> FailedMessage:
    """The entry for `count` offsets, from `offset` on, that Kafka no longer has."""
    return FailedMessage(
        time=now(), action=GAP, topic=topic, partition=partition, offset=offset, count=count, error=one_line(error)
    )


def extended(history: Sequence[FailedMessage], news: Iterable[FailedMessage], limit: int) -> tuple[FailedMessage, ...]:
    """The latest `limit` entries, the newest last. A message that the stream stopped at before is in it once."""
    added = tuple(news)
    places = {(entry.topic, entry.partition, entry.offset) for entry in added}
    kept = [entry for entry in history if (entry.topic, entry.partition, entry.offset) not in places]
    return (*kept, *added)[-limit:]


def encode(history: Sequence[FailedMessage]) -> str:
    """As the checkpoint node holds them."""
    return json.dumps([asdict(entry) for entry in history], separators=(",", ":"), ensure_ascii=False)


_NAMES = frozenset(field.name for field in fields(FailedMessage))


def decode(text: object) -> tuple[FailedMessage, ...]:
    """
    The reverse of `encode`. If the text cannot be read, after an edit by hand, the result is empty: a stream does not
    fail because of its history.
    """
    try:
        return tuple(
            FailedMessage(
                **{key: value for key, value in entry.items() if key in _NAMES and key != "headers"},
                headers=tuple((key, value) for key, value in entry.get("headers", ())),
            )
            for entry in json.loads(str(text))
        )
    except (ValueError, TypeError, AttributeError):
        return ()


def as_text(data: bytes | None, limit: int = TEXT_LIMIT) -> str | None:
    """The first `limit` bytes, as a text that a node can store and a person can read."""
    if data is None:
        return None
    try:
        is_text = "\0" not in data.decode()  # numbers of 32 bits are UTF-8 as well, and no text
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        return BASE64 + base64.b64encode(data[:limit]).decode()
    return data[:limit].decode(errors="ignore")  # a character that the limit cuts through is left out


def as_json(value: Any) -> str:
    """Parameters as JSON; values that JSON does not have are written as text."""
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def now(*, in_seconds: float = 0.0) -> str:
    """The time in UTC, now or `in_seconds` later, in ISO 8601 with milliseconds."""
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=in_seconds)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _headers(headers: Iterable[tuple[str, bytes | None]]) -> tuple[tuple[str, str | None], ...]:
    kept = []
    room = TEXT_LIMIT
    for name, value in headers:
        text = as_text(value, room)
        room -= len(name.encode()) + len(value or b"")
        kept.append((name, text))
        if room <= 0:
            break
    return tuple(kept)
