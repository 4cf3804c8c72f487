"""
`sluice:json` and `sluice:csv`: each object or row is a vertex, found by its key.

    label        a label, or a list of them
    key          the field that the vertex is found by, or a list of fields; `id` if nothing is said
    replace      true: the vertex has the message's fields and no others. Otherwise what the message does not name stays
    on_null      delete: a tombstone deletes the vertex that the message's key names. ignore: it is passed over
    key_format   json or text: how the message's key is written. If it is an object, it has the fields of `key`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from sluice.ready.formats import decoder_of, key_decoder
from sluice.ready.identifiers import labelled, looked_for
from sluice.ready.keys import check_key, first_missing
from sluice.ready.message import read_present
from sluice.ready.options import OptionReader
from sluice.ready.refusals import WrongMessage
from sluice.values.record import Record

Query = tuple[str, dict[str, Any]]

DELETE, IGNORE = "delete", "ignore"


def configured(given: Mapping[str, Any], form: str) -> dict[str, Callable[[list[Any]], list[Query]]]:
    """
    The transform that these options mean: the name of its function, and the function. Raises WrongOption.

    Args:
        form: json or csv.
    """
    options = OptionReader(given)
    on_null = options.choice("on_null", (DELETE, IGNORE), DELETE)
    transform = VertexUpserts(options, form)
    options.done()
    return {"stream": transform.of_values} if on_null == IGNORE else {"stream_messages": transform.of_messages}


class VertexUpserts:
    """Queries for messages. Its functions raise WrongMessage at a message that cannot be applied."""

    def __init__(self, options: OptionReader, form: str) -> None:
        """Takes its options: label, key, replace, those of the format, key_format. Raises WrongOption."""
        labels = labelled(options.texts("label"))
        self._fields = options.texts("key", "id")
        operator = "=" if options.flag("replace", False) else "+="
        self._read, self._many = decoder_of(form, options)
        self._read_keys = key_decoder(options, "json")
        self._upsert = f"MERGE (n{labels}{looked_for(self._fields, 'value')}) SET n {operator} $value"
        self._delete = f"MATCH (n{labels}{looked_for(self._fields, 'key')}) DETACH DELETE n"

    def of_values(self, batch: list[bytes | None]) -> list[Query]:
        """The queries for the values of messages; null ones are passed over."""
        values = read_present(batch, self._read, "its value")
        if self._many:
            values = list(chain.from_iterable(rows or () for rows in values))
        elif None in values:
            values = [value for value in values if value is not None]
        self._check(values)
        return [(self._upsert, {"value": value}) for value in values]

    def of_messages(self, batch: list[Record]) -> list[Query]:
        """The queries for whole messages."""
        values = [record.value for record in batch]
        if None not in values and not any(value.strip() == b"null" for value in values if value and len(value) < 8):
            return self.of_values(values)
        return list(chain.from_iterable(self._of_message(record) for record in batch))

    def _of_message(self, record: Record) -> list[Query]:
        [value] = read_present([record.value], self._read, "its value")
        if value is not None:
            return self.of_values([record.value])
        if record.key is None:
            raise WrongMessage(
                "a tombstone without a key: nothing says which vertex it deletes; on_null: 'ignore' passes it over"
            )
        return [(self._delete, {"key": self._key(record.key)})]

    def _key(self, key: bytes) -> dict[str, Any]:
        try:
            [found] = self._read_keys([key])
        except ValueError as error:
            raise WrongMessage(f"the key of a tombstone is {error}; key_format: 'text' takes it as it is") from None
        if not isinstance(found, dict):
            if len(self._fields) > 1:
                raise WrongMessage(
                    f"the key of a tombstone must be an object of {', '.join(self._fields)}, got {found!r}"
                )
            found = {self._fields[0]: found}
        return {name: check_key(name, found.get(name)) for name in self._fields}

    def _check(self, values: list[Any]) -> None:
        """Raises WrongMessage at the first value that is not an object, or whose key is null."""
        if set(map(type, values)) - {dict}:
            kind = next(type(value).__name__ for value in values if type(value) is not dict)
            raise WrongMessage(f"it is not an object of fields and values, but {kind}")
        for name in self._fields:
            column = [value.get(name) for value in values]
            place = first_missing(column)
            if place is not None:
                check_key(name, column[place])
