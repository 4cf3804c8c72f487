"""Keys and values of messages, read as their formats say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sluice.decoding.refusals import WrongMessage
from sluice.decoding.schema_ids import KEY_HEADER, VALUE_HEADER, header_of
from sluice.values.record import Record

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
        data = [message.value if isinstance(message, Record) else message for message in batch]
        return _read(self._values, data, batch, VALUE_HEADER, "its value is")

    def keys(self, batch: Sequence[Message]) -> list[Any]:
        """What the keys of a batch mean, one for each message. Raises as `value`."""
        data = [message.key if isinstance(message, Record) else message for message in batch]
        return _read(self._keys, data, batch, KEY_HEADER, "its key is")


def _read(
    reader: FormatReader, data: Sequence[bytes | None], batch: Sequence[Message], header: str, what: str
) -> list[Any]:
    places = [place for place, one in enumerate(data) if one is not None]
    headers: list[bytes | None] = []
    if reader.framed:
        messages = (batch[place] for place in places)
        headers = [
            header_of(one.headers, header) if isinstance(one, Record) and one.headers else None for one in messages
        ]
    try:
        found = reader.read_all([one for one in data if one is not None], headers)
    except WrongMessage as error:
        raise WrongMessage(f"{what} {error}") from None
    if len(places) == len(data):
        return found
    items = iter(found)
    return [None if one is None else next(items) for one in data]
