"""A message of Kafka as plain values: what a transform gets that needs more than a message's value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sluice.errors import HeadersUnreadable

if TYPE_CHECKING:
    import confluent_kafka

Headers = list[tuple[str, "bytes | None"]]

UNREADABLE: Headers = []
"Takes the place of headers that the client cannot read; recognized by its identity."

TIMESTAMP_NOT_AVAILABLE = 0
"confluent_kafka's constant for a message without a timestamp."

Columns = dict[str, list[Any]]
"What a transform sees of a batch: name -> one value for each message, all of types that `marshal` can write."


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


FIELDS = Record._fields
VALUE, HEADERS = FIELDS[0], FIELDS[2]


@dataclass(frozen=True)
class OfColumns:
    """
    A function of a ready transform that uses only some fields of messages, as columns: the others need not be handed
    over, and a Record for each message takes as long as reading a field of it.
    """

    function: Callable[[Columns], Any]
    fields: tuple[str, ...]
    "VALUE among them."

    def __call__(self, batch: list[Record]) -> Any:
        """What the function gives for records."""
        return self.function(columns_of(batch, self.fields))


class Messages(Protocol):
    """Messages in a form that a transform can get."""

    def __len__(self) -> int:
        """How many there are."""

    def columns(self, fields: Sequence[str]) -> Columns:
        """These fields of `Record` for each message."""

    def followed_by(self, others: Sequence[Any]) -> Messages:
        """These, and then the others, which are in the same form."""


class Records(list[Record]):
    """Messages as records."""

    def followed_by(self, others: Sequence[Records]) -> Records:
        """As `Messages.followed_by`."""
        return Records(chain(self, *others)) if others else self

    def columns(self, fields: Sequence[str]) -> Columns:
        """As `Messages.columns`."""
        return columns_of(self, fields)


def columns_of(records: Sequence[Record], fields: Sequence[str] = FIELDS) -> Columns:
    """Name -> the values of that field, one for each record."""
    return {name: [getattr(record, name) for record in records] for name in fields}


def batches_of(columns: Columns, sizes: Sequence[int]) -> Iterator[Columns]:
    """The columns of batches of these sizes, of which `columns` has all messages."""
    for start, end in pairwise(accumulate(sizes, initial=0)):
        yield {name: column[start:end] for name, column in columns.items()}


_record: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)
"Half of what its constructor takes."


def records_of(columns: Columns) -> list[Record]:
    """The reverse of `columns_of`; fields that there are no columns of are None, and headers are empty."""
    nothing = [None] * len(columns[VALUE])
    known = columns if HEADERS in columns else {**columns, HEADERS: [[] for _ in nothing]}
    return list(map(_record, zip(*(known.get(name, nothing) for name in FIELDS), strict=True)))


def headers_of(message: confluent_kafka.Message) -> Headers:
    """
    The message's headers; only this and `_headers` ask the client for them.

    confluent-kafka raises SystemError at a header's name that is not UTF-8, and leaves the message's headers in a state
    in which it must not be asked for them again. So they are replaced at once.

    Raises HeadersUnreadable: they cannot be read, now or later.
    """
    try:
        headers: Headers | None = message.headers()
    except (SystemError, UnicodeError):
        message.set_headers(UNREADABLE)
        headers = UNREADABLE
    if headers is UNREADABLE:
        place = f"partition {message.partition()}, offset {message.offset()}"
        raise HeadersUnreadable(f"the headers of the message at {place} cannot be read: a name in them is not UTF-8")
    return headers or []


def readable_headers(message: confluent_kafka.Message) -> Headers:
    """As `headers_of`, but empty if they cannot be read."""
    try:
        return headers_of(message)
    except HeadersUnreadable:
        return []


def _headers(messages: Sequence[confluent_kafka.Message]) -> list[Headers]:
    """As `headers_of`, of each, in half the time."""
    found: list[Headers] = []
    try:
        for message in messages:
            headers = message.headers()
            if headers is UNREADABLE:
                break
            found.append(headers or [])
    except (SystemError, UnicodeError):
        messages[len(found)].set_headers(UNREADABLE)
    return found if len(found) == len(messages) else [*found, headers_of(messages[len(found)])]


_COLUMNS: Mapping[str, Callable[[Sequence[confluent_kafka.Message]], list[Any]]] = {
    "value": lambda messages: [message.value() for message in messages],  # a methodcaller takes five times as long
    "key": lambda messages: [message.key() for message in messages],
    "headers": _headers,
    "topic": lambda messages: [message.topic() for message in messages],
    "partition": lambda messages: [message.partition() for message in messages],
    "offset": lambda messages: [message.offset() for message in messages],
    "timestamp": lambda messages: [_timestamp(*message.timestamp()) for message in messages],
}


def columns_of_messages(messages: Sequence[confluent_kafka.Message], fields: Sequence[str]) -> Columns:
    """
    As `columns_of` their records, in less than half the time; no column of headers where no message has any.

    Raises:
        HeadersUnreadable: those of a message cannot be read.
    """
    columns = {name: _COLUMNS[name](messages) for name in fields}
    if not any(columns.get(HEADERS, ())):
        columns.pop(HEADERS, None)
    return columns


def record_of(message: confluent_kafka.Message, *, lenient: bool = False) -> Record:
    """
    The message's values.

    Args:
        lenient: headers that cannot be read are left empty.

    Raises:
        HeadersUnreadable: they cannot be read.
    """
    return Record(
        message.value(),
        message.key(),
        readable_headers(message) if lenient else headers_of(message),
        message.topic(),
        message.partition(),
        message.offset(),
        _timestamp(*message.timestamp()),
    )


def _timestamp(kind: int, timestamp: int) -> int | None:
    return None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp
