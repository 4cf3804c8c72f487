"""
Debezium's messages, as changes of rows.

    envelopes     {"op": "u", "before": {...}, "after": {...}, "source": {"schema": "public", "table": "orders", ...}}
    unwrapped     the row itself, by ExtractNewRecordState; a deleted row is null, or has `__deleted`
    tombstones    null, or JSON's null
    passed over   heartbeats, transactions' ends, changes of schemas, notifications, messages of the log

All of them with their schemas or without.

Source: `Envelope`, `SchemaFactory`, `AbstractExtractNewRecordState` of Debezium 3.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from sluice.decoding.refusals import WrongMessage
from sluice.decoding.texts import kind_of
from sluice.errors import one_line
from sluice.ready.debezium_payloads import NOTHING, Payload, Payloads, placeholders
from sluice.ready.debezium_tables import Table, Tables
from sluice.ready.debezium_values import Call, ColumnKinds, Values
from sluice.ready.keys import check_key
from sluice.values.record import Record

SHOWN = 60
"Characters of a value that an error shows."

ROUTED = "__dbz__"
"Begins what ByLogicalTableRouter adds to keys: the topic that the message would have gone to."

NEW_KEY = "__debezium.newkey"
"The header of a deletion that is half of an update of the primary key."

ADDED = "__"
"Begins what ExtractNewRecordState adds to rows."

SOURCE = ("schema", "db", "table")
"The fields of an event's source that name the table."

_NO_ROWS = (
    {"ts_ms"},
    {"status", "id", "event_count", "data_collections", "ts_ms"},
    {"source", "ts_ms", "databaseName", "schemaName", "ddl", "tableChanges"},
    {"id", "aggregate_type", "type", "additional_data", "timestamp"},
)
"The fields of heartbeats, transactions' begins and ends, changes of schemas, notifications."

Row = dict[str, Any]
"Column -> value for the graph, without those that the event leaves as they are."


class RowAction(Enum):
    """What happens to a row."""

    WRITE = "write"
    DELETE = "delete"
    MOVE = "move"
    TRUNCATE = "truncate"


class Change(NamedTuple):
    """What one message says of one row, or of all rows of a table."""

    table: Table
    action: RowAction
    key: Mapping[str, Any]
    "Column -> value; for TRUNCATE without values, and empty if the columns are not known yet."
    row: Row
    "For MOVE the new key. For WRITE: with those columns of the key that are foreign keys as well."
    may_release: bool = False
    "Whether another vertex may have lost its last reference."


class Events:
    """Reads messages. Raises WrongMessage at one that cannot be read, or is of a table that the options do not name."""

    def __init__(self, tables: Tables, values: Values, unavailable: str) -> None:
        """
        Args:
            unavailable: the connector's `unavailable.value.placeholder`.
        """
        self._tables = tables
        self._values = values
        self._payloads = Payloads(values)
        self._unavailable = placeholders(unavailable)
        self._unavailable_texts = frozenset(one for one in self._unavailable if isinstance(one, str))
        self._keys: dict[str, tuple[str, ...]] = {}
        "Table -> the columns of its key, as its events have had them."
        self._enveloped: dict[str, set[str]] = {}
        "Topic -> the tables whose envelopes were met in it."

    def changes_of(self, record: Record) -> list[Change]:
        """The changes that a message stands for, in order; empty for one that is passed over."""
        value, key = self._payloads.part(record.value, "its value"), self._payloads.part(record.key, "its key")
        payload = value.payload
        if payload is None:
            return self._tombstone(record, key)
        if not isinstance(payload, dict):
            raise WrongMessage(f"its value is neither an event nor a row, but {kind_of(payload)}")
        if payload.keys() in _NO_ROWS:
            return []
        if "op" in payload and isinstance(payload.get("source"), dict):
            return self._enveloped_changes(record, key, value)
        return self._unwrapped(record, key, value)

    def _enveloped_changes(self, record: Record, key: Payload, value: Payload) -> list[Change]:
        event, source = value.payload, value.payload["source"]
        op = event["op"]
        if op == "m":
            return []
        name = self._tables.name_of(source.get("schema") or source.get("db"), source.get("table"))
        self._enveloped.setdefault(record.topic, set()).add(name)
        table = self._tables.of(name)
        if table is None:
            return []
        before, after = (Payload(event.get(name), value.schema) for name in ("before", "after"))
        if op == "t":
            return [
                Change(
                    table, RowAction.TRUNCATE, dict.fromkeys(self._tables.key_of(table) or self._keys.get(name, ())), {}
                )
            ]
        if op == "d":
            deletion = self._deletion(table, key, before)
            return [*self._move(record, deletion), deletion]
        if op not in ("c", "r", "u") or not after.columns:
            raise WrongMessage(f"an event of the table {name} with the operation {op!r} that has no row")
        change = self._write(table, key, after)
        if op != "u":
            return [change]
        kept = all(before.columns.get(one, before) == after.columns.get(one) for one in table.referring)
        return [*self._moved(change, before), change._replace(may_release=not kept)]

    def _move(self, record: Record, deletion: Change) -> list[Change]:
        """
        A deletion that has a new key in its headers is half of an update of the primary key. The other half, an
        insertion, lacks what the log lacks, so the row's vertex hands all that it has to the new one.

        Source: `RelationalChangeRecordEmitter.emitUpdateAsPrimaryKeyChangeRecord`.
        """
        header = next((data for name, data in record.headers if name == NEW_KEY), None)
        key = self._payloads.part(header, f"its header {NEW_KEY}")
        if not all(column in key.columns for column in deletion.key):
            return []
        return [deletion._replace(action=RowAction.MOVE, row=self._key_in(deletion.table, deletion.key, key))]

    def _moved(self, change: Change, before: Payload) -> list[Change]:
        """The deletion of the row's vertex so far, if the update has changed a key that is not the primary one."""
        if any(before.columns.get(column) is None for column in change.key):
            return []
        old = self._key_in(change.table, change.key, before)
        return [] if old == change.key else [Change(change.table, RowAction.DELETE, old, {}, True)]

    def _unwrapped(self, record: Record, key: Payload, value: Payload) -> list[Change]:
        table = self._tables.of(self._unwrapped_name(record, key, value))
        if table is None:
            return []
        if str(value.payload.get("__deleted")).lower() == "true" or value.payload.get("__op") == "d":
            return [self._deletion(table, key, value)]
        row = {column: one for column, one in value.payload.items() if not column.startswith(ADDED)}
        return [self._write(table, key, Payload(row, value.schema))._replace(may_release=bool(table.references))]

    def _unwrapped_name(self, record: Record, key: Payload, value: Payload) -> str:
        added = {name: data.decode("utf-8", "replace") for name, data in record.headers if data} | value.payload
        schema, db, table = (added.get(f"{ADDED}{one}") or added.get(f"{ADDED}source_{one}") for one in SOURCE)
        if table:
            return self._tables.name_of(schema or db, table)
        found = self._by_name(record.topic, key, value.schema.name.removesuffix(".Value"))
        if found is None:
            raise WrongMessage(
                f"it has no envelope, and the topic {record.topic} does not say of which table: name it in "
                f"the option topics, {{`{record.topic}`: 'schema.table'}}"
            )
        return found

    def _tombstone(self, record: Record, key: Payload) -> list[Change]:
        """A deletion, if it is certain of what. After an envelope it repeats that, unless the topic was compacted."""
        name = self._by_name(record.topic, key, "")
        met = self._enveloped.get(record.topic)
        if name is None or (met and met != {name}) or not key.columns:
            return []
        table = self._tables.of_tombstone(name)
        if table is None:
            return []
        deletion = self._deletion(table, key)
        return [*self._move(record, deletion), deletion]

    def _by_name(self, topic: str, key: Payload, schema: str) -> str | None:
        routed = next((str(one) for name, one in key.columns.items() if name.startswith(ROUTED)), "")
        for place in (routed, schema, key.schema.name.removesuffix(".Key"), topic):
            name = self._tables.of_topic(place)
            if name is not None:
                return name
        return None

    def _write(self, table: Table, key: Payload, row: Payload) -> Change:
        found = self._key(table, key, row)
        kinds = {**row.schema.kinds, **table.kinds}
        cells = {
            column: self._value(table, column, value, kinds)
            for column, value in row.columns.items()
            if (column in table.referring or (column not in found and table.has(column)))
            and not self._is_unavailable(value)
        }
        return Change(table, RowAction.WRITE, found, cells)

    def _deletion(self, table: Table, key: Payload, row: Payload = NOTHING) -> Change:
        return Change(table, RowAction.DELETE, self._key(table, key, row), {}, True)

    def _key(self, table: Table, key: Payload, row: Payload) -> dict[str, Any]:
        """Of the message's key, or of the row, if that alone has all of it. Raises WrongMessage if a column is null."""
        columns = self._tables.key_of(table) or tuple(one for one in key.columns if not one.startswith(ROUTED))
        self._keys[table.name] = columns
        if not columns:
            raise WrongMessage(f"the events of the table {table.name} have no key: name its columns in the option key")
        return self._key_in(table, columns, key if all(column in key.columns for column in columns) else row)

    def _key_in(self, table: Table, columns: Iterable[str], part: Payload) -> dict[str, Any]:
        kinds = {**part.schema.kinds, **table.kinds}
        cells = {column: self._value(table, column, part.columns.get(column), kinds) for column in columns}
        return {
            column: check_key(f"{column} of the table {table.name}", cell.text if isinstance(cell, Call) else cell)
            for column, cell in cells.items()
        }

    def _value(self, table: Table, column: str, value: Any, kinds: ColumnKinds) -> Any:
        kind = kinds.get(column)
        if kind is None:
            return self._values.unnamed(value) if type(value) in (dict, list) else value
        try:
            return kind.of(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            shown = one_line(repr(value), SHOWN)
            raise WrongMessage(f"the column {column} of the table {table.name} is not of its type: {shown}") from None

    def _is_unavailable(self, value: Any) -> bool:
        if type(value) is str:
            return value in self._unavailable_texts
        return type(value) in (list, dict) and value in self._unavailable
