"""
`sluice:json` and `sluice:csv`: each object or row is a vertex, found by its key.

    label        a label, or a list of them
    key          the field that the vertex is found by, or a list of fields; `id` if nothing is said
    replace      true: the vertex has the message's fields and no others. Otherwise what the message does not name stays
    on_null      delete: a tombstone deletes the vertex that the message's key names. ignore: it is passed over
    format       of `sluice:json`: json, avro, protobuf or jsonschema, each with its own options
    key_format   how the message's key is written: the same, or text. If it is an object, it has the fields of `key`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from sluice.decoding.formats import KEY_FORMATS, decoder_of
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.texts import kind_of
from sluice.ready.identifiers import labelled, looked_for
from sluice.ready.keys import check_key, first_missing
from sluice.ready.message import HEADERS, KEY, VALUE
from sluice.values.record import Columns, OfColumns, Record, records_of
from sluice.values.same_query import Queries, SameParameter, SameQuery

ARRAY_QUERY = "UNWIND $value AS row MERGE (n:Label {id: row.id}) SET n += row"

DELETE, IGNORE = "delete", "ignore"


def configured(given: Mapping[str, Any], form: str) -> dict[str, Callable[[list[Any]], Queries]]:
    """
    The transform that these options mean: the name of its function, and the function. Raises WrongOption.

    Args:
        form: json or csv.
    """
    options = OptionReader(given)
    on_null = options.choice("on_null", (DELETE, IGNORE), DELETE)
    transform = VertexUpserts(options, form)
    options.done()
    if on_null == IGNORE and not transform.framed:
        return {"stream": transform.of_values}
    fields = (VALUE, *([KEY] if on_null == DELETE else []), *([HEADERS] if transform.framed else []))
    return {"stream_messages": OfColumns(transform.of_columns, fields)}


class VertexUpserts:
    """Queries for messages. Its functions raise WrongMessage at a message that cannot be applied."""

    def __init__(self, options: OptionReader, form: str) -> None:
        """Takes its options: label, key, replace, those of the format, key_format. Raises WrongOption."""
        labels = labelled(options.texts("label"))
        self._fields = options.texts("key", "id")
        operator = "=" if options.flag("replace", False) else "+="
        formats = [one for one in KEY_FORMATS if one != "text"] if form == "json" else [form]
        self._decoder = decoder_of(options, form, "json", formats)
        self._upsert = f"MERGE (n{labels}{looked_for(self._fields, 'value')}) SET n {operator} $value"
        self._delete = f"MATCH (n{labels}{looked_for(self._fields, 'key')}) DETACH DELETE n"

    @property
    def framed(self) -> bool:
        """As `Decoder.framed`."""
        return self._decoder.framed

    def of_values(self, batch: Sequence[bytes | None]) -> SameQuery:
        """The queries for the values of messages; null ones are passed over."""
        return self._upserts([value for value in self._decoder.values_of(batch) if value is not None])

    def of_columns(self, columns: Columns) -> Queries:
        """The queries for messages; null ones delete if there is a column of keys, and are passed over otherwise."""
        values = self._decoder.values_of(columns[VALUE], columns.get(HEADERS, ()))
        if None not in values:
            return self._upserts(values)
        if KEY not in columns:
            return self._upserts([value for value in values if value is not None])
        return list(chain.from_iterable(map(self._of_message, records_of(columns), values)))

    def _upserts(self, values: list[Any]) -> SameQuery:
        """The queries for what values hold."""
        if self._decoder.many:
            values = [row for rows in values for row in rows]
        self._check(values)
        return SameQuery(self._upsert, SameParameter("value", values))

    def _of_message(self, record: Record, value: Any) -> Queries:
        if value is not None:
            return self._upserts([value])
        if record.key is None:
            raise WrongMessage(
                "a tombstone without a key: nothing says which vertex it deletes; on_null: 'ignore' passes it over"
            )
        return [(self._delete, {"key": self._key(record)})]

    def _key(self, record: Record) -> dict[str, Any]:
        try:
            found = self._decoder.key(record)
        except WrongMessage as error:
            raise WrongMessage(f"a tombstone: {error}; key_format: 'text' takes it as it is") from None
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
            found = next(value for value in values if type(value) is not dict)
            hint = f"; sluice:cypher takes it: {ARRAY_QUERY}" if isinstance(found, list) else ""
            raise WrongMessage(f"it is not an object of fields and values, but {kind_of(found)}{hint}")
        for name in self._fields:
            column = [value.get(name) for value in values]
            place = first_missing(column)
            if place is not None:
                check_key(name, column[place])
