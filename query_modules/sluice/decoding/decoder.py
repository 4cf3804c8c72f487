"""Keys and values of messages, read as their formats say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sluice.decoding.refusals import WrongMessage
from sluice.decoding.schema_ids import KEY_HEADER, VALUE_HEADER, header_of
from sluice.values.record import Headers, Record

Message = Record | bytes | None
"A whole message, or its value or key alone."


class FormatReader(Protocol):
    """Reads one format."""

    framed: bool
    "Whether it wants the header with the schema's id."

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """
        What the bytes mean, one by one. Raises WrongMessage; the text is what they are instead.

        Args:
            headers: the header with the schema's id of each that has one; empty where the format has none.
        """


class Decoder:
    """Reads messages. Threads: one at a time."""

    def __init__(self, values: FormatReader, keys: FormatReader, *, many: bool = False) -> None:
        """
        Args:
            many: whether the value of one message is a list of values.
        """
        self._values = values
        self._keys = keys
        self.many = many
        self.framed = values.framed or keys.framed
        "Whether whole messages are needed: a schema's id may be in a header."

    def value(self, message: Message) -> Any:
        """
        What a message's value means; None: a tombstone.

        Raises:
            WrongMessage: it is not of this format; the text says what it is, or what is wrong.
            ServiceUnavailable: its schema is needed, and the registry does not answer in time.
        """
        return self.values([message])[0]

    def key(self, message: Message) -> Any:
        """What a message's key means; None: it has none. Raises as `value`."""
        return self.keys([message])[0]

    def values(self, batch: Sequence[Message]) -> list[Any]:
        """What the values of a batch mean, one for each message. Raises as `value`."""
        return self.values_of(
            [message.value if isinstance(message, Record) else message for message in batch], _headers(batch)
        )

    def values_of(self, values: Sequence[bytes | None], headers: Sequence[Headers] = ()) -> list[Any]:
        """What values mean. `headers`: those of their messages; empty: they have none. Raises as `value`."""
        return _read(self._values, values, headers, VALUE_HEADER, "its value is")

    def keys(self, batch: Sequence[Message]) -> list[Any]:
        """What the keys of a batch mean, one for each message. Raises as `value`."""
        data = [message.key if isinstance(message, Record) else message for message in batch]
        return _read(self._keys, data, _headers(batch), KEY_HEADER, "its key is")


def _headers(batch: Sequence[Message]) -> list[Headers]:
    return [message.headers if isinstance(message, Record) else [] for message in batch]


def _read(
    reader: FormatReader, data: Sequence[bytes | None], headers: Sequence[Headers], header: str, what: str
) -> list[Any]:
    ids: list[bytes | None] = []
    if reader.framed:
        ids = [header_of(one, header) for one in headers] if any(headers) else [None] * len(data)
    given = [one for one in data if one is not None]
    if len(given) < len(data):
        ids = [found for found, one in zip(ids, data, strict=False) if one is not None]
    try:
        found = reader.read_all(given, ids)
    except WrongMessage as error:
        raise WrongMessage(f"{what} {error}") from None
    if len(given) == len(data):
        return found
    items = iter(found)
    return [None if one is None else next(items) for one in data]
